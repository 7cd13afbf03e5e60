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

#include "datatype/timestamp.h"
#include "storage/itemptr.h"
#include "storage/lockdefs.h"
#include "utils/relcache.h"
#include "utils/uuid.h"

/* Bytes of a worker's name */
#define TCKPT_MAX_WORKER_LENGTH	200

/* What a worker is told to do at its next checkpoint */
typedef enum TckptDirective
{
	TCKPT_CONTINUE,
	TCKPT_PAUSE,
	TCKPT_CANCEL
} TckptDirective;

/* The last write accepted under an event, to answer it again by */
typedef struct TckptReceipt
{
	bool		is_set;
	pg_uuid_t	event_id;		/* what the writer gave */
	int64		digest;			/* of cursor, items and results */
	int64		sequence;		/* of its checkpoint */
	TimestampTz checkpointed_at;	/* its time */
} TckptReceipt;

/* A row of the table, and which version of it */
typedef struct TckptEvent
{
	ItemPointerData tid;
	bool		locked;			/* nobody else can change it any more */
	pg_uuid_t	step;
	bool		has_event;		/* false: it holds a directive only */
	pg_uuid_t	event_id;
	TckptDirective directive;
	char	   *worker;			/* NULL: unclaimed */
	TimestampTz available_at;	/* when claim looks at it next */
	int64		lease;			/* in microseconds, as last given */
	TimestampTz lease_until;
	int32		deliveries;		/* claims since the last checkpoint */
	bool		parked;
	int64		sequence;		/* of the last checkpoint known here */
	TckptReceipt yielded;
	pg_uuid_t	continuation;	/* the event that the last yield made */
	TckptReceipt saved;
} TckptEvent;

/* What a row is looked for by */
typedef enum TckptLookup
{
	TCKPT_BY_STEP,
	TCKPT_BY_EVENT
} TckptLookup;

/* What is to be done about others that want the row */
typedef enum TckptLocking
{
	TCKPT_UNLOCKED,
	TCKPT_LOCK,
	TCKPT_LOCK_NOWAIT			/* one that is locked counts as none */
} TckptLocking;

typedef struct TckptEventScan TckptEventScan;

extern const char *tckpt_directive_name(TckptDirective directive);
extern void tckpt_event_new_id(TckptEvent *event);
extern bool tckpt_event_is_leased(const TckptEvent *event, TimestampTz now);

extern bool tckpt_event_find(Oid function, TckptLookup lookup,
							 const pg_uuid_t *id, TckptLocking locking,
							 TckptEvent *event);
extern bool tckpt_event_insert(Oid function, TckptEvent *event);
extern bool tckpt_event_update(Oid function, TckptEvent *event);
extern void tckpt_event_delete(Oid function, const TckptEvent *event);
extern int64 tckpt_event_delete_all(Oid function);

extern Relation tckpt_event_table(Oid function, LOCKMODE lockmode);
extern TckptEventScan *tckpt_event_scan_claimable(Oid function,
												  TimestampTz now);
extern TckptEventScan *tckpt_event_scan_steps(Oid function,
											   const pg_uuid_t *step,
											   bool for_update);
extern bool tckpt_event_scan_next(TckptEventScan *scan, TckptEvent *event);
extern bool tckpt_event_scan_lock(TckptEventScan *scan, TckptEvent *event);
extern void tckpt_event_scan_end(TckptEventScan *scan);

#endif							/* TCKPT_EVENTS_H */
