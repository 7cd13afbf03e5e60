/*-------------------------------------------------------------------------
 *
 * events.c
 *	  The table tasker_checkpoint_events: one row for a step that is
 *	  dispatched, paused or cancelled.
 *
 * A row is found and locked, changed as a TckptEvent and written back whole; the
 * protocol is protocol.c's.  Whoever also needs the step's row locks that one
 * first.
 *
 * The table is the extension's own and is read and written below the executor:
 * that takes a tenth of what statements took, and needs no planner and no
 * rights.
 *
 * Every lookup has the newest snapshot.  Each write ends with a new command,
 * so that the next lookup in this transaction sees it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/multixact.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/procarray.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "dispatch/events.h"
#include "dispatch/front.h"
#include "tasker_checkpoint.h"

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

/* False if the row is no step's. */
static bool
read_slot(Relation rel, TupleTableSlot *slot, TckptEvent *event)
{
	bool		should_free;
	HeapTuple	tuple = ExecFetchSlotHeapTuple(slot, false, &should_free);
	bool		whole = tckpt_event_read(rel, tuple, event);

	if (should_free)
		heap_freetuple(tuple);
	return whole;
}

/* Rows that this transaction has written last, one for each place of a step */
#define WRITTEN_ROWS	16

static struct
{
	TransactionId xid;
	pg_uuid_t	step;
	ItemPointerData tid;
}			written[WRITTEN_ROWS];

static int
place_of(const pg_uuid_t *step)
{
	return step->data[UUID_LEN - 1] % WRITTEN_ROWS;
}

static void
remember_written(const TckptEvent *event)
{
	int			place = place_of(&event->step);

	written[place].xid = GetTopTransactionId();
	written[place].step = event->step;
	written[place].tid = event->tid;
}

/*
 * Reads the row of a step where this transaction has put it; false if it is not,
 * or not any more, there.  An index would lead through each version before.
 */
static bool
read_written(Relation rel, const pg_uuid_t *step, Snapshot snapshot,
			 TckptEvent *event)
{
	int			place = place_of(step);
	ItemPointer tid = &written[place].tid;
	TupleTableSlot *slot;
	bool		found;

	if (!TransactionIdIsValid(written[place].xid) ||
		written[place].xid != GetTopTransactionIdIfAny() ||
		!tckpt_same_uuid(&written[place].step, step) ||
		ItemPointerGetBlockNumber(tid) >= RelationGetNumberOfBlocks(rel))
		return false;

	slot = table_slot_create(rel, NULL);
	found = table_tuple_fetch_row_version(rel, tid, snapshot, slot) &&
		read_slot(rel, slot, event) && tckpt_same_uuid(&event->step, step);
	ExecDropSingleTupleTableSlot(slot);
	return found;
}

/* Reads the row that a snapshot has; false if there is none. */
static bool
read_visible(Relation rel, TckptLookup lookup, const pg_uuid_t *id,
			 Snapshot snapshot, TckptEvent *event)
{
	const TckptOwnIndex *by = &tckpt_event_lookups[lookup];
	Oid			index = tckpt_own_find_index(rel, by);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	ScanKeyInit(&key, by->keys[0], BTEqualStrategyNumber, F_UUID_EQ,
				UUIDPGetDatum(id));
	scan = systable_beginscan(rel, index, OidIsValid(index), snapshot, 1, &key);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
		found = tckpt_event_read(rel, tuple, event);
	systable_endscan(scan);
	return found;
}

/*
 * Under REPEATABLE READ the newest row, NULL if there is none, must say what
 * the transaction's snapshot has: a fence must not take a newer one for none,
 * nor go by it as if it had been there.  A worker's heartbeats from another
 * connection change nothing of that; what the transaction has written itself was
 * looked at before it did.  Raises 40001.
 */
static void
require_no_newer(Relation rel, TckptLookup lookup, const pg_uuid_t *id,
				 const TckptEvent *newest)
{
	TckptEvent	visible;

	if (!IsolationUsesXactSnapshot() || (newest != NULL && newest->ours))
		return;
	if (newest == NULL ?
		read_visible(rel, lookup, id, GetTransactionSnapshot(), &visible) :
		!read_visible(rel, TCKPT_BY_STEP, &newest->step, GetTransactionSnapshot(), &visible) ||
		!tckpt_event_is_same_for_writers(&visible, newest))
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
		whole = read_slot(rel, slot, event);
		event->locked = true;
	}
	ExecDropSingleTupleTableSlot(slot);

	switch (result)
	{
		case TM_Ok:
			return whole ? ROW_LOCKED : ROW_GONE;
		case TM_WouldBlock:
			return ROW_BUSY;

			/*
			 * by code of others that this command has run since it was looked
			 * at
			 */
		case TM_Invisible:
		case TM_SelfModified:
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
		return tckpt_same_uuid(&event->step, id);
	return event->has_event &&
		tckpt_same_uuid(&event->event_id, id);
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
	Relation	rel = tckpt_event_table(function, RowExclusiveLock);
	LockResult	result;
	bool		found;

	do
	{
		Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());

		found = (lookup == TCKPT_BY_STEP && read_written(rel, id, snapshot, event)) ||
			read_visible(rel, lookup, id, snapshot, event);
		UnregisterSnapshot(snapshot);

		result = ROW_LOCKED;
		if (found && locking != TCKPT_UNLOCKED)
			result = lock_row(rel,
							  locking == TCKPT_LOCK_NOWAIT ? LockWaitSkip : LockWaitBlock,
							  event);
		/* one that is gone may have been made again */
	} while (result == ROW_GONE);

	if (result == ROW_LOCKED && locking != TCKPT_LOCK_NEWEST)
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
					"tasker_checkpoint_events"),
			 errhint("Let triggers on this table write to other tables only.")));
}

