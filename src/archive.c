/*-------------------------------------------------------------------------
 *
 * archive.c
 *	  The table tasker_checkpoint_archive: history entries that were cut or
 *	  cleared.
 *
 * A row has many entries.  Before the first entry is cut that is not in the
 * archive, all that the stored history holds go there together, the newest included;
 * so the next row is due when that one has been cut.  Each entry is in one row.
 *
 * The table has a partition for each month of the year, so that an old month
 * can be emptied at once.  Rows are written below the executor, to the
 * partition of the current month, and found from there backwards: a step's
 * newest row says up to where its history is archived.  The step's row is
 * locked by whoever writes here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
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
	[COL_ARCHIVED_AT] = TIMESTAMPTZOID,
	[COL_CLEARED_BY] = TEXTOID,
	[COL_ENTRIES] = JSONBOID,
	[COL_RESULTS] = JSONBOID
};

static const TckptOwnIndex trail_index = {
	.definition = "(step_uuid, generation, first_sequence)",
	.ordered = true,
	.nkeys = 3,
	.keys = {ATTNO(COL_STEP), ATTNO(COL_GENERATION), ATTNO(COL_FIRST_SEQUENCE)}
};

/* A step's rows in one partition */
typedef struct MonthScan
{
	Relation	rel;
	Relation	index;
	SysScanDesc scan;
	HeapTuple	head;			/* the next one; NULL at the end */
	TckptChunk	chunk;			/* of "head" */
} MonthScan;

/* A step's rows in all partitions, in order */
struct TckptTrail
{
	Snapshot	snapshot;
	MonthScan  *last;			/* where the last one came from */
	MonthScan	months[MONTHS_PER_YEAR];
};

/* Months since year 0; the month of the year is the remainder. */
static int
month_of(TimestampTz t)
{
	struct pg_tm tm;
	fsec_t		fsec;

	if (timestamp2tm((Timestamp) t, NULL, &tm, &fsec, NULL, NULL) != 0)
		elog(ERROR, "timestamp out of range");
	return tm.tm_year * MONTHS_PER_YEAR + tm.tm_mon - 1;
}

static Relation
open_month(Oid function, int month, LOCKMODE lockmode)
{
	char	   *name = psprintf("tasker_checkpoint_archive_%02d",
								month % MONTHS_PER_YEAR + 1);
	TckptOwnTable table = {name, NCOLUMNS, column_types};
	Relation	rel = tckpt_own_open(function, &table, lockmode);

	pfree(name);
	return rel;
}

/* What is toasted stays so, and everything stays in "tuple". */
static void
read_chunk(TupleDesc tupdesc, HeapTuple tuple, TckptChunk *chunk)
{
	Datum		values[NCOLUMNS];
	bool		nulls[NCOLUMNS];

	heap_deform_tuple(tuple, tupdesc, values, nulls);
	memset(chunk, 0, sizeof(*chunk));
	chunk->step = *DatumGetUUIDP(values[COL_STEP]);
	chunk->generation = DatumGetInt32(values[COL_GENERATION]);
	chunk->first = DatumGetInt64(values[COL_FIRST_SEQUENCE]);
	chunk->last = DatumGetInt64(values[COL_LAST_SEQUENCE]);
	if (!nulls[COL_LAST_AT])
		chunk->last_at = DatumGetTimestampTz(values[COL_LAST_AT]);
	chunk->archived_at = DatumGetTimestampTz(values[COL_ARCHIVED_AT]);
	if (!nulls[COL_CLEARED_BY])
		chunk->cleared_by = TextDatumGetCString(values[COL_CLEARED_BY]);
	chunk->entries = values[COL_ENTRIES];
	chunk->results = values[COL_RESULTS];
	chunk->has_results = !nulls[COL_RESULTS];
}

static void
write_chunk(Oid function, const TckptChunk *chunk)
{
	Relation	rel = open_month(function, month_of(chunk->archived_at),
								 RowExclusiveLock);
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
	values[COL_ARCHIVED_AT] = TimestampTzGetDatum(chunk->archived_at);
	nulls[COL_CLEARED_BY] = chunk->cleared_by == NULL;
	if (chunk->cleared_by != NULL)
		values[COL_CLEARED_BY] = CStringGetTextDatum(chunk->cleared_by);
	values[COL_ENTRIES] = chunk->entries;
	values[COL_RESULTS] = chunk->results;
	nulls[COL_RESULTS] = !chunk->has_results;

	tckpt_own_insert(rel, ExecStoreVirtualTuple(slot));
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
}

