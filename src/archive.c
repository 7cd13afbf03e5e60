/*-------------------------------------------------------------------------
 *
 * archive.c
 *	  The table tasker_checkpoint_archive: history entries that were cut or
 *	  cleared.
 *
 * A row has many entries.  Before the first entry is cut that is not in the
 * archive, all that the stored checkpoint holds go there together, the present
 * one included; so the next row is due when that one is cut.  Each entry is in
 * one row.  The checkpoint that is being written is not stored yet, and a
 * trigger may keep it from that: it is never among them.
 *
 * A step's newest row says up to where its history is archived.  It is this
 * step's only if the checkpoint holds what the row says of its last entry, or
 * of the one after it, by number and time: the key may have been deleted and
 * inserted again, or a checkpoint cleared while nothing was archived.
 *
 * The step's row is locked by whoever writes here.  Rows that others have
 * written, and that are not whole, are passed over.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "archive.h"
#include "guc.h"
#include "own.h"
#include "tasker_checkpoint.h"

/* The table's columns in their order */
enum
{
	COL_STEP,
	COL_GENERATION,
	COL_FIRST_SEQUENCE,
	COL_LAST_SEQUENCE,
	COL_LAST_AT,
	COL_NEXT_AT,
	COL_ARCHIVED_AT,
	COL_CLEARED_BY,
	COL_ENTRIES,
	COL_RESULTS,
	NCOLUMNS
};

#define ATTNO(column)	((AttrNumber) ((column) + 1))

static const Oid column_types[NCOLUMNS] = {
	[COL_STEP] = UUIDOID,
	[COL_GENERATION] = INT4OID,
	[COL_FIRST_SEQUENCE] = INT8OID,
	[COL_LAST_SEQUENCE] = INT8OID,
	[COL_LAST_AT] = TIMESTAMPTZOID,
	[COL_NEXT_AT] = TIMESTAMPTZOID,
	[COL_ARCHIVED_AT] = TIMESTAMPTZOID,
	[COL_CLEARED_BY] = TEXTOID,
	[COL_ENTRIES] = JSONBOID,
	[COL_RESULTS] = JSONBOID
};

static const TckptOwnTable archive_table = {
	"tasker_checkpoint_archive", NCOLUMNS, column_types
};

static const TckptOwnIndex key_index = {
	.definition = "(step_uuid, generation, first_sequence)",
	.unique = true,
	.nkeys = 3,
	.keys = {ATTNO(COL_STEP), ATTNO(COL_GENERATION), ATTNO(COL_FIRST_SEQUENCE)}
};

static const TckptOwnIndex trail_index = {
	.definition = "(step_uuid, generation, first_sequence)",
	.ordered = true,
	.nkeys = 3,
	.keys = {ATTNO(COL_STEP), ATTNO(COL_GENERATION), ATTNO(COL_FIRST_SEQUENCE)}
};

