/*-------------------------------------------------------------------------
 *
 * pending.h
 *	  What to notify when this transaction commits.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_PENDING_H
#define TCKPT_PENDING_H

#include "utils/uuid.h"

extern void tckpt_wakeup_init(void);
extern void tckpt_wakeup_at_commit(const pg_uuid_t *step, int64 sequence,
								   const char *queue);

#endif							/* TCKPT_PENDING_H */