/* Begins on a partition's rows by this key. */
static void
begin_month(MonthScan *scan, Oid function, int month, Snapshot snapshot,
			int nkeys, ScanKey keys)
{
	memset(scan, 0, sizeof(*scan));
	scan->rel = open_month(function, month, AccessShareLock);
	scan->index = index_open(tckpt_own_index(scan->rel, &trail_index),
							 AccessShareLock);
	scan->scan = systable_beginscan_ordered(scan->rel, scan->index, snapshot,
											nkeys, keys);
}

static bool
next_in_month(MonthScan *scan, ScanDirection direction)
{
	HeapTuple	tuple = systable_getnext_ordered(scan->scan, direction);

	if (scan->head != NULL)
		heap_freetuple(scan->head);
	scan->head = HeapTupleIsValid(tuple) ? heap_copytuple(tuple) : NULL;
	if (scan->head != NULL)
		read_chunk(RelationGetDescr(scan->rel), scan->head, &scan->chunk);
	return scan->head != NULL;
}

static void
end_month(MonthScan *scan)
{
	systable_endscan_ordered(scan->scan);
	index_close(scan->index, NoLock);
	table_close(scan->rel, NoLock);
}

static void
init_step_key(ScanKey key, const pg_uuid_t *step)
{
	ScanKeyInit(key, 1, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(step));
}

static bool
is_before(const TckptChunk *a, const TckptChunk *b)
{
	if (a->generation != b->generation)
		return a->generation < b->generation;
	return a->first < b->first;
}

/*
 * The newest row of a step that the snapshot has.  The first one found is it,
 * going back from this month, unless it is of an earlier year.
 */
static bool
find_newest(Oid function, const pg_uuid_t *step, Snapshot snapshot,
			TckptChunk *newest)
{
	int			now = month_of(GetCurrentTimestamp());
	bool		found = false;
	bool		done = false;
	ScanKeyData key;

	init_step_key(&key, step);
	for (int month = now; !done && month > now - MONTHS_PER_YEAR; month--)
	{
		MonthScan	scan;

		begin_month(&scan, function, month, snapshot, 1, &key);
		if (next_in_month(&scan, BackwardScanDirection))
		{
			if (!found || is_before(newest, &scan.chunk))
				*newest = scan.chunk;
			found = true;
			done = month_of(scan.chunk.archived_at) == month;
		}
		end_month(&scan);
	}
	return found;
}

/* The time of an entry as a row keeps it; 0 if it is unreadable. */
static TimestampTz
entry_time(const TckptDocument *entry)
{
	TimestampTz at;

	return tckpt_value_to_timestamp(&entry->timestamp, &at) ? at : 0;
}

/*
 * Where a history goes on from what the snapshot has of it in the archive.  One
 * that cannot go on from that, since it is shorter or has another entry in that
 * place, was begun anew while nothing was archived: it is another generation.
 */
static TckptPosition
find_position(Oid function, const pg_uuid_t *step, const TckptHistory *history,
			  Snapshot snapshot)
{
	TckptPosition position = {1, 0};
	TckptChunk	newest;
	TckptDocument entry;

	if (!find_newest(function, step, snapshot, &newest))
		return position;

	position.generation = newest.generation;
	if (newest.cleared_by != NULL || newest.last > history->sequence ||
		(tckpt_history_entry(history, newest.last, &entry) &&
		 entry_time(&entry) != newest.last_at))
		position.generation++;
	else
		position.archived = newest.last;
	return position;
}

/*
 * The same, where the history is of the newest version of a step's row, which
 * is locked.
 */
static TckptPosition
newest_position(Oid function, const pg_uuid_t *step, const TckptHistory *history)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TckptPosition position = find_position(function, step, history, snapshot);

	UnregisterSnapshot(snapshot);
	return position;
}

/*
 * The same, where the history is what the statement sees of it; in a parallel
 * worker, too.
 */
TckptPosition
tckpt_archive_position(Oid function, const pg_uuid_t *step,
					   const TckptHistory *history)
{
	return find_position(function, step, history, GetActiveSnapshot());
}

/* A row of what the history holds and is not yet archived. */
static void
make_chunk(TckptChunk *chunk, const pg_uuid_t *step,
		   const TckptHistory *history, const TckptPosition *position)
{
	TckptDocument newest;

	memset(chunk, 0, sizeof(*chunk));
	chunk->step = *step;
	chunk->generation = position->generation;
	chunk->first = Max(position->archived,
					   history->sequence - tckpt_history_length(history)) + 1;
	chunk->last = history->sequence;
	chunk->archived_at = GetCurrentTimestamp();
	chunk->entries = JsonbPGetDatum(tckpt_history_since(history, chunk->first));
	if (tckpt_history_entry(history, chunk->last, &newest))
		chunk->last_at = entry_time(&newest);
}