static const TckptOwnIndex age_index = {
	.definition = "(archived_at)",
	.nkeys = 1,
	.keys = {ATTNO(COL_ARCHIVED_AT)}
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

static Relation
open_archive(Oid function, LOCKMODE lockmode)
{
	return tckpt_own_open(function, &archive_table, lockmode);
}

/*
 * Reads a row; false if it is not whole.  What is toasted stays so, and
 * everything stays in "tuple".
 */
static bool
read_chunk(TupleDesc tupdesc, HeapTuple tuple, TckptChunk *chunk)
{
	Datum		values[NCOLUMNS];
	bool		nulls[NCOLUMNS];

	heap_deform_tuple(tuple, tupdesc, values, nulls);
	if (nulls[COL_STEP] || nulls[COL_GENERATION] || nulls[COL_FIRST_SEQUENCE] ||
		nulls[COL_LAST_SEQUENCE] || nulls[COL_ARCHIVED_AT] || nulls[COL_ENTRIES])
		return false;

	memset(chunk, 0, sizeof(*chunk));
	chunk->tid = tuple->t_self;
	chunk->step = *DatumGetUUIDP(values[COL_STEP]);
	chunk->generation = DatumGetInt32(values[COL_GENERATION]);
	chunk->first = DatumGetInt64(values[COL_FIRST_SEQUENCE]);
	chunk->last = DatumGetInt64(values[COL_LAST_SEQUENCE]);
	if (!nulls[COL_LAST_AT])
		chunk->last_at = DatumGetTimestampTz(values[COL_LAST_AT]);
	if (!nulls[COL_NEXT_AT])
		chunk->next_at = DatumGetTimestampTz(values[COL_NEXT_AT]);
	chunk->archived_at = DatumGetTimestampTz(values[COL_ARCHIVED_AT]);
	if (!nulls[COL_CLEARED_BY])
		chunk->cleared_by = TextDatumGetCString(values[COL_CLEARED_BY]);
	chunk->entries = values[COL_ENTRIES];
	chunk->results = values[COL_RESULTS];
	chunk->has_results = !nulls[COL_RESULTS];
	return chunk->generation > 0 && chunk->generation < PG_INT32_MAX &&
		chunk->first > 0 && chunk->last >= chunk->first - 1 &&
		chunk->last < PG_INT64_MAX;
}

/* The row as it is to be stored; it may point into "chunk". */
static TupleTableSlot *
make_row(Relation rel, const TckptChunk *chunk)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(rel),
													&TTSOpsVirtual);
	Datum	   *values = slot->tts_values;
	bool	   *nulls = slot->tts_isnull;

	memset(nulls, false, NCOLUMNS * sizeof(bool));
	values[COL_STEP] = UUIDPGetDatum(&chunk->step);
	values[COL_GENERATION] = Int32GetDatum(chunk->generation);
	values[COL_FIRST_SEQUENCE] = Int64GetDatum(chunk->first);
	values[COL_LAST_SEQUENCE] = Int64GetDatum(chunk->last);
	values[COL_LAST_AT] = TimestampTzGetDatum(chunk->last_at);
	nulls[COL_LAST_AT] = chunk->last_at == 0;
	values[COL_NEXT_AT] = TimestampTzGetDatum(chunk->next_at);
	nulls[COL_NEXT_AT] = chunk->next_at == 0;
	values[COL_ARCHIVED_AT] = TimestampTzGetDatum(chunk->archived_at);
	nulls[COL_CLEARED_BY] = chunk->cleared_by == NULL;
	if (chunk->cleared_by != NULL)
		values[COL_CLEARED_BY] = CStringGetTextDatum(chunk->cleared_by);
	values[COL_ENTRIES] = chunk->entries;
	values[COL_RESULTS] = chunk->results;
	nulls[COL_RESULTS] = !chunk->has_results;
	return ExecStoreVirtualTuple(slot);
}

/* Replaces the version of a row that was read, unless somebody else has. */
static void
update_chunk(Oid function, TckptChunk *chunk)
{
	Relation	rel = open_archive(function, RowExclusiveLock);
	TupleTableSlot *slot = make_row(rel, chunk);

	(void) tckpt_own_update(rel, &chunk->tid, slot);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
}

/* A row that is there already says the same. */
static void
insert_chunk(Oid function, const TckptChunk *chunk)
{
	Relation	rel = open_archive(function, RowExclusiveLock);
	TupleTableSlot *slot = make_row(rel, chunk);

	/* what somebody did to the index is no reason to refuse a checkpoint */
	if (OidIsValid(tckpt_own_find_index(rel, &key_index)))
		(void) tckpt_own_insert_new(rel, slot, &key_index);
	else
		tckpt_own_insert(rel, slot);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
}

/*
 * The last entry of a row leaves the checkpoint, which is then known by the one
 * after it.  That may be another than was foreseen, and a clear may never have
 * come about: a trigger has kept them from being stored.
 */
static void
correct_next(Oid function, TckptChunk *chunk, TimestampTz next_at)
{
	if (next_at == 0 || (chunk->next_at == next_at && chunk->cleared_by == NULL))
		return;
	chunk->cleared_by = NULL;
	chunk->has_results = false;
	chunk->next_at = next_at;
	update_chunk(function, chunk);
}

