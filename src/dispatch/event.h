/*-------------------------------------------------------------------------
 *
 * event.h
 *	  An event: what the dispatch says of a step.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_EVENT_H
#define TCKPT_EVENT_H

#include "datatype/timestamp.h"
#include "storage/itemptr.h"
#include "utils/uuid.h"

/* The queue of those that were dispatched into none, and bounds of a priority */
#define TCKPT_DEFAULT_QUEUE	"default"
#define TCKPT_MAX_PRIORITY	100

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
	bool		ours;			/* this transaction has written it */
	pg_uuid_t	step;
	bool		has_event;		/* false: it holds a directive only */
	pg_uuid_t	event_id;
	TckptDirective directive;
	char		queue[NAMEDATALEN];
	int			priority;
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

extern const char *tckpt_directive_name(TckptDirective directive);
extern void tckpt_event_new_id(TckptEvent *event);
extern bool tckpt_is_queue_among(char *const *queues, int nqueues, const char *queue);
extern bool tckpt_event_is_in(const TckptEvent *event, char *const *queues, int nqueues);
extern bool tckpt_event_is_leased(const TckptEvent *event, TimestampTz now);
extern TimestampTz tckpt_event_due(const TckptEvent *event);
extern bool tckpt_event_is_claimable(const TckptEvent *event, TimestampTz now);
extern bool tckpt_event_is_same_for_writers(const TckptEvent *a, const TckptEvent *b);

#endif							/* TCKPT_EVENT_H */
