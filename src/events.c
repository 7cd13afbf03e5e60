/*-------------------------------------------------------------------------
 *
 * events.c
 *	  The table tasker_checkpoint_events: one row for a step that is
 *	  dispatched, paused or cancelled.
 *
 * The only file that knows the table.  A row is found and locked, read into a
 * TckptEvent, changed there and written back whole; the protocol is
 * dispatch.c's.  Whoever also needs the step's row locks that one first.
 *
 * The table is the extension's own and is read and written below the executor:
 * that takes a tenth of what statements took, and needs no planner and no
 * rights.
 *
 * Every lookup has the newest snapshot.  Each write ends with a new command,
 * so that the next lookup in this transaction sees it.
 *
 * Its owner can store whatever the table's constraints allow, and drop those.
 * So a row that is read need not be whole; what is missing is taken for what
 * harms nobody, and the next write stores it so.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "events.h"
#include "guc.h"
#include "own.h"
#include "tasker_checkpoint.h"

/* The table's columns in their order */
enum
{
	COL_STEP,
	COL_DIRECTIVE,
	COL_PARKED,
	COL_EVENT_ID,
	COL_CONTINUATION,
	COL_WORKER,
	COL_AVAILABLE_AT,
	COL_LEASE,
	COL_LEASE_UNTIL,
	COL_DELIVERIES,
	COL_SEQUENCE,
	COL_YIELD_EVENT_ID,
	COL_YIELD_DIGEST,
	COL_YIELD_SEQUENCE,
	COL_YIELD_CHECKPOINTED_AT,
	COL_SAVE_EVENT_ID,
	COL_SAVE_DIGEST,
	COL_SAVE_SEQUENCE,
	COL_SAVE_CHECKPOINTED_AT,
	NCOLUMNS
};

#define ATTNO(column)	((AttrNumber) ((column) + 1))

static const Oid column_types[NCOLUMNS] = {
	[COL_STEP] = UUIDOID,
	[COL_DIRECTIVE] = TEXTOID,
	[COL_PARKED] = BOOLOID,
	[COL_EVENT_ID] = UUIDOID,
	[COL_CONTINUATION] = UUIDOID,
	[COL_WORKER] = TEXTOID,
	[COL_AVAILABLE_AT] = TIMESTAMPTZOID,
	[COL_LEASE] = INTERVALOID,
	[COL_LEASE_UNTIL] = TIMESTAMPTZOID,
	[COL_DELIVERIES] = INT4OID,
	[COL_SEQUENCE] = INT8OID,
	[COL_YIELD_EVENT_ID] = UUIDOID,
	[COL_YIELD_DIGEST] = INT8OID,
	[COL_YIELD_SEQUENCE] = INT8OID,
	[COL_YIELD_CHECKPOINTED_AT] = TIMESTAMPTZOID,
	[COL_SAVE_EVENT_ID] = UUIDOID,
	[COL_SAVE_DIGEST] = INT8OID,
	[COL_SAVE_SEQUENCE] = INT8OID,
	[COL_SAVE_CHECKPOINTED_AT] = TIMESTAMPTZOID
};

static const TckptOwnTable events_table = {
	"tasker_checkpoint_events", NCOLUMNS, column_types
};

static List *claimable_condition(Relation rel);

/* Rows are looked for by these, or one by one where one is missing. */
static const TckptOwnIndex lookup_indexes[] = {
	[TCKPT_BY_STEP] = {
		.definition = "(step_uuid)",
		.nkeys = 1,
		.keys = {ATTNO(COL_STEP)}
	},
	[TCKPT_BY_EVENT] = {
		.definition = "(event_id)",
		.nkeys = 1,
		.keys = {ATTNO(COL_EVENT_ID)}
	}
};

/* A step has one row. */
static const TckptOwnIndex step_key = {
	.definition = "(step_uuid)",
	.unique = true,
	.nkeys = 1,
	.keys = {ATTNO(COL_STEP)}
};

/* Who claims needs the oldest first, however many there are. */
static const TckptOwnIndex claimable_index = {
	.definition = "(available_at) WHERE event_id IS NOT NULL AND directive = 'continue' AND NOT parked",
	.ordered = true,
	.nkeys = 1,
	.keys = {ATTNO(COL_AVAILABLE_AT)},
	.condition = claimable_condition
};