static int
by_sequence(const void *a, const void *b, void *arg)
{
	TckptChunk	x;
	TckptChunk	y;

	/* those that are not whole come first, and are passed over */
	if (!read_chunk(arg, *(const HeapTuple *) a, &x))
		return -1;
	if (!read_chunk(arg, *(const HeapTuple *) b, &y))
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

	trail->rel = open_archive(function, AccessShareLock);
	trail->snapshot = RegisterSnapshot(snapshot);
	trail->direction = direction;
	trail->context = CurrentMemoryContext;
	ScanKeyInit(&key, ATTNO(COL_STEP), BTEqualStrategyNumber, F_UUID_EQ,
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
		if (read_chunk(RelationGetDescr(trail->rel), tuple, &trail->chunks[place]))
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

/* The newest row of a step, whose own row is locked. */
static bool
find_newest(Oid function, const pg_uuid_t *step, TckptChunk *newest)
{
	TckptTrail *trail = tckpt_trail_begin(function, step, GetLatestSnapshot(),
										  BackwardScanDirection);
	const TckptChunk *chunk = tckpt_trail_next(trail);

	if (chunk != NULL)
		*newest = *chunk;
	tckpt_trail_end(trail);
	return chunk != NULL;
}

/* The time of an entry as a row keeps it; 0 if there is none. */
static TimestampTz
entry_time(const TckptHistory *history, int64 sequence)
{
	TckptDocument entry;
	TimestampTz at;

	if (!tckpt_history_entry(history, sequence, &entry) ||
		!tckpt_value_to_timestamp(&entry.timestamp, &at))
		return 0;
	return at;
}

static bool
has_entry(const TckptHistory *history, int64 sequence, TimestampTz at)
{
	return at != 0 && entry_time(history, sequence) == at;
}

/*
 * Where a step's checkpoint stands, by the newest row of its key.  "present" is
 * all that the checkpoint holds; without one it is empty.
 */
TckptPosition
tckpt_chunk_position(const TckptChunk *newest, const TckptHistory *present)
{
	TckptPosition position = {.generation = newest->generation, .archived = newest->last};

	/* a clear that is followed by its own checkpoint never came about */
	position.goes_on = has_entry(present, newest->last, newest->last_at) ||
		(newest->cleared_by == NULL &&
		 has_entry(present, newest->last + 1, newest->next_at));
	if (position.goes_on)
		return position;

	position.generation++;
	position.archived = 0;
	position.is_cleared = newest->cleared_by != NULL;
	position.goes_on = position.is_cleared &&
		(tckpt_history_length(present) == 0 ? newest->next_at == 0 :
		 has_entry(present, 1, newest->next_at));
	return position;
}

/* Whether the row that begins the next generation comes after this clear. */
bool
tckpt_chunk_precedes(const TckptChunk *clear, const TckptChunk *next)
{
	TckptHistory history;

	if (clear->cleared_by == NULL || next->first != 1)
		return false;
	tckpt_chunk_history(next, &history);
	return has_entry(&history, 1, clear->next_at);
}

static TckptPosition
find_position(Oid function, const pg_uuid_t *step, const TckptHistory *present,
			  TckptChunk *newest)
{
	TckptPosition position = {.generation = 1};

	if (find_newest(function, step, newest))
		position = tckpt_chunk_position(newest, present);
	return position;
}

/*
 * Writes a row.  A clear that had nothing to archive, and never came about, has
 * left one in this place.
 */
static void
write_chunk(Oid function, TckptChunk *chunk, const TckptPosition *position,
			const TckptChunk *newest)
{
	if (position->goes_on && newest->generation == chunk->generation &&
		newest->first == chunk->first)
	{
		chunk->tid = newest->tid;
		update_chunk(function, chunk);
	}
	else
		insert_chunk(function, chunk);
}

/* A row of what the checkpoint holds and is not yet archived. */
static void
make_chunk(TckptChunk *chunk, const pg_uuid_t *step,
		   const TckptHistory *present, const TckptPosition *position)
{
	memset(chunk, 0, sizeof(*chunk));
	chunk->step = *step;
	chunk->generation = position->generation;
	chunk->first = Max(position->archived,
					   present->sequence - tckpt_history_length(present)) + 1;
	chunk->last = present->sequence;
	chunk->last_at = entry_time(present, chunk->last);
	chunk->archived_at = GetCurrentTimestamp();
	chunk->entries = JsonbPGetDatum(tckpt_history_since(present, chunk->first));
}

/*
 * Archives what a write takes from the stored checkpoint "old", if that is
 * wanted and was not done before: its entries up to the number "cut".  The
 * checkpoint that comes next has the time "next_at"; 0 if none does.
 */
void
tckpt_archive_cut(Oid function, const pg_uuid_t *step,
				  const TckptDocument *old, int64 cut, TimestampTz next_at)
{
	TckptHistory present;
	TckptPosition position;
	TckptChunk	newest;
	TckptChunk	chunk;

	if (!tckpt_archive_history)
		return;
	tckpt_history_read_present(old, &present);
	cut = Min(cut, present.sequence);
	if (cut <= present.sequence - tckpt_history_length(&present))
		return;

	position = find_position(function, step, &present, &newest);
	if (position.archived < cut)
	{
		make_chunk(&chunk, step, &present, &position);
		chunk.next_at = next_at;
		write_chunk(function, &chunk, &position, &newest);
	}
	else if (position.archived == cut)
		correct_next(function, &newest,
					 cut == present.sequence ? next_at : entry_time(&present, cut + 1));
}

/* A step without a checkpoint gets its first one: what was cleared is its own. */
void
tckpt_archive_begin(Oid function, const pg_uuid_t *step, TimestampTz at)
{
	TckptChunk	newest;

	if (tckpt_archive_history && find_newest(function, step, &newest) &&
		newest.cleared_by != NULL && newest.next_at == 0)
	{
		newest.next_at = at;
		update_chunk(function, &newest);
	}
}

/*
 * Archives a checkpoint that is about to be cleared, if that is wanted: the
 * rest of its history, its results, when, and by whom.
 */
void
tckpt_archive_clear(Oid function, const pg_uuid_t *step,
					const TckptDocument *old)
{
	TckptHistory present;
	TckptPosition position;
	TckptChunk	newest;
	TckptChunk	chunk;

	if (!tckpt_archive_history)
		return;

	tckpt_history_read_present(old, &present);
	position = find_position(function, step, &present, &newest);
	make_chunk(&chunk, step, &present, &position);
	chunk.cleared_by = GetUserNameFromId(GetSessionUserId(), true);
	if (chunk.cleared_by == NULL)
		chunk.cleared_by = psprintf("%u", GetSessionUserId());
	chunk.has_results = !tckpt_value_is_null(&old->accumulated_results);
	if (chunk.has_results)
		chunk.results = JsonbPGetDatum(tckpt_value_to_jsonb(&old->accumulated_results));
	write_chunk(function, &chunk, &position, &newest);
}

/* The entries of a row, as a history that ends with the last of them. */
void
tckpt_chunk_history(const TckptChunk *chunk, TckptHistory *history)
{
	TckptDocument doc = {0};

	doc.history = tckpt_value_of_jsonb(DatumGetJsonbP(chunk->entries));
	tckpt_history_read(&doc, history);
	history->sequence = chunk->last;
}

/* The archived entry with this sequence, of the generation of "present". */
bool
tckpt_archive_entry(Oid function, const pg_uuid_t *step,
					const TckptHistory *present, int64 sequence,
					TckptDocument *entry)
{
	TckptTrail *trail = tckpt_trail_begin(function, step, GetLatestSnapshot(),
										  BackwardScanDirection);
	const TckptChunk *chunk = tckpt_trail_next(trail);
	TckptPosition position = {0};
	bool		found = false;

	if (chunk != NULL)
		position = tckpt_chunk_position(chunk, present);
	if (position.goes_on)
		while (chunk != NULL && chunk->generation == position.generation &&
			   chunk->first > sequence)
			chunk = tckpt_trail_next(trail);
	if (position.goes_on && chunk != NULL &&
		chunk->generation == position.generation && chunk->last >= sequence)
	{
		TckptHistory history;

		tckpt_chunk_history(chunk, &history);
		found = tckpt_history_entry(&history, sequence, entry);
	}
	tckpt_trail_end(trail);
	return found;
}

/* Removes a row, unless others have it. */
static bool
delete_row(Relation rel, ItemPointer tid, TupleTableSlot *slot)
{
	TM_FailureData failure;

	return table_tuple_lock(rel, tid, GetLatestSnapshot(), slot,
							GetCurrentCommandId(false), LockTupleExclusive,
							LockWaitSkip, 0, &failure) == TM_Ok &&
		tckpt_own_delete(rel, tid) == TM_Ok;
}

/*
 * Removes rows that were archived before a time, so many at most, or only
 * counts all of them.
 */
int64
tckpt_archive_purge(Oid function, TimestampTz cutoff, int64 max_rows,
					bool dry_run)
{
	Relation	rel = open_archive(function,
								   dry_run ? AccessShareLock : RowExclusiveLock);
	Oid			index = tckpt_own_find_index(rel, &age_index);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	int64		count = 0;

	ScanKeyInit(&key, ATTNO(COL_ARCHIVED_AT), BTLessStrategyNumber,
				F_TIMESTAMPTZ_LT, TimestampTzGetDatum(cutoff));
	scan = systable_beginscan(rel, index, OidIsValid(index), snapshot, 1, &key);
	while ((dry_run || count < max_rows) &&
		   HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		ItemPointerData tid = tuple->t_self;

		CHECK_FOR_INTERRUPTS();
		if (dry_run || delete_row(rel, &tid, slot))
			count++;
	}
	systable_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
	return count;
}
