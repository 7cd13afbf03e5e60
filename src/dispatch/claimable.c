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
 * Where a session remembers the front of a queue (front.h), the walk begins there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "dispatch/claimable.h"
#include "dispatch/front.h"
#include "dispatch/lanes.h"
#include "tasker_checkpoint.h"

/* A queue that is walked through */
typedef struct Lane
{
	char	   *queue;
	bool		bounded;
	int			below;			/* if so, priorities below this are left */
	TckptFront *front;			/* where it is known; NULL: nowhere */
	bool		by_place;		/* its places are walked */
	int			place;			/* of these, which is next */
	bool		at_place;		/* none of this place's was met so far */
	bool		begun;			/* the first was looked for */
	SysScanDesc scan;
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

static SysScanDesc
begin_scan(TckptClaimable *walk, Snapshot snapshot, int nkeys, ScanKey keys)
{
	MemoryContext caller = MemoryContextSwitchTo(walk->context);
	SysScanDesc scan = systable_beginscan_ordered(walk->rel, walk->index,
												  snapshot, nkeys, keys);

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

/* Begins on what of the queue is left; false if nothing is. */
static bool
begin_part(TckptClaimable *walk, Lane *lane)
{
	ScanKeyData keys[4];
	int			nkeys = 1;

	Assert(!lane->by_place || lane->front != NULL);
	if (lane->by_place && lane->place == lane->front->nplaces)
	{
		if (lane->front->complete)
			return false;

		/* of the priorities below these nothing is known */
		lane->by_place = false;
		lane->bounded = true;
		lane->below = lane->front->places[lane->place - 1].priority;
	}

	init_queue_key(&keys[0], BTEqualStrategyNumber, F_TEXTEQ, lane->queue);
	if (lane->by_place)
	{
		const TckptPlace *place = &lane->front->places[lane->place++];

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
	lane->scan = begin_scan(walk, walk->snapshot, nkeys, keys);
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
 * The part that is walked has come to an end.  If nothing was met, nothing is left of
 * a place of what there is by now, nor of the priorities below all places.
 */
static void
end_part(TckptClaimable *walk, Lane *lane)
{
	end_scan(lane);
	if (lane->front == NULL || !lane->at_place)
		return;
	if (lane->by_place)
		tckpt_front_move(lane->front, lane->front->places[lane->place - 1].priority,
						 walk->now);
	else
		tckpt_front_complete(lane->front);
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
			if (!lane->by_place)
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
	TckptSearch search = {0};
	bool		is_first = !lane->begun && lane->front == NULL;

	if (is_first)
		search = tckpt_front_search();
	lane->has_head = find_head(walk, lane);
	lane->begun = true;
	if (is_first)
		tckpt_front_learn(RelationGetRelid(walk->rel), lane->queue, &search, walk->now,
						  lane->has_head ? &lane->head : NULL);
	else if (lane->front != NULL && lane->has_head && lane->at_place)
	{
		/* it may not be delivered: those that follow begin with it again */
		tckpt_front_move(lane->front, lane->head.priority, lane->head.available_at);
		lane->at_place = false;
	}
}

static void
add_lane(TckptClaimable *walk, const char *queue)
{
	Lane	   *lane;

	walk->lanes = walk->lanes == NULL ? palloc(sizeof(Lane)) :
		repalloc(walk->lanes, (walk->nlanes + 1) * sizeof(Lane));
	lane = &walk->lanes[walk->nlanes++];
	memset(lane, 0, sizeof(*lane));
	lane->queue = pstrdup(queue);
	lane->context = AllocSetContextCreate(walk->context, "tasker_checkpoint queue",
										  ALLOCSET_SMALL_SIZES);
	lane->front = tckpt_front_find(RelationGetRelid(walk->rel), queue, walk->now);
	lane->by_place = lane->front != NULL;
}

/* A lane for each queue that the index has. */
static void
add_all_lanes(TckptClaimable *walk)
{
	char		queue[NAMEDATALEN] = "";

	while (tckpt_next_lane(walk->rel, walk->index, queue, NULL))
		add_lane(walk, queue);
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
		walk->lanes[0].scan = begin_scan(walk, walk->snapshot, 0, NULL);
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

/* The next one where the index can't be trusted to have them in order. */
static bool
next_of_all(TckptClaimable *walk, TckptEvent *event)
{
	Lane	   *lane = &walk->lanes[0];

	while (read_head(walk, lane))
		if (lane->head.available_at <= walk->now &&
			tckpt_event_is_in(&lane->head, walk->queues, walk->nqueues))
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

/* Whether that would fail, as far as can be seen without trying. */
bool
tckpt_claimable_is_taken(TckptClaimable *walk, const TckptEvent *event)
{
	return tckpt_event_is_taken(walk->rel, event);
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
