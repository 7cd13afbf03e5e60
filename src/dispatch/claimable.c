/*-------------------------------------------------------------------------
 *
 * claimable.c
 *	  A walk over the events that can be claimed, in the order in which they
 *	  are to be.
 *
 * An index has them by queue, priority and time.  Within a queue what has a
 * higher priority comes first, and of these what waits longest; of several
 * queues the one comes next whose first event does.  Behind the last one that
 * is available stand, at the same priority, those that are delayed or in
 * flight: from the first of these the walk goes on at the next lower priority,
 * so that it costs the same however many there are.
 *
 * What can be claimed no more has left versions of its row in front, and an old
 * snapshot keeps them there: each walk from the front would pass all of them.
 * So a session that has found the front of a queue long remembers for a while
 * where it has found the first event, and begins there.  What a slow commit has
 * put before that place, or what comes with a priority that was not met, is found
 * by the next walk from the front, which comes after a while that grows with its
 * cost.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "executor/instrument.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "dispatch/claimable.h"
#include "tasker_checkpoint.h"

/* Buffers that a walk to the first event of a queue reads if its front is short */
#define SHORT_FRONT		64

/*
 * A walk from the front is due after so many times what the last one took, and not
 * before so long, in microseconds
 */
#define FRONT_SHARE		20
#define FRONT_INTERVAL	USECS_PER_SEC

/* Commits so late are found where a walk begins, in microseconds */
#define LATE_COMMIT		(USECS_PER_SEC / 10)

/* Queues and their priorities that a session remembers */
#define MAX_MEMORIES	16
#define MAX_PLACES		8

/* Where the first event of a priority was found */
typedef struct Place
{
	int			priority;
	TimestampTz from;
} Place;

/* A queue whose front is long */
typedef struct Memory
{
	char		queue[NAMEDATALEN];
	Oid			relid;
	TimestampTz front_due;		/* until then the walk begins at the places */
	int			nplaces;
	Place		places[MAX_PLACES]; /* of falling priority */
} Memory;

static Memory memories[MAX_MEMORIES];

/* The queues that there were when it last took long to find out */
static struct
{
	Oid			relid;
	TimestampTz due;			/* they are looked for again */
	int			n;
	char		queues[MAX_MEMORIES][NAMEDATALEN];
}			all_queues;

/* A queue that is walked through */
typedef struct Lane
{
	char	   *queue;
	bool		bounded;
	int			below;			/* if so, priorities below this are left */
	int			place;			/* of "memory", which is walked next */
	Memory	   *memory;			/* NULL: from the front */
	bool		begun;			/* the walk from the front has found its first */
	TimestampTz front_began;
	int64		front_buffers;
	SysScanDesc scan;
	bool		at_place;		/* none of this place's was met so far */
	bool		has_head;
	TckptEvent	head;
	MemoryContext context;		/* of the head */
} Lane;

struct TckptClaimable
{
	Relation	rel;
	Relation	index;
	Snapshot	snapshot;
	TimestampTz now;
	bool		whole;			/* no row lacks what the index is by */
	char	   *const *queues;	/* where it is not whole */
	int			nqueues;
	Lane	   *lanes;
	int			nlanes;
	Lane	   *last;			/* whose head was returned */
	MemoryContext context;
};

static int64
buffers_read(void)
{
	return pgBufferUsage.shared_blks_hit + pgBufferUsage.shared_blks_read;
}

static SysScanDesc
begin_scan(TckptClaimable *walk, int nkeys, ScanKey keys)
{
	MemoryContext caller = MemoryContextSwitchTo(walk->context);
	SysScanDesc scan = systable_beginscan_ordered(walk->rel, walk->index,
												  walk->snapshot, nkeys, keys);

	MemoryContextSwitchTo(caller);
	return scan;
}

static HeapTuple
next_tuple(TckptClaimable *walk, SysScanDesc scan)
{
	MemoryContext caller = MemoryContextSwitchTo(walk->context);
	HeapTuple	tuple = systable_getnext_ordered(scan, ForwardScanDirection);

	MemoryContextSwitchTo(caller);
	return tuple;
}

static void
end_scan(Lane *lane)
{
	if (lane->scan != NULL)
		systable_endscan_ordered(lane->scan);
	lane->scan = NULL;
}