/*
 * Archives what is about to be cut from a step's history, if that is wanted
 * and was not done before.
 */
void
tckpt_archive_cut(Oid function, const pg_uuid_t *step,
				  const TckptHistory *before, const TckptHistory *after)
{
	int64		cut = after->sequence - tckpt_history_length(after);
	TckptHistory stored = *before;
	TckptPosition position;
	TckptChunk	chunk;

	if (!tckpt_archive_history ||
		tckpt_history_length(before) == tckpt_history_length(after))
		return;

	/* the new entry is not stored yet, and a trigger may still keep it from that */
	if (stored.entry.data != NULL && cut < stored.sequence)
	{
		stored.entry.data = NULL;
		stored.sequence--;
	}

	position = newest_position(function, step, &stored);
	if (position.archived >= cut)
		return;
	make_chunk(&chunk, step, &stored, &position);
	write_chunk(function, &chunk);
}

/*
 * Archives a checkpoint that is about to be cleared, if that is wanted: the
 * rest of its history, its results, when, and by whom.
 */
void
tckpt_archive_clear(Oid function, const pg_uuid_t *step,
					const TckptDocument *doc)
{
	TckptHistory history;
	TckptPosition position;
	TckptChunk	chunk;

	if (!tckpt_archive_history)
		return;

	tckpt_history_read(doc, &history);
	position = newest_position(function, step, &history);
	make_chunk(&chunk, step, &history, &position);
	chunk.cleared_by = GetUserNameFromId(GetSessionUserId(), true);
	if (chunk.cleared_by == NULL)
		chunk.cleared_by = psprintf("%u", GetSessionUserId());
	chunk.has_results = !tckpt_value_is_null(&doc->accumulated_results);
	if (chunk.has_results)
		chunk.results = JsonbPGetDatum(tckpt_value_to_jsonb(&doc->accumulated_results));
	write_chunk(function, &chunk);
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

/* The archived entry with this sequence, of the generation of this history. */
bool
tckpt_archive_entry(Oid function, const pg_uuid_t *step,
					const TckptHistory *present, int64 sequence,
					TckptDocument *entry)
{
	TckptPosition position = newest_position(function, step, present);
	Snapshot	snapshot;
	bool		found = false;
	ScanKeyData keys[3];

	if (sequence > position.archived)
		return false;

	snapshot = RegisterSnapshot(GetLatestSnapshot());
	init_step_key(&keys[0], step);
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(position.generation));
	ScanKeyInit(&keys[2], 3, BTLessEqualStrategyNumber, F_INT8LE,
				Int64GetDatum(sequence));
	for (int month = 0; !found && month < MONTHS_PER_YEAR; month++)
	{
		MonthScan	scan;

		begin_month(&scan, function, month, snapshot, 3, keys);
		if (next_in_month(&scan, BackwardScanDirection) &&
			scan.chunk.last >= sequence)
		{
			TckptHistory history;

			tckpt_chunk_history(&scan.chunk, &history);
			found = tckpt_history_entry(&history, sequence, entry);
		}
		end_month(&scan);
	}
	UnregisterSnapshot(snapshot);
	return found;
}

/* Begins on all rows of a step, as the statement sees them. */
TckptTrail *
tckpt_trail_begin(Oid function, const pg_uuid_t *step)
{
	TckptTrail *trail = palloc0(sizeof(TckptTrail));
	ScanKeyData key;

	trail->snapshot = RegisterSnapshot(GetActiveSnapshot());
	init_step_key(&key, step);
	for (int month = 0; month < MONTHS_PER_YEAR; month++)
	{
		begin_month(&trail->months[month], function, month, trail->snapshot,
					1, &key);
		(void) next_in_month(&trail->months[month], ForwardScanDirection);
	}
	return trail;
}

/* The next row in order of sequence, good until the next call; NULL at the end. */
const TckptChunk *
tckpt_trail_next(TckptTrail *trail)
{
	MonthScan  *next = NULL;

	if (trail->last != NULL)
		(void) next_in_month(trail->last, ForwardScanDirection);
	for (int month = 0; month < MONTHS_PER_YEAR; month++)
	{
		MonthScan  *scan = &trail->months[month];

		if (scan->head != NULL &&
			(next == NULL || is_before(&scan->chunk, &next->chunk)))
			next = scan;
	}
	trail->last = next;
	return next != NULL ? &next->chunk : NULL;
}

void
tckpt_trail_end(TckptTrail *trail)
{
	for (int month = 0; month < MONTHS_PER_YEAR; month++)
		end_month(&trail->months[month]);
	UnregisterSnapshot(trail->snapshot);
	pfree(trail);
}