/* A walk over the table, along an index if there is one */
struct TckptEventScan
{
	Relation	rel;
	Relation	index;			/* NULL: in no order */
	Snapshot	snapshot;
	SysScanDesc scan;
	MemoryContext context;		/* of what the index allocates on the way */
};

typedef enum LockResult
{
	ROW_LOCKED,
	ROW_BUSY,
	ROW_GONE
} LockResult;

static const char *const directive_names[] = {"continue", "pause", "cancel"};

const char *
tckpt_directive_name(TckptDirective directive)
{
	return directive_names[directive];
}

/*
 * Gives the row an event id that nobody knows yet: a UUID of version 7, of
 * whose bits 74 are random.  The time in front of them keeps the index's new
 * entries together.
 */
void
tckpt_event_new_id(TckptEvent *event)
{
	unsigned char *data = event->event_id.data;
	uint64		msecs = (uint64) GetCurrentTimestamp() / 1000 +
		(uint64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000;

	if (!pg_strong_random(data, UUID_LEN))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	for (int i = 0; i < 6; i++)
		data[i] = (unsigned char) (msecs >> (40 - 8 * i));
	data[6] = (data[6] & 0x0f) | 0x70;
	data[8] = (data[8] & 0x3f) | 0x80;
	event->has_event = true;
}

/* Whether a worker has it, under a lease that has not run out. */
bool
tckpt_event_is_leased(const TckptEvent *event, TimestampTz now)
{
	return event->worker != NULL && event->lease_until > now;
}

static Expr *
make_column(Relation rel, int column)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), column);

	return (Expr *) makeVar(1, att->attnum, att->atttypid, att->atttypmod,
							att->attcollation, 0);
}

/* What the partial index says of its rows, as the planner would have it. */
static List *
claimable_condition(Relation rel)
{
	Form_pg_attribute directive = TupleDescAttr(RelationGetDescr(rel), COL_DIRECTIVE);
	NullTest   *has_event = makeNode(NullTest);
	Expr	   *goes_on;
	Expr	   *not_parked;

	has_event->arg = make_column(rel, COL_EVENT_ID);
	has_event->nulltesttype = IS_NOT_NULL;
	goes_on = make_opclause(TextEqualOperator, BOOLOID, false,
							make_column(rel, COL_DIRECTIVE),
							(Expr *) makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1,
											   CStringGetTextDatum(tckpt_directive_name(TCKPT_CONTINUE)),
											   false, false),
							InvalidOid, directive->attcollation);
	set_opfuncid((OpExpr *) goes_on);
	not_parked = makeBoolExpr(NOT_EXPR, list_make1(make_column(rel, COL_PARKED)), -1);
	return list_make3(has_event, goes_on, not_parked);
}

static Relation
open_events(Oid function, LOCKMODE lockmode)
{
	return tckpt_own_open(function, &events_table, lockmode);
}

/* The table itself, whose first column is the step. */
Relation
tckpt_event_table(Oid function, LOCKMODE lockmode)
{
	return open_events(function, lockmode);
}

/* A step whose directive is unknown is held back, until it is resumed. */
static TckptDirective
read_directive(Datum value, bool isnull)
{
	text	   *name = isnull ? NULL : DatumGetTextPP(value);

	for (int i = 0; name != NULL && i < (int) lengthof(directive_names); i++)
		if (VARSIZE_ANY_EXHDR(name) == strlen(directive_names[i]) &&
			memcmp(VARDATA_ANY(name), directive_names[i], VARSIZE_ANY_EXHDR(name)) == 0)
			return (TckptDirective) i;
	return TCKPT_PAUSE;
}

/* No more of a name than a worker can have. */
static char *
read_worker(Datum value)
{
	text	   *name = DatumGetTextPSlice(value, 0, TCKPT_MAX_WORKER_LENGTH + MAX_MULTIBYTE_CHAR_LEN);
	int			length = VARSIZE_ANY_EXHDR(name);

	if (length > TCKPT_MAX_WORKER_LENGTH)
		length = pg_mbcliplen(VARDATA_ANY(name), length, TCKPT_MAX_WORKER_LENGTH);
	return pnstrdup(VARDATA_ANY(name), length);
}