static void
init_queue_key(ScanKey key, StrategyNumber strategy, RegProcedure function,
			   const char *queue)
{
	ScanKeyInit(key, TCKPT_EVENT_ATTNO(TCKPT_EVENT_QUEUE), strategy, function,
				CStringGetTextDatum(queue));
}

/* The memory of a queue, or one to be used for it. */
static Memory *
find_memory(Oid relid, const char *queue)
{
	Memory	   *found = &memories[0];

	for (int i = 0; i < MAX_MEMORIES; i++)
	{
		Memory	   *memory = &memories[i];

		if (memory->relid == relid && strcmp(memory->queue, queue) == 0)
			return memory;
		if (memory->front_due < found->front_due)
			found = memory;
	}
	memset(found, 0, sizeof(*found));
	found->relid = relid;
	strlcpy(found->queue, queue, sizeof(found->queue));
	return found;
}

/* The place of a priority; NULL if there is no more room. */
static Place *
find_place(Memory *memory, int priority)
{
	int			i = 0;

	while (i < memory->nplaces && memory->places[i].priority > priority)
		i++;
	if (i < memory->nplaces && memory->places[i].priority == priority)
		return &memory->places[i];
	if (memory->nplaces == MAX_PLACES)
		return NULL;
	memmove(&memory->places[i + 1], &memory->places[i],
			(memory->nplaces - i) * sizeof(Place));
	memory->nplaces++;
	memory->places[i].priority = priority;
	memory->places[i].from = 0;
	return &memory->places[i];
}

/* The first event of a priority has been found at this time. */
static void
remember_place(Memory *memory, int priority, TimestampTz at)
{
	Place	   *place = find_place(memory, priority);

	if (place != NULL)
		place->from = at - LATE_COMMIT;
}

/* When something that began then, and took long, is to be done again. */
static TimestampTz
due_again(TimestampTz began)
{
	TimestampTz now = GetCurrentTimestamp();

	return now + Max(FRONT_INTERVAL, FRONT_SHARE * (now - began));
}

/*
 * A walk from the front has found its first event, or none.  If that took long,
 * those that follow begin where it was.
 */
static void
judge_front(TckptClaimable *walk, Lane *lane)
{
	Memory	   *memory;

	if (buffers_read() - lane->front_buffers <= SHORT_FRONT)
		return;
	memory = find_memory(RelationGetRelid(walk->rel), lane->queue);
	memory->nplaces = 0;
	memory->front_due = due_again(lane->front_began);
	remember_place(memory, 0, walk->now);
	if (lane->has_head)
		remember_place(memory, lane->head.priority, lane->head.available_at);
}

/* Begins on what of the queue is left; false if nothing is. */
static bool
begin_part(TckptClaimable *walk, Lane *lane)
{
	ScanKeyData keys[4];
	int			nkeys = 1;

	init_queue_key(&keys[0], BTEqualStrategyNumber, F_TEXTEQ, lane->queue);
	if (lane->memory != NULL)
	{
		const Place *place;

		if (lane->place == lane->memory->nplaces)
			return false;
		place = &lane->memory->places[lane->place++];
		lane->at_place = true;
		ScanKeyInit(&keys[nkeys++], TCKPT_EVENT_ATTNO(TCKPT_EVENT_PRIORITY),
					BTEqualStrategyNumber, F_INT2EQ, Int16GetDatum(place->priority));
		ScanKeyInit(&keys[nkeys++], TCKPT_EVENT_ATTNO(TCKPT_EVENT_AVAILABLE_AT),
					BTGreaterEqualStrategyNumber, F_TIMESTAMPTZ_GE,
					TimestampTzGetDatum(place->from));
		ScanKeyInit(&keys[nkeys++], TCKPT_EVENT_ATTNO(TCKPT_EVENT_AVAILABLE_AT),
					BTLessEqualStrategyNumber, F_TIMESTAMPTZ_LE,
					TimestampTzGetDatum(walk->now));
	}
	else if (lane->bounded)
		ScanKeyInit(&keys[nkeys++], TCKPT_EVENT_ATTNO(TCKPT_EVENT_PRIORITY),
					BTLessStrategyNumber, F_INT2LT, Int16GetDatum(lane->below));
	lane->scan = begin_scan(walk, nkeys, keys);
	return true;
}

