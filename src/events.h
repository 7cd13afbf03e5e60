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
#include "utils/uuid.h"

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
	int64		sequence;
} TckptReceipt;

/* A row of the table */
typedef struct TckptEvent
{
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

/* How to look for a row that is to be locked */
typedef enum TckptLookup
{
	TCKPT_BY_STEP,
	TCKPT_BY_STEP_SKIP_LOCKED,
	TCKPT_BY_EVENT,
	TCKPT_BY_EVENT_SKIP_LOCKED,
	TCKPT_BY_EVENT_UNLOCKED
} TckptLookup;

extern const char *tckpt_directive_name(TckptDirective directive);
extern void tckpt_event_new_id(TckptEvent *event);

extern bool tckpt_event_find(Oid function, TckptLookup lookup,
							 const pg_uuid_t *id, TckptEvent *event);
extern int	tckpt_event_candidates(Oid function, TimestampTz now,
								   const TckptEvent *after, int limit,
								   bool lock, TckptEvent **events);
extern bool tckpt_event_insert(Oid function, const TckptEvent *event);
extern void tckpt_event_update(Oid function, const TckptEvent *event);
extern void tckpt_event_delete(Oid function, const pg_uuid_t *step);
extern int64 tckpt_event_delete_all(Oid function);

#endif							/* TCKPT_EVENTS_H */