/* In microseconds, within what can be asked for; else claim's default. */
static int64
read_lease(Datum value, bool isnull)
{
	const int64 longest = TCKPT_MAX_LEASE * USECS_PER_SEC;
	Interval   *lease = isnull ? NULL : DatumGetIntervalP(value);

	if (lease == NULL || lease->month < 0 || lease->day < 0 || lease->time < 0 ||
		(lease->month == 0 && lease->day == 0 && lease->time == 0))
		return USECS_PER_MINUTE;
	if (lease->month > 0 || lease->day > TCKPT_MAX_LEASE / SECS_PER_DAY ||
		lease->time > longest)
		return longest;
	return Min(lease->day * USECS_PER_DAY + lease->time, longest);
}

/*
 * A time that is missing has passed.  One that is no time of ours is endless,
 * so that it can be reckoned with.
 */
static TimestampTz
read_time(Datum value, bool isnull)
{
	const TimestampTz first = (UNIX_EPOCH_JDATE - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY;
	TimestampTz t = isnull ? DT_NOBEGIN : DatumGetTimestampTz(value);

	return t < first ? DT_NOBEGIN : t > PG_INT64_MAX / 2 ? DT_NOEND : t;
}

/* One of which a part is missing is none. */
static void
read_receipt(const Datum *values, const bool *nulls, int column,
			 TckptReceipt *receipt)
{
	receipt->is_set = !nulls[column] && !nulls[column + 1] &&
		!nulls[column + 2] && !nulls[column + 3];
	if (receipt->is_set)
	{
		receipt->event_id = *DatumGetUUIDP(values[column]);
		receipt->digest = DatumGetInt64(values[column + 1]);
		receipt->sequence = DatumGetInt64(values[column + 2]);
		receipt->checkpointed_at = DatumGetTimestampTz(values[column + 3]);
	}
}

static void
read_claim(const Datum *values, const bool *nulls, TckptEvent *event)
{
	event->worker = read_worker(values[COL_WORKER]);
	event->lease = read_lease(values[COL_LEASE], nulls[COL_LEASE]);
	event->lease_until = read_time(values[COL_LEASE_UNTIL], nulls[COL_LEASE_UNTIL]);
}

/* False if the row is no step's. */
static bool
read_event(Relation rel, HeapTuple tuple, TckptEvent *event)
{
	Datum		values[NCOLUMNS];
	bool		nulls[NCOLUMNS];

	heap_deform_tuple(tuple, RelationGetDescr(rel), values, nulls);
	memset(event, 0, sizeof(*event));
	event->tid = tuple->t_self;
	if (nulls[COL_STEP])
		return false;

	event->step = *DatumGetUUIDP(values[COL_STEP]);
	event->directive = read_directive(values[COL_DIRECTIVE], nulls[COL_DIRECTIVE]);
	event->parked = nulls[COL_PARKED] || DatumGetBool(values[COL_PARKED]);
	event->has_event = !nulls[COL_EVENT_ID];
	if (event->has_event)
		event->event_id = *DatumGetUUIDP(values[COL_EVENT_ID]);
	if (event->has_event && !nulls[COL_WORKER])
		read_claim(values, nulls, event);
	event->available_at = read_time(values[COL_AVAILABLE_AT], nulls[COL_AVAILABLE_AT]);
	if (!nulls[COL_DELIVERIES])
		event->deliveries = Max(DatumGetInt32(values[COL_DELIVERIES]), 0);
	if (!nulls[COL_SEQUENCE])
		event->sequence = Max(DatumGetInt64(values[COL_SEQUENCE]), 0);

	read_receipt(values, nulls, COL_YIELD_EVENT_ID, &event->yielded);
	if (nulls[COL_CONTINUATION])
		event->yielded.is_set = false;
	if (event->yielded.is_set)
		event->continuation = *DatumGetUUIDP(values[COL_CONTINUATION]);
	read_receipt(values, nulls, COL_SAVE_EVENT_ID, &event->saved);
	return true;
}

static void
fill_receipt(const TckptReceipt *receipt, int column, Datum *values, bool *nulls)
{
	values[column] = UUIDPGetDatum(&receipt->event_id);
	values[column + 1] = Int64GetDatum(receipt->digest);
	values[column + 2] = Int64GetDatum(receipt->sequence);
	values[column + 3] = TimestampTzGetDatum(receipt->checkpointed_at);
	nulls[column] = nulls[column + 1] = nulls[column + 2] =
		nulls[column + 3] = !receipt->is_set;
}

/* The row as it is to be stored; it may point into "event". */
static TupleTableSlot *
make_row(Relation rel, const TckptEvent *event)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(rel),
													&TTSOpsVirtual);
	Datum	   *values = slot->tts_values;
	bool	   *nulls = slot->tts_isnull;
	Interval   *lease = palloc0(sizeof(Interval));

	memset(nulls, false, NCOLUMNS * sizeof(bool));
	lease->time = event->lease;

	values[COL_STEP] = UUIDPGetDatum(&event->step);
	values[COL_DIRECTIVE] = CStringGetTextDatum(tckpt_directive_name(event->directive));
	values[COL_PARKED] = BoolGetDatum(event->parked);
	values[COL_EVENT_ID] = UUIDPGetDatum(&event->event_id);
	nulls[COL_EVENT_ID] = !event->has_event;
	values[COL_CONTINUATION] = UUIDPGetDatum(&event->continuation);
	nulls[COL_CONTINUATION] = !event->yielded.is_set;
	if (event->worker != NULL)
		values[COL_WORKER] = CStringGetTextDatum(event->worker);
	values[COL_LEASE] = IntervalPGetDatum(lease);
	values[COL_LEASE_UNTIL] = TimestampTzGetDatum(event->lease_until);
	nulls[COL_WORKER] = nulls[COL_LEASE] = nulls[COL_LEASE_UNTIL] =
		event->worker == NULL;
	values[COL_AVAILABLE_AT] = TimestampTzGetDatum(event->available_at);
	values[COL_DELIVERIES] = Int32GetDatum(event->deliveries);
	values[COL_SEQUENCE] = Int64GetDatum(event->sequence);
	fill_receipt(&event->yielded, COL_YIELD_EVENT_ID, values, nulls);
	fill_receipt(&event->saved, COL_SAVE_EVENT_ID, values, nulls);

	return ExecStoreVirtualTuple(slot);
}