/* Reads the next event of the part that is walked; false at its end. */
static bool
read_head(TckptClaimable *walk, Lane *lane)
{
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = next_tuple(walk, lane->scan)))
	{
		MemoryContext caller;
		bool		whole;

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(lane->context);
		caller = MemoryContextSwitchTo(lane->context);
		whole = tckpt_event_read(walk->rel, tuple, &lane->head);
		MemoryContextSwitchTo(caller);
		if (whole)
			return true;
	}
	return false;
}

/*
 * The part that is walked has come to an end.  Of a place nothing is left then, if
 * nothing was met, of what there is by now.
 */
static void
end_part(TckptClaimable *walk, Lane *lane)
{
	end_scan(lane);
	if (lane->memory != NULL && lane->at_place)
		lane->memory->places[lane->place - 1].from = walk->now - LATE_COMMIT;
}

/*
 * Reads the lane's next event that is available, the first of the lower priorities
 * where those that are delayed or in flight begin; false if there is none.
 */
static bool
find_head(TckptClaimable *walk, Lane *lane)
{
	while (lane->scan != NULL || begin_part(walk, lane))
	{
		if (!read_head(walk, lane))
		{
			end_part(walk, lane);
			if (lane->memory == NULL)
				return false;
		}
		else if (lane->head.available_at <= walk->now)
			return true;
		else
		{
			end_scan(lane);
			lane->bounded = true;
			lane->below = lane->head.priority;
		}
	}
	return false;
}

/* Goes on to the lane's next event; without one it has no head any more. */
static void
advance(TckptClaimable *walk, Lane *lane)
{
	lane->has_head = find_head(walk, lane);
	if (lane->memory != NULL && lane->has_head && lane->at_place)
	{
		/* it may not be delivered: those that follow begin with it again */
		remember_place(lane->memory, lane->head.priority, lane->head.available_at);
		lane->at_place = false;
	}
	else if (lane->memory == NULL && !lane->begun)
		judge_front(walk, lane);
	lane->begun = true;
}

static void
add_lane(TckptClaimable *walk, const char *queue)
{
	Lane	   *lane;
	Memory	   *memory;

	walk->lanes = walk->lanes == NULL ? palloc(sizeof(Lane)) :
		repalloc(walk->lanes, (walk->nlanes + 1) * sizeof(Lane));
	lane = &walk->lanes[walk->nlanes++];
	memset(lane, 0, sizeof(*lane));
	lane->queue = pstrdup(queue);
	lane->context = AllocSetContextCreate(walk->context, "tasker_checkpoint queue",
										  ALLOCSET_SMALL_SIZES);
	lane->front_began = GetCurrentTimestamp();
	lane->front_buffers = buffers_read();
	for (int i = 0; i < MAX_MEMORIES; i++)
	{
		memory = &memories[i];
		if (memory->relid == RelationGetRelid(walk->rel) &&
			strcmp(memory->queue, queue) == 0 && memory->front_due > walk->now)
			lane->memory = memory;
	}
}

/* Finds the queues that have events, each by a look behind the one before. */
static void
find_all_queues(TckptClaimable *walk)
{
	TimestampTz began = GetCurrentTimestamp();
	int64		buffers = buffers_read();
	char	   *queue = NULL;

	for (;;)
	{
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple	tuple;
		TckptEvent	event;
		bool		whole;

		CHECK_FOR_INTERRUPTS();
		if (queue != NULL)
			init_queue_key(&key, BTGreaterStrategyNumber, F_TEXT_GT, queue);
		scan = begin_scan(walk, queue != NULL ? 1 : 0, &key);
		tuple = next_tuple(walk, scan);
		whole = HeapTupleIsValid(tuple) && tckpt_event_read(walk->rel, tuple, &event);
		systable_endscan_ordered(scan);
		if (!whole)
			break;
		queue = pstrdup(event.queue);
		add_lane(walk, queue);
	}

	all_queues.due = 0;
	if (walk->nlanes > MAX_MEMORIES ||
		buffers_read() - buffers <= SHORT_FRONT * (walk->nlanes + 1))
		return;
	all_queues.relid = RelationGetRelid(walk->rel);
	all_queues.due = due_again(began);
	all_queues.n = walk->nlanes;
	for (int i = 0; i < walk->nlanes; i++)
		strlcpy(all_queues.queues[i], walk->lanes[i].queue, NAMEDATALEN);
}

