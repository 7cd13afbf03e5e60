/*-------------------------------------------------------------------------
 *
 * replay.h
 *	  Whether a repeated request is answered by the receipt of the first.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_REPLAY_H
#define TCKPT_REPLAY_H

#include "table/write.h"

extern bool tckpt_replay_is_answered(const TckptWrite *write,
									 const TckptReceipt *receipt);

#endif							/* TCKPT_REPLAY_H */