/* Reads the row that a snapshot has; false if there is none. */
static bool
read_visible(Relation rel, TckptLookup lookup, const pg_uuid_t *id,
			 Snapshot snapshot, TckptEvent *event)
{
	const TckptOwnIndex *by = &lookup_indexes[lookup];
	Oid			index = tckpt_own_find_index(rel, by);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	ScanKeyInit(&key, by->keys[0], BTEqualStrategyNumber, F_UUID_EQ,
				UUIDPGetDatum(id));
	scan = systable_beginscan(rel, index, OidIsValid(index), snapshot, 1, &key);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
		found = read_event(rel, tuple, event);
	systable_endscan(scan);
	return found;
}

static bool
same_receipt(const TckptReceipt *a, const TckptReceipt *b)
{
	return a->is_set == b->is_set &&
		(!a->is_set ||
		 (memcmp(&a->event_id, &b->event_id, sizeof(pg_uuid_t)) == 0 &&
		  a->digest == b->digest && a->sequence == b->sequence));
}

/* Whether two versions of a row say the same to a writer of the step. */
static bool
same_for_writers(const TckptEvent *a, const TckptEvent *b)
{
	return a->has_event == b->has_event &&
		memcmp(&a->event_id, &b->event_id, sizeof(pg_uuid_t)) == 0 &&
		a->directive == b->directive &&
		same_receipt(&a->yielded, &b->yielded) &&
		memcmp(&a->continuation, &b->continuation, sizeof(pg_uuid_t)) == 0 &&
		same_receipt(&a->saved, &b->saved);
}

/*
 * Under REPEATABLE READ the newest row, NULL if there is none, must say what
 * the transaction's snapshot has: a fence must not take a newer one for none,
 * nor go by it as if it had been there.  A worker's heartbeats from another
 * connection change nothing of that.  Raises 40001.
 */
static void
require_no_newer(Relation rel, TckptLookup lookup, const pg_uuid_t *id,
				 const TckptEvent *newest)
{
	TckptEvent	visible;

	if (!IsolationUsesXactSnapshot())
		return;
	if (newest == NULL ?
		read_visible(rel, lookup, id, GetTransactionSnapshot(), &visible) :
		!read_visible(rel, TCKPT_BY_STEP, &newest->step, GetTransactionSnapshot(), &visible) ||
		!same_for_writers(&visible, newest))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent update"),
				 errhint("Run the transaction again.")));
}