/* False if somebody else made a row for this step meanwhile. */
bool
tckpt_event_insert(Oid function, TckptEvent *event)
{
	Relation	rel = tckpt_event_table(function, RowExclusiveLock);
	TupleTableSlot *slot = tckpt_event_row(rel, event);
	bool		inserted = tckpt_own_insert_new(rel, slot, &tckpt_event_step_key);

	event->tid = slot->tts_tid;
	event->locked = inserted;
	if (inserted)
		remember_written(event);
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
	Relation	rel = tckpt_event_table(function, RowExclusiveLock);
	TupleTableSlot *slot = tckpt_event_row(rel, event);
	TM_Result	result = tckpt_own_update(rel, &event->tid, slot, &tckpt_event_step_key);

	if (result == TM_Ok)
	{
		event->tid = slot->tts_tid;
		event->locked = true;
		remember_written(event);
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
	Relation	rel = tckpt_event_table(function, RowExclusiveLock);
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
	Relation	rel = tckpt_event_table(function, RowExclusiveLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	HeapTuple	tuple;
	TckptEvent	event;
	int64		count = 0;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		CHECK_FOR_INTERRUPTS();
		if (tckpt_event_read(rel, tuple, &event) &&
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

/*
 * Begins a walk over all rows, or over that of one step: those that the
 * statement sees, or, for an update of them, the newest.
 */
TckptEventScan *
tckpt_event_scan_steps(Oid function, const pg_uuid_t *step, bool for_update)
{
	TckptEventScan *scan = palloc0(sizeof(TckptEventScan));
	int			nkeys = step != NULL ? 1 : 0;
	ScanKeyData key;
	Oid			index;

	scan->context = CurrentMemoryContext;
	scan->rel = tckpt_event_table(function,
								  for_update ? RowExclusiveLock : AccessShareLock);
	index = tckpt_own_find_index(scan->rel, &tckpt_event_lookups[TCKPT_BY_STEP]);
	scan->snapshot = RegisterSnapshot(for_update ? GetLatestSnapshot() : GetActiveSnapshot());
	if (step != NULL)
		ScanKeyInit(&key, TCKPT_EVENT_ATTNO(TCKPT_EVENT_STEP), BTEqualStrategyNumber, F_UUID_EQ,
					UUIDPGetDatum(step));
	if (OidIsValid(index))
	{
		scan->index = index_open(index, AccessShareLock);
		scan->scan = systable_beginscan_ordered(scan->rel, scan->index,
												scan->snapshot, nkeys, &key);
	}
	else
		scan->scan = systable_beginscan(scan->rel, InvalidOid, false,
										scan->snapshot, nkeys, &key);
	return scan;
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
		if (tckpt_event_read(scan->rel, tuple, event))
			return true;
	}
}

/*
 * Locks the newest version of a row that was read, and reads that; false if it is
 * gone or others have it.
 */
bool
tckpt_event_try_lock(Relation rel, TckptEvent *event)
{
	return lock_row(rel, LockWaitSkip, event) == ROW_LOCKED;
}

/*
 * Whether somebody holds a row that a snapshot has, which is registered, or has
 * changed it since: then nobody else can lock it as it is.
 */
bool
tckpt_event_is_taken(Relation rel, const TckptEvent *event)
{
	Buffer		buffer = ReadBuffer(rel, ItemPointerGetBlockNumber(&event->tid));
	Page		page;
	ItemId		item;
	bool		taken = true;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	page = BufferGetPage(buffer);
	item = PageGetItemId(page, ItemPointerGetOffsetNumber(&event->tid));
	if (ItemIdIsNormal(item))
	{
		HeapTupleHeader row = (HeapTupleHeader) PageGetItem(page, item);
		bool		only_locked = HEAP_XMAX_IS_LOCKED_ONLY(row->t_infomask);
		TransactionId xmax = HeapTupleHeaderGetRawXmax(row);

		if (row->t_infomask & HEAP_XMAX_INVALID)
			taken = false;
		else if (row->t_infomask & HEAP_XMAX_IS_MULTI)
			taken = MultiXactIdIsRunning(xmax, only_locked) ||
				(!only_locked && TransactionIdDidCommit(HeapTupleGetUpdateXid(row)));
		else
			taken = TransactionIdIsInProgress(xmax) ||
				(!only_locked && TransactionIdDidCommit(xmax));
	}
	UnlockReleaseBuffer(buffer);
	return taken;
}

/*
 * Whether an event is there, and can be claimed, and nobody is about to do so.  If so
 * the walks of this session meet it from now on.
 */
bool
tckpt_event_is_offered(Oid function, const pg_uuid_t *event_id, TckptEvent *event)
{
	Relation	rel = tckpt_event_table(function, AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	bool		offered;

	offered = read_visible(rel, TCKPT_BY_EVENT, event_id, snapshot, event) &&
		tckpt_event_is_claimable(event, GetCurrentTimestamp()) &&
		!tckpt_event_is_taken(rel, event);
	if (offered)
		tckpt_front_include(RelationGetRelid(rel), event);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
	return offered;
}

/* The same of one that a walk has met. */
bool
tckpt_event_scan_lock(TckptEventScan *scan, TckptEvent *event)
{
	return tckpt_event_try_lock(scan->rel, event);
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