/* A lane for each queue that has events. */
static void
add_all_lanes(TckptClaimable *walk)
{
	if (all_queues.relid == RelationGetRelid(walk->rel) && all_queues.due > walk->now)
		for (int i = 0; i < all_queues.n; i++)
			add_lane(walk, all_queues.queues[i]);
	else
		find_all_queues(walk);
}

/*
 * Begins a walk over the events of these queues, or of all, that are available by
 * "now".  Raises 55000 if there is no index for it.
 */
TckptClaimable *
tckpt_claimable_begin(Oid function, TimestampTz now, char *const *queues,
					  int nqueues)
{
	TckptClaimable *walk = palloc0(sizeof(TckptClaimable));
	TupleDesc	tupdesc;

	walk->context = CurrentMemoryContext;
	walk->rel = tckpt_event_table(function, RowExclusiveLock);
	walk->index = index_open(tckpt_own_index(walk->rel, &tckpt_event_claimable),
							 AccessShareLock);
	walk->snapshot = RegisterSnapshot(GetLatestSnapshot());
	walk->now = now;
	walk->queues = queues;
	walk->nqueues = nqueues;

	tupdesc = RelationGetDescr(walk->rel);
	walk->whole = TupleDescAttr(tupdesc, TCKPT_EVENT_STEP)->attnotnull &&
		TupleDescAttr(tupdesc, TCKPT_EVENT_QUEUE)->attnotnull &&
		TupleDescAttr(tupdesc, TCKPT_EVENT_PRIORITY)->attnotnull &&
		TupleDescAttr(tupdesc, TCKPT_EVENT_AVAILABLE_AT)->attnotnull;
	if (!walk->whole)
	{
		/* somebody has dropped constraints: all of them, in the index's order */
		add_lane(walk, "");
		walk->lanes[0].scan = begin_scan(walk, 0, NULL);
	}
	else if (nqueues == 0)
		add_all_lanes(walk);
	else
		for (int i = 0; i < nqueues; i++)
			add_lane(walk, queues[i]);

	if (walk->whole)
		for (int i = 0; i < walk->nlanes; i++)
			advance(walk, &walk->lanes[i]);
	return walk;
}

static bool
is_asked_for(const TckptClaimable *walk, const TckptEvent *event)
{
	if (walk->nqueues == 0)
		return true;
	for (int i = 0; i < walk->nqueues; i++)
		if (strcmp(walk->queues[i], event->queue) == 0)
			return true;
	return false;
}

/* The next one where the index can't be trusted to have them in order. */
static bool
next_of_all(TckptClaimable *walk, TckptEvent *event)
{
	Lane	   *lane = &walk->lanes[0];

	while (read_head(walk, lane))
		if (lane->head.available_at <= walk->now && is_asked_for(walk, &lane->head))
		{
			*event = lane->head;
			return true;
		}
	return false;
}

/* The next one, as it was when the walk began; false at the end. */
bool
tckpt_claimable_next(TckptClaimable *walk, TckptEvent *event)
{
	Lane	   *first = NULL;

	if (!walk->whole)
		return next_of_all(walk, event);

	if (walk->last != NULL)
		advance(walk, walk->last);
	for (int i = 0; i < walk->nlanes; i++)
	{
		Lane	   *lane = &walk->lanes[i];

		if (lane->has_head &&
			(first == NULL || lane->head.priority > first->head.priority ||
			 (lane->head.priority == first->head.priority &&
			  lane->head.available_at < first->head.available_at)))
			first = lane;
	}
	walk->last = first;
	if (first == NULL)
		return false;
	*event = first->head;
	return true;
}

/* Locks the newest version of it; false if it is gone or others have it. */
bool
tckpt_claimable_lock(TckptClaimable *walk, TckptEvent *event)
{
	return tckpt_event_try_lock(walk->rel, event);
}

void
tckpt_claimable_end(TckptClaimable *walk)
{
	for (int i = 0; i < walk->nlanes; i++)
	{
		end_scan(&walk->lanes[i]);
		MemoryContextDelete(walk->lanes[i].context);
	}
	UnregisterSnapshot(walk->snapshot);
	index_close(walk->index, NoLock);
	table_close(walk->rel, NoLock);
}
