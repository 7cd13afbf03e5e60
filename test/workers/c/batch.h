/*-------------------------------------------------------------------------
 *
 * batch.h
 *	  The handler of the harness.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BATCH_H
#define BATCH_H

#include "tasker_checkpoint_client.h"

extern TcwStatus handle(TcwContext *context);

#endif							/* BATCH_H */
