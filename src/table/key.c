/*-------------------------------------------------------------------------
 *
 * key.c
 *	  Whether a row of the steps table has a key, whoever may see it.
 *
 * It is asked before a row gets the key, and after one that had it was deleted;
 * row security hides nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/tableam.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "table/key.h"
#include "tasker_checkpoint.h"

/* Whether all rows can be found by an index that begins with the column. */
static bool
is_usable(Relation index, AttrNumber attno)
{
	return index->rd_index->indisvalid &&
		index->rd_rel->relam == BTREE_AM_OID &&
		index->rd_index->indkey.values[0] == attno &&
		index->rd_opfamily[0] == lookup_type_cache(UUIDOID, TYPECACHE_BTREE_OPFAMILY)->btree_opf &&
		RelationGetIndexPredicate(index) == NIL;
}

/* InvalidOid if there is none: then all rows are looked at. */
static Oid
find_index(Relation rel, AttrNumber attno)
{
	List	   *indexes = RelationGetIndexList(rel);
	Oid			found = InvalidOid;
	ListCell   *cell;

	foreach(cell, indexes)
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);

		if (is_usable(index, attno))
			found = lfirst_oid(cell);
		index_close(index, AccessShareLock);
		if (OidIsValid(found))
			break;
	}
	list_free(indexes);
	return found;
}

/*
 * As SnapshotDirty has it who is at the row is in the snapshot.  In a partition that
 * is stored elsewhere, or otherwise, none is found: it may have become one since the
 * table was attached.  Another access method may store as heap does.
 */
static bool
find_row(Relation rel, Oid index, AttrNumber attno, const pg_uuid_t *key,
		 Snapshot snapshot, ItemPointer tid)
{
	ScanKeyData scankey;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found;

	if (rel->rd_tableam != GetHeapamTableAmRoutine())
		return false;
	/* for one scan: it is changed by that to mean the index's column */
	ScanKeyInit(&scankey, attno, BTEqualStrategyNumber, F_UUID_EQ,
				UUIDPGetDatum(key));
	scan = systable_beginscan(rel, index, OidIsValid(index), snapshot, 1, &scankey);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
		*tid = tuple->t_self;
	systable_endscan(scan);
	return found;
}

/*
 * Whether a row that is to get the key will find it taken.  It is found out as
 * the check for uniqueness does it that follows: a transaction that is at such a
 * row is waited for.
 */
bool
tckpt_key_is_taken(Relation rel, AttrNumber attno, const pg_uuid_t *key)
{
	Oid			index = find_index(rel, attno);
	SnapshotData dirty;
	ItemPointerData tid;

	InitDirtySnapshot(dirty);
	while (find_row(rel, index, attno, key, &dirty, &tid))
	{
		TransactionId busy = TransactionIdIsValid(dirty.xmin) ? dirty.xmin : dirty.xmax;

		if (!TransactionIdIsValid(busy))
			return true;
		if (dirty.speculativeToken != 0)
			SpeculativeInsertionWait(busy, dirty.speculativeToken);
		else
			XactLockTableWait(busy, rel, &tid, XLTW_InsertIndexUnique);
	}
	return false;
}

/*
 * Whether there is a row with the key that this transaction has made, its present
 * statement included, or that others have committed.  For one who has deleted such
 * a row, and so waits for nobody: they wait for him.
 */
bool
tckpt_key_is_there(Relation rel, AttrNumber attno, const pg_uuid_t *key)
{
	ItemPointerData tid;

	return find_row(rel, find_index(rel, attno), attno, key, SnapshotSelf, &tid);
}
