/*-------------------------------------------------------------------------
 *
 * due.c
 *	  Events whose delay or lease ends while workers wait.
 *
 * Of the sessions that wait one keeps the clock (wakeup/waiting.c).  When something
 * is due it looks for what has become so since it has last looked, and offers that
 * as a commit does; and for what is due next.
 *
 * In the index of what can be claimed each priority of a queue has its events in the
 * order of their times, so that of each the part since then is read.  Those in front,
 * which an old snapshot may keep in great number, are not passed (lanes.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "dispatch/due.h"
#include "dispatch/events.h"
#include "dispatch/lanes.h"
#include "tasker_checkpoint.h"
#include "wakeup/waiting.h"

/* It looks again after so long at the latest, in microseconds */
#define MAX_INTERVAL	(5 * USECS_PER_SEC)

/* What ends at the same time beyond so many is left to those who come to look */
#define MAX_EVENTS		10000

/*
 * Nor does it look back longer for an event whose lease was extended past its place
 * in the index, in microseconds
 */
#define MAX_LOOK_BACK	(5 * USECS_PER_MINUTE)

/* It takes no more than this part of the time */
#define SHARE			5

typedef struct Search
{
	Relation	rel;
	Relation	index;
	Snapshot	snapshot;
	TimestampTz now;
	TckptClock	clock;			/* as it was */
	TckptClock	next;
	TckptEvent	event;			/* the last one that was read */
} Search;

static void
init_key(ScanKey key, int column, StrategyNumber strategy, RegProcedure function,
		 Datum value)
{
	ScanKeyInit(key, TCKPT_EVENT_ATTNO(column), strategy, function, value);
}

/* The one that was read is due, or will be. */
static bool
note_event(Search *search, uint32 queue, bool offer)
{
	TckptEvent *event = &search->event;
	TimestampTz due = tckpt_event_due(event);

	if (due > search->now)
	{
		/* its lease was extended: it is to be met again then */
		search->next.due = Min(search->next.due, due);
		search->next.from = Min(search->next.from, event->available_at - 1);
		return offer;
	}
	if (offer && due > search->clock.offered &&
		tckpt_event_is_claimable(event, search->now) &&
		!tckpt_event_is_taken(search->rel, event))
		return tckpt_waiting_offer(&event->event_id, queue);
	return offer;
}

/* Reads the events of a queue and priority since the last look. */
static void
search_priority(Search *search, const char *name, int priority)
{
	uint32		queue = tckpt_queue_hash(name);
	bool		offer = true;
	ScanKeyData keys[4];
	SysScanDesc scan;
	HeapTuple	tuple;

	init_key(&keys[0], TCKPT_EVENT_QUEUE, BTEqualStrategyNumber, F_TEXTEQ,
			 CStringGetTextDatum(name));
	init_key(&keys[1], TCKPT_EVENT_PRIORITY, BTEqualStrategyNumber, F_INT2EQ,
			 Int16GetDatum(priority));
	init_key(&keys[2], TCKPT_EVENT_AVAILABLE_AT, BTGreaterStrategyNumber, F_TIMESTAMPTZ_GT,
			 TimestampTzGetDatum(search->clock.from));
	init_key(&keys[3], TCKPT_EVENT_AVAILABLE_AT, BTLessStrategyNumber, F_TIMESTAMPTZ_LT,
			 TimestampTzGetDatum(search->now + MAX_INTERVAL));
	scan = systable_beginscan_ordered(search->rel, search->index, search->snapshot, 4, keys);
	for (int i = 0; i < MAX_EVENTS; i++)
	{
		CHECK_FOR_INTERRUPTS();
		tuple = systable_getnext_ordered(scan, ForwardScanDirection);
		if (!HeapTupleIsValid(tuple))
			break;
		if (!tckpt_event_read(search->rel, tuple, &search->event))
			continue;
		if (search->event.available_at > search->now)
		{
			search->next.due = Min(search->next.due, search->event.available_at);
			break;
		}
		offer = note_event(search, queue, offer);
	}
	systable_endscan_ordered(scan);
}

static void
search_queues(Search *search)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "tasker_checkpoint due",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	char		queue[NAMEDATALEN] = "";
	int			priority = 0;

	while (tckpt_next_lane(search->rel, search->index, queue, &priority))
	{
		CHECK_FOR_INTERRUPTS();
		if (tckpt_waiting_is_served(tckpt_queue_hash(queue)))
			search_priority(search, queue, priority);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

/*
 * For the session that keeps the clock: offers what has become due since it has last
 * done so, and sets the clock to what is due next.
 */
void
tckpt_offer_due(Oid function)
{
	Search		search;
	TimestampTz end;

	tckpt_waiting_read_clock(&search.clock);
	search.now = GetCurrentTimestamp();
	search.rel = tckpt_event_table(function, AccessShareLock);
	search.index = index_open(tckpt_own_index(search.rel, &tckpt_event_claimable),
							  AccessShareLock);
	search.snapshot = RegisterSnapshot(GetLatestSnapshot());
	search.clock.from = Max(search.clock.from, search.now - MAX_LOOK_BACK);
	search.next.due = search.now + MAX_INTERVAL;
	search.next.from = search.now;
	search.next.offered = search.now;

	search_queues(&search);

	UnregisterSnapshot(search.snapshot);
	index_close(search.index, NoLock);
	table_close(search.rel, NoLock);

	/* many that end one after the other are found together */
	end = GetCurrentTimestamp();
	search.next.due = Max(search.next.due, end + (SHARE - 1) * (end - search.now));
	tckpt_waiting_set_clock(&search.next);
}
