/*-------------------------------------------------------------------------
 *
 * wakeup.h
 *	  What to notify when this transaction commits.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_WAKEUP_H
#define TCKPT_WAKEUP_H

#include "utils/uuid.h"

extern void tckpt_wakeup_init(void);
extern void tckpt_wakeup_at_commit(const pg_uuid_t *step, int64 sequence);

#endif							/* TCKPT_WAKEUP_H */
