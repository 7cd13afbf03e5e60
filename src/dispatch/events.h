/*-------------------------------------------------------------------------
 *
 * events.h
 *	  The table tasker_checkpoint_events: one row for a step that is
 *	  dispatched, paused or cancelled.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_EVENTS_H
#define TCKPT_EVENTS_H

#include "dispatch/event_row.h"

/* What is to be done about others that want the row */
typedef enum TckptLocking
{
	TCKPT_UNLOCKED,
	TCKPT_LOCK,
	TCKPT_LOCK_NEWEST,			/* whatever the transaction's snapshot has */
	TCKPT_LOCK_NOWAIT			/* one that is locked counts as none */
} TckptLocking;

typedef struct TckptEventScan TckptEventScan;

extern bool tckpt_event_find(Oid function, TckptLookup lookup,
							 const pg_uuid_t *id, TckptLocking locking,
							 TckptEvent *event);
extern bool tckpt_event_insert(Oid function, TckptEvent *event);
extern bool tckpt_event_update(Oid function, TckptEvent *event);
extern void tckpt_event_delete(Oid function, const TckptEvent *event);
extern int64 tckpt_event_delete_all(Oid function);

extern bool tckpt_event_try_lock(Relation rel, TckptEvent *event);
extern bool tckpt_event_is_taken(Relation rel, const TckptEvent *event);
extern bool tckpt_event_is_offered(Oid function, const pg_uuid_t *event_id,
								   TckptEvent *event);

extern TckptEventScan *tckpt_event_scan_steps(Oid function,
											  const pg_uuid_t *step,
											  bool for_update);
extern bool tckpt_event_scan_next(TckptEventScan *scan, TckptEvent *event);
extern bool tckpt_event_scan_lock(TckptEventScan *scan, TckptEvent *event);
extern void tckpt_event_scan_end(TckptEventScan *scan);

#endif							/* TCKPT_EVENTS_H */
