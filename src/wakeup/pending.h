/*-------------------------------------------------------------------------
 *
 * pending.h
 *	  Whom to tell what when this transaction ends.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_PENDING_H
#define TCKPT_PENDING_H

#include "datatype/timestamp.h"
#include "utils/uuid.h"

extern void tckpt_wakeup_init(void);
extern void tckpt_wakeup_at_commit(const pg_uuid_t *step,
								   const pg_uuid_t *event_id, int64 sequence,
								   const char *queue);
extern void tckpt_offer_at_end(const pg_uuid_t *step, const pg_uuid_t *event_id,
							   const char *queue, bool at_commit);
extern void tckpt_expect_at_commit(TimestampTz at);
extern void tckpt_wake_all_at_commit(void);

#endif							/* TCKPT_PENDING_H */
