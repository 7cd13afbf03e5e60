/*-------------------------------------------------------------------------
 *
 * chunk.c
 *	  Rows of the table tasker_checkpoint_archive.
 *
 * The only file that knows its columns.  Rows that others have written, and that
 * are not whole, are passed over.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "archive/chunk.h"
#include "document/compress.h"
#include "tasker_checkpoint.h"

static const Oid column_types[TCKPT_CHUNK_NCOLUMNS] = {
	[TCKPT_CHUNK_STEP] = UUIDOID,
	[TCKPT_CHUNK_GENERATION] = INT4OID,
	[TCKPT_CHUNK_FIRST_SEQUENCE] = INT8OID,
	[TCKPT_CHUNK_LAST_SEQUENCE] = INT8OID,
	[TCKPT_CHUNK_LAST_AT] = TIMESTAMPTZOID,
	[TCKPT_CHUNK_NEXT_AT] = TIMESTAMPTZOID,
	[TCKPT_CHUNK_ARCHIVED_AT] = TIMESTAMPTZOID,
	[TCKPT_CHUNK_CLEARED_BY] = TEXTOID,
	[TCKPT_CHUNK_ENTRIES] = JSONBOID,
	[TCKPT_CHUNK_RESULTS] = JSONBOID
};

static const TckptOwnTable archive_table = {
	"tasker_checkpoint_archive", TCKPT_CHUNK_NCOLUMNS, column_types, &(TckptOwnLookup) {0}
};

static const TckptOwnIndex key_index = {
	.definition = "(step_uuid, generation, first_sequence)",
	.unique = true,
	.nkeys = 3,
	.keys = {TCKPT_CHUNK_ATTNO(TCKPT_CHUNK_STEP), TCKPT_CHUNK_ATTNO(TCKPT_CHUNK_GENERATION), TCKPT_CHUNK_ATTNO(TCKPT_CHUNK_FIRST_SEQUENCE)},
	.last = &(TckptOwnLookup) {0}
};

static const TckptOwnIndex age_index = {
	.definition = "(archived_at)",
	.nkeys = 1,
	.keys = {TCKPT_CHUNK_ATTNO(TCKPT_CHUNK_ARCHIVED_AT)},
	.last = &(TckptOwnLookup) {0}
};

/* Opens the table. */
Relation
tckpt_chunk_table(Oid function, LOCKMODE lockmode)
{
	return tckpt_own_open(function, &archive_table, lockmode);
}

/* Whether there may be rows, of whatever step.  Raises nothing. */
bool
tckpt_chunk_may_exist(Oid function)
{
	return !tckpt_own_is_empty(function, &archive_table);
}

/*
 * Reads a row; false if it is not whole.  What is toasted stays so, and
 * everything stays in "tuple".
 */