/* Locks the newest version of a row that was read, and reads that. */
static LockResult
lock_row(Relation rel, LockWaitPolicy policy, TckptEvent *event)
{
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TM_FailureData failure;
	TM_Result	result;
	bool		whole = false;

	result = table_tuple_lock(rel, &event->tid, GetLatestSnapshot(), slot,
							  GetCurrentCommandId(false), LockTupleExclusive,
							  policy, TUPLE_LOCK_FLAG_FIND_LAST_VERSION,
							  &failure);
	if (result == TM_Ok)
	{
		bool		should_free;
		HeapTuple	tuple = ExecFetchSlotHeapTuple(slot, false, &should_free);

		whole = read_event(rel, tuple, event);
		event->locked = true;
		if (should_free)
			heap_freetuple(tuple);
	}
	ExecDropSingleTupleTableSlot(slot);

	switch (result)
	{
		case TM_Ok:
			return whole ? ROW_LOCKED : ROW_GONE;
		case TM_WouldBlock:
			return ROW_BUSY;
		case TM_Updated:
		case TM_Deleted:
			return ROW_GONE;
		default:
			elog(ERROR, "unexpected table_tuple_lock status: %u", result);
	}
}

/* Whether a row, after it was locked, still is the one that was looked for. */
static bool
is_still(const TckptEvent *event, TckptLookup lookup, const pg_uuid_t *id)
{
	if (lookup == TCKPT_BY_STEP)
		return memcmp(&event->step, id, sizeof(pg_uuid_t)) == 0;
	return event->has_event &&
		memcmp(&event->event_id, id, sizeof(pg_uuid_t)) == 0;
}

/*
 * Finds a row by its step or its current event.  A lock on it lasts until the
 * transaction ends.  Without a row the result is false, and "event" an empty
 * one.  Raises 40001 where the transaction's snapshot is too old to say.
 */
bool
tckpt_event_find(Oid function, TckptLookup lookup, const pg_uuid_t *id,
				 TckptLocking locking, TckptEvent *event)
{
	Relation	rel = open_events(function, RowExclusiveLock);
	LockResult	result;
	bool		found;

	do
	{
		Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());

		found = read_visible(rel, lookup, id, snapshot, event);
		UnregisterSnapshot(snapshot);

		result = ROW_LOCKED;
		if (found && locking != TCKPT_UNLOCKED)
			result = lock_row(rel,
							  locking == TCKPT_LOCK ? LockWaitBlock : LockWaitSkip,
							  event);
		/* one that is gone may have been made again */
	} while (result == ROW_GONE);

	if (result == ROW_LOCKED)
		require_no_newer(rel, lookup, id, found ? event : NULL);
	found = found && result == ROW_LOCKED && is_still(event, lookup, id);
	if (!found)
		memset(event, 0, sizeof(*event));
	table_close(rel, NoLock);
	return found;
}

/* The row is ours alone: what is in the way now was done by a trigger. */
static void
raise_changed_by_trigger(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
			 errmsg("row of table \"%s\" was changed by a trigger while it was written",
					events_table.name),
			 errhint("Let triggers on this table write to other tables only.")));
}

/* False if somebody else made a row for this step meanwhile. */
bool
tckpt_event_insert(Oid function, TckptEvent *event)
{
	Relation	rel = open_events(function, RowExclusiveLock);
	TupleTableSlot *slot = make_row(rel, event);
	bool		inserted = tckpt_own_insert_new(rel, slot, &step_key);

	event->tid = slot->tts_tid;
	event->locked = inserted;
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
	return inserted;
}

/*
 * Writes a row that was read.  False, and nothing is written, if somebody else
 * has changed it since: so never if it was locked.
 */
bool
tckpt_event_update(Oid function, TckptEvent *event)
{
	Relation	rel = open_events(function, RowExclusiveLock);
	TupleTableSlot *slot = make_row(rel, event);
	TM_Result	result = tckpt_own_update(rel, &event->tid, slot);

	if (result == TM_Ok)
	{
		event->tid = slot->tts_tid;
		event->locked = true;
	}
	else if (event->locked || (result != TM_Updated && result != TM_Deleted))
		raise_changed_by_trigger();
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
	return result == TM_Ok;
}

/* The row must have been locked. */
void
tckpt_event_delete(Oid function, const TckptEvent *event)
{
	Relation	rel = open_events(function, RowExclusiveLock);
	ItemPointerData tid = event->tid;

	if (tckpt_own_delete(rel, &tid) != TM_Ok)
		raise_changed_by_trigger();
	table_close(rel, NoLock);
}

/*
 * Empties the table; returns how many rows it had.  Nobody can make one on the
 * way while the steps table is locked.
 */
