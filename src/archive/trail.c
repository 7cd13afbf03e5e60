/*-------------------------------------------------------------------------
 *
 * trail.c
 *	  A walk over a step's rows of the archive, oldest or newest first.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "archive/trail.h"
#include "tasker_checkpoint.h"

static const TckptOwnIndex trail_index = {
	.definition = "(step_uuid, generation, first_sequence)",
	.ordered = true,
	.nkeys = 3,
	.keys = {TCKPT_CHUNK_ATTNO(TCKPT_CHUNK_STEP), TCKPT_CHUNK_ATTNO(TCKPT_CHUNK_GENERATION), TCKPT_CHUNK_ATTNO(TCKPT_CHUNK_FIRST_SEQUENCE)},
	.last = &(TckptOwnLookup) {0}
};

/*
 * A step's rows in order: along an index, or, where there is none, sorted.  The
 * last two that were returned are kept.
 */
struct TckptTrail
{
	Relation	rel;
	Snapshot	snapshot;
	ScanDirection direction;
	Relation	index;			/* NULL: "sorted" has them */
	SysScanDesc scan;
	HeapTuple  *sorted;
	int			nsorted;
	int			next;
	HeapTuple	tuples[2];
	TckptChunk	chunks[2];
	int			latest;
	MemoryContext context;		/* of all this */
};

static int
by_sequence(const void *a, const void *b, void *arg)
{
	TckptChunk	x;
	TckptChunk	y;

	/* those that are not whole come first, and are passed over */
	if (!tckpt_chunk_read(arg, *(const HeapTuple *) a, &x))
		return -1;
	if (!tckpt_chunk_read(arg, *(const HeapTuple *) b, &y))
		return 1;
	if (x.generation != y.generation)
		return x.generation < y.generation ? -1 : 1;
	return (x.first > y.first) - (x.first < y.first);
}

/* Reads all rows of a step, for want of an index. */
static void
sort_rows(TckptTrail *trail, ScanKey key)
{
	SysScanDesc scan = systable_beginscan(trail->rel, InvalidOid, false,
										  trail->snapshot, 1, key);
	HeapTuple	tuple;
	int			size = 0;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		CHECK_FOR_INTERRUPTS();
		if (trail->nsorted == size)
		{
			size = Max(size * 2, 64);
			trail->sorted = trail->sorted == NULL ?
				palloc(size * sizeof(HeapTuple)) :
				repalloc_huge(trail->sorted, size * sizeof(HeapTuple));
		}
		trail->sorted[trail->nsorted++] = heap_copytuple(tuple);
	}
	systable_endscan(scan);
	if (trail->nsorted > 0)
		qsort_arg(trail->sorted, trail->nsorted, sizeof(HeapTuple), by_sequence,
				  RelationGetDescr(trail->rel));
	if (ScanDirectionIsBackward(trail->direction))
		trail->next = trail->nsorted - 1;
}

/* Begins on the rows of a step that a snapshot has, oldest or newest first. */
TckptTrail *
tckpt_trail_begin(Oid function, const pg_uuid_t *step, Snapshot snapshot,
				  ScanDirection direction)
{
	TckptTrail *trail = palloc0(sizeof(TckptTrail));
	ScanKeyData key;
	Oid			index;

	trail->rel = tckpt_chunk_table(function, AccessShareLock);
	trail->snapshot = RegisterSnapshot(snapshot);
	trail->direction = direction;
	trail->context = CurrentMemoryContext;
	ScanKeyInit(&key, TCKPT_CHUNK_ATTNO(TCKPT_CHUNK_STEP), BTEqualStrategyNumber, F_UUID_EQ,
				UUIDPGetDatum(step));

	index = tckpt_own_find_index(trail->rel, &trail_index);
	if (OidIsValid(index))
	{
		trail->index = index_open(index, AccessShareLock);
		trail->scan = systable_beginscan_ordered(trail->rel, trail->index,
												 trail->snapshot, 1, &key);
	}
	else
		sort_rows(trail, &key);
	return trail;
}

static HeapTuple
next_tuple(TckptTrail *trail)
{
	HeapTuple	tuple;

	if (trail->index != NULL)
	{
		tuple = systable_getnext_ordered(trail->scan, trail->direction);
		return HeapTupleIsValid(tuple) ? heap_copytuple(tuple) : NULL;
	}
	if (trail->next < 0 || trail->next >= trail->nsorted)
		return NULL;
	tuple = heap_copytuple(trail->sorted[trail->next]);
	trail->next += ScanDirectionIsBackward(trail->direction) ? -1 : 1;
	return tuple;
}

/* The next row, good until the next but one is asked for; NULL at the end. */
const TckptChunk *
tckpt_trail_next(TckptTrail *trail)
{
	MemoryContext caller = MemoryContextSwitchTo(trail->context);
	const TckptChunk *found = NULL;
	HeapTuple	tuple;
	int			place = 1 - trail->latest;

	while (found == NULL && (tuple = next_tuple(trail)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (trail->tuples[place] != NULL)
			heap_freetuple(trail->tuples[place]);
		trail->tuples[place] = tuple;
		if (tckpt_chunk_read(RelationGetDescr(trail->rel), tuple, &trail->chunks[place]))
		{
			trail->latest = place;
			found = &trail->chunks[place];
		}
	}
	MemoryContextSwitchTo(caller);
	return found;
}

/* Rows that were returned stay as they are. */
void
tckpt_trail_end(TckptTrail *trail)
{
	if (trail->index != NULL)
	{
		systable_endscan_ordered(trail->scan);
		index_close(trail->index, NoLock);
	}
	UnregisterSnapshot(trail->snapshot);
	table_close(trail->rel, NoLock);
}