bool
tckpt_chunk_read(TupleDesc tupdesc, HeapTuple tuple, TckptChunk *chunk)
{
	Datum		values[TCKPT_CHUNK_NCOLUMNS];
	bool		nulls[TCKPT_CHUNK_NCOLUMNS];

	heap_deform_tuple(tuple, tupdesc, values, nulls);
	if (nulls[TCKPT_CHUNK_STEP] || nulls[TCKPT_CHUNK_GENERATION] || nulls[TCKPT_CHUNK_FIRST_SEQUENCE] ||
		nulls[TCKPT_CHUNK_LAST_SEQUENCE] || nulls[TCKPT_CHUNK_ARCHIVED_AT] || nulls[TCKPT_CHUNK_ENTRIES])
		return false;

	memset(chunk, 0, sizeof(*chunk));
	chunk->tid = tuple->t_self;
	chunk->step = *DatumGetUUIDP(values[TCKPT_CHUNK_STEP]);
	chunk->generation = DatumGetInt32(values[TCKPT_CHUNK_GENERATION]);
	chunk->first = DatumGetInt64(values[TCKPT_CHUNK_FIRST_SEQUENCE]);
	chunk->last = DatumGetInt64(values[TCKPT_CHUNK_LAST_SEQUENCE]);
	if (!nulls[TCKPT_CHUNK_LAST_AT])
		chunk->last_at = DatumGetTimestampTz(values[TCKPT_CHUNK_LAST_AT]);
	if (!nulls[TCKPT_CHUNK_NEXT_AT])
		chunk->next_at = DatumGetTimestampTz(values[TCKPT_CHUNK_NEXT_AT]);
	chunk->archived_at = DatumGetTimestampTz(values[TCKPT_CHUNK_ARCHIVED_AT]);
	if (!nulls[TCKPT_CHUNK_CLEARED_BY])
		chunk->cleared_by = TextDatumGetCString(values[TCKPT_CHUNK_CLEARED_BY]);
	chunk->entries = values[TCKPT_CHUNK_ENTRIES];
	chunk->results = values[TCKPT_CHUNK_RESULTS];
	chunk->has_results = !nulls[TCKPT_CHUNK_RESULTS];
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

	memset(nulls, false, TCKPT_CHUNK_NCOLUMNS * sizeof(bool));
	values[TCKPT_CHUNK_STEP] = UUIDPGetDatum(&chunk->step);
	values[TCKPT_CHUNK_GENERATION] = Int32GetDatum(chunk->generation);
	values[TCKPT_CHUNK_FIRST_SEQUENCE] = Int64GetDatum(chunk->first);
	values[TCKPT_CHUNK_LAST_SEQUENCE] = Int64GetDatum(chunk->last);
	values[TCKPT_CHUNK_LAST_AT] = TimestampTzGetDatum(chunk->last_at);
	nulls[TCKPT_CHUNK_LAST_AT] = chunk->last_at == 0;
	values[TCKPT_CHUNK_NEXT_AT] = TimestampTzGetDatum(chunk->next_at);
	nulls[TCKPT_CHUNK_NEXT_AT] = chunk->next_at == 0;
	values[TCKPT_CHUNK_ARCHIVED_AT] = TimestampTzGetDatum(chunk->archived_at);
	nulls[TCKPT_CHUNK_CLEARED_BY] = chunk->cleared_by == NULL;
	if (chunk->cleared_by != NULL)
		values[TCKPT_CHUNK_CLEARED_BY] = CStringGetTextDatum(chunk->cleared_by);
	values[TCKPT_CHUNK_ENTRIES] = tckpt_compress(chunk->entries,
												 TupleDescAttr(slot->tts_tupleDescriptor,
															   TCKPT_CHUNK_ENTRIES));
	values[TCKPT_CHUNK_RESULTS] = chunk->results;
	nulls[TCKPT_CHUNK_RESULTS] = !chunk->has_results;
	return ExecStoreVirtualTuple(slot);
}

/* Replaces the version of a row that was read, unless somebody else has. */
void
tckpt_chunk_update(Oid function, TckptChunk *chunk)
{
	Relation	rel = tckpt_chunk_table(function, RowExclusiveLock);
	TupleTableSlot *slot = make_row(rel, chunk);

	(void) tckpt_own_update(rel, &chunk->tid, slot, NULL);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
}

/* A row that is there already says the same. */
void
tckpt_chunk_insert(Oid function, const TckptChunk *chunk)
{
	Relation	rel = tckpt_chunk_table(function, RowExclusiveLock);
	TupleTableSlot *slot = make_row(rel, chunk);

	/* what somebody did to the index is no reason to refuse a checkpoint */
	if (OidIsValid(tckpt_own_find_index(rel, &key_index)))
		(void) tckpt_own_insert_new(rel, slot, &key_index);
	else
		tckpt_own_insert(rel, slot);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
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
tckpt_chunk_purge(Oid function, TimestampTz cutoff, int64 max_rows,
				  bool dry_run)
{
	Relation	rel = tckpt_chunk_table(function,
										dry_run ? AccessShareLock : RowExclusiveLock);
	Oid			index = tckpt_own_find_index(rel, &age_index);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	int64		count = 0;

	ScanKeyInit(&key, TCKPT_CHUNK_ATTNO(TCKPT_CHUNK_ARCHIVED_AT), BTLessStrategyNumber,
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