int64
tckpt_event_delete_all(Oid function)
{
	Relation	rel = open_events(function, RowExclusiveLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	HeapTuple	tuple;
	TckptEvent	event;
	int64		count = 0;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		CHECK_FOR_INTERRUPTS();
		if (read_event(rel, tuple, &event) &&
			lock_row(rel, LockWaitBlock, &event) != ROW_LOCKED)
			continue;
		if (tckpt_own_delete(rel, &event.tid) != TM_Ok)
			raise_changed_by_trigger();
		count++;
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
	CommandCounterIncrement();
	return count;
}

/* A walk over the rows that a snapshot has. */
static TckptEventScan *
begin_scan(Relation rel, const TckptOwnIndex *by, int nkeys, ScanKey keys,
		   Snapshot snapshot)
{
	TckptEventScan *scan = palloc0(sizeof(TckptEventScan));
	Oid			index;

	scan->context = CurrentMemoryContext;
	scan->rel = rel;
	index = by->ordered ? tckpt_own_index(scan->rel, by) :
		tckpt_own_find_index(scan->rel, by);
	scan->snapshot = RegisterSnapshot(snapshot);
	if (OidIsValid(index))
	{
		scan->index = index_open(index, AccessShareLock);
		scan->scan = systable_beginscan_ordered(scan->rel, scan->index,
												scan->snapshot, nkeys, keys);
	}
	else
		scan->scan = systable_beginscan(scan->rel, InvalidOid, false,
										scan->snapshot, nkeys, keys);
	return scan;
}

/*
 * Begins a walk over events that are available by "now", the oldest first; and
 * over the others where the time can be missing.  Raises 55000 if there is no
 * index for it.
 */
TckptEventScan *
tckpt_event_scan_claimable(Oid function, TimestampTz now)
{
	Relation	rel = open_events(function, RowExclusiveLock);
	TupleDesc	tupdesc = RelationGetDescr(rel);
	bool		whole = TupleDescAttr(tupdesc, COL_AVAILABLE_AT)->attnotnull;
	ScanKeyData key;

	ScanKeyInit(&key, ATTNO(COL_AVAILABLE_AT), BTLessEqualStrategyNumber,
				F_TIMESTAMPTZ_LE, TimestampTzGetDatum(now));
	return begin_scan(rel, &claimable_index, whole ? 1 : 0, &key,
					  GetLatestSnapshot());
}

/*
 * Begins a walk over all rows, or over that of one step: those that the
 * statement sees, or, for an update of them, the newest.
 */
TckptEventScan *
tckpt_event_scan_steps(Oid function, const pg_uuid_t *step, bool for_update)
{
	Relation	rel = open_events(function,
								  for_update ? RowExclusiveLock : AccessShareLock);
	ScanKeyData key;

	if (step != NULL)
		ScanKeyInit(&key, ATTNO(COL_STEP), BTEqualStrategyNumber, F_UUID_EQ,
					UUIDPGetDatum(step));
	return begin_scan(rel, &lookup_indexes[TCKPT_BY_STEP],
					  step != NULL ? 1 : 0, &key,
					  for_update ? GetLatestSnapshot() : GetActiveSnapshot());
}

/* The next one, as it was when the walk began; false at the end. */
bool
tckpt_event_scan_next(TckptEventScan *scan, TckptEvent *event)
{
	for (;;)
	{
		MemoryContext caller = MemoryContextSwitchTo(scan->context);
		HeapTuple	tuple;

		if (scan->index != NULL)
			tuple = systable_getnext_ordered(scan->scan, ForwardScanDirection);
		else
			tuple = systable_getnext(scan->scan);
		MemoryContextSwitchTo(caller);
		if (!HeapTupleIsValid(tuple))
			return false;
		if (read_event(scan->rel, tuple, event))
			return true;
	}
}

/* Locks the newest version of it; false if it is gone or others have it. */
bool
tckpt_event_scan_lock(TckptEventScan *scan, TckptEvent *event)
{
	return lock_row(scan->rel, LockWaitSkip, event) == ROW_LOCKED;
}

void
tckpt_event_scan_end(TckptEventScan *scan)
{
	if (scan->index != NULL)
	{
		systable_endscan_ordered(scan->scan);
		index_close(scan->index, NoLock);
	}
	else
		systable_endscan(scan->scan);
	UnregisterSnapshot(scan->snapshot);
	table_close(scan->rel, NoLock);
	pfree(scan);
}
