/*-------------------------------------------------------------------------
 *
 * holders.c
 *	  Prepared transactions that hold rows others wait for.
 *
 * Whoever wants a row that a prepared transaction has locked, changed or made
 * waits until somebody ends that one; no session of it is left to be seen.
 * So the rows themselves are asked who has them, without waiting.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/multixact.h"
#include "access/subtrans.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/twophase.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/procarray.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "dispatch/events.h"
#include "table/holders.h"
#include "tasker_checkpoint.h"

/* What a row's version says of who has it */
typedef struct RowHeader
{
	uint16		infomask;
	TransactionId xmin;
	TransactionId xmax;
} RowHeader;

/* Those that there are now, in the caller's memory context; NULL if none. */
TckptHolders *
tckpt_holders_find(void)
{
	MemoryContext caller = CurrentMemoryContext;
	TckptHolders *holders;

	if (max_prepared_xacts == 0)
		return NULL;

	SPI_connect();
	if (SPI_execute("SELECT transaction, gid, prepared FROM pg_catalog.pg_prepared_xacts"
					" WHERE database OPERATOR(pg_catalog.=) pg_catalog.current_database()",
					true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read pg_prepared_xacts");

	holders = MemoryContextAllocZero(caller, sizeof(TckptHolders));
	holders->n = (int) SPI_processed;
	holders->holders = MemoryContextAllocZero(caller,
											  sizeof(TckptHolder) * (holders->n + 1));
	for (int i = 0; i < holders->n; i++)
	{
		TckptHolder *holder = &holders->holders[i];
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	tupdesc = SPI_tuptable->tupdesc;
		bool		isnull;

		holder->xid = DatumGetTransactionId(SPI_getbinval(tuple, tupdesc, 1, &isnull));
		holder->gid = MemoryContextStrdup(caller, SPI_getvalue(tuple, tupdesc, 2));
		holder->prepared_at = DatumGetTimestampTz(SPI_getbinval(tuple, tupdesc, 3, &isnull));
	}
	SPI_finish();
	return holders->n > 0 ? holders : NULL;
}

/* The prepared transaction that this one is, or is part of; else NULL. */
static const TckptHolder *
holder_by_xid(const TckptHolders *holders, TransactionId xid)
{
	if (!TransactionIdIsNormal(xid) ||
		TransactionIdIsCurrentTransactionId(xid) ||
		!TransactionIdIsInProgress(xid))
		return NULL;
	if (TransactionIdFollowsOrEquals(xid, TransactionXmin))
		xid = SubTransGetTopmostTransaction(xid);
	for (int i = 0; i < holders->n; i++)
		if (TransactionIdEquals(holders->holders[i].xid, xid))
			return &holders->holders[i];
	return NULL;
}

/* The one among those that share a row. */
static const TckptHolder *
holder_by_multixact(const TckptHolders *holders, const RowHeader *row)
{
	MultiXactMember *members;
	int			n;
	const TckptHolder *holder = NULL;

	if (HEAP_LOCKED_UPGRADED(row->infomask))
		return NULL;
	n = GetMultiXactIdMembers(row->xmax, &members, false,
							  HEAP_XMAX_IS_LOCKED_ONLY(row->infomask));
	for (int i = 0; i < n && holder == NULL; i++)
		holder = holder_by_xid(holders, members[i].xid);
	return holder;
}

/* The one that has a row, or has made it; NULL if none of them has. */
static const TckptHolder *
holder_of(const TckptHolders *holders, TupleTableSlot *slot)
{
	Buffer		buffer = ((BufferHeapTupleTableSlot *) slot)->buffer;
	bool		should_free;
	HeapTupleHeader header = ExecFetchSlotHeapTuple(slot, false, &should_free)->t_data;
	RowHeader	row;
	const TckptHolder *holder;

	Assert(!should_free);

	/* mask and ids must be of one moment */
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	row.infomask = header->t_infomask;
	row.xmin = HeapTupleHeaderGetXmin(header);
	row.xmax = HeapTupleHeaderGetRawXmax(header);
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);

	holder = holder_by_xid(holders, row.xmin);
	if (holder != NULL || (row.infomask & HEAP_XMAX_INVALID) != 0)
		return holder;
	if ((row.infomask & HEAP_XMAX_IS_MULTI) != 0)
		return holder_by_multixact(holders, &row);
	return holder_by_xid(holders, row.xmax);
}

/*
 * Tells of each step whose row in the dispatch table is held, one that nobody
 * sees yet included; of some more than once.
 */
void
tckpt_holders_of_events(const TckptHolders *holders, Oid function,
						TckptHeld held, void *arg)
{
	Relation	rel = tckpt_event_table(function, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, SnapshotAny, 0, NULL);

	while (HeapTupleIsValid(systable_getnext(scan)))
	{
		const TckptHolder *holder = holder_of(holders, scan->slot);

		CHECK_FOR_INTERRUPTS();
		if (holder != NULL)
		{
			bool		isnull;
			Datum		step = slot_getattr(scan->slot, 1, &isnull);

			/* as the table has it, or somebody who took its constraints away */
			if (!isnull)
				held(DatumGetUUIDP(step), holder, arg);
		}
	}
	systable_endscan(scan);
	table_close(rel, NoLock);
}

/*
 * Who has the version of a row that the active snapshot sees; NULL if none of
 * these has, or the row is not where it could be told.
 */
const TckptHolder *
tckpt_holder_of_row(const TckptHolders *holders, Oid relid, ItemPointer tid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	const TckptHolder *holder = NULL;

	if (rel->rd_rel->relkind == RELKIND_RELATION &&
		rel->rd_tableam == GetHeapamTableAmRoutine())
	{
		TupleTableSlot *slot = table_slot_create(rel, NULL);

		if (table_tuple_fetch_row_version(rel, tid, GetActiveSnapshot(), slot))
			holder = holder_of(holders, slot);
		ExecDropSingleTupleTableSlot(slot);
	}
	table_close(rel, NoLock);
	return holder;
}
