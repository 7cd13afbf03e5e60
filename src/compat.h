/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Differences between server versions, and the only place that asks for
 *	  the version.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_COMPAT_H
#define TCKPT_COMPAT_H

#include "access/tableam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "parser/parse_relation.h"
#include "pgstat.h"
#include "storage/lwlock.h"
#include "utils/acl.h"
#include "utils/wait_event.h"

#if PG_VERSION_NUM < 150000
#error "tasker_checkpoint needs PostgreSQL 15 or later"
#endif

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#if PG_VERSION_NUM >= 170000
#include "storage/dsm_registry.h"
#endif

#if PG_VERSION_NUM >= 180000
#define TCKPT_MODULE_MAGIC \
	PG_MODULE_MAGIC_EXT(.name = "tasker_checkpoint", .version = TCKPT_VERSION)
#else
#define TCKPT_MODULE_MAGIC \
	PG_MODULE_MAGIC
#endif

/* Rights of a role, for which each kind of object had its own function before 16 */
static inline bool
tckpt_owns_table(Oid relid, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(RelationRelationId, relid, role);
#else
	return pg_class_ownercheck(relid, role);
#endif
}

static inline bool
tckpt_may_execute(Oid function, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE) == ACLCHECK_OK;
#else
	return pg_proc_aclcheck(function, role, ACL_EXECUTE) == ACLCHECK_OK;
#endif
}

static inline AclResult
tckpt_schema_aclcheck(Oid namespace, Oid role, AclMode mode)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(NamespaceRelationId, namespace, role, mode);
#else
	return pg_namespace_aclcheck(namespace, role, mode);
#endif
}

/*
 * Writing a row below the executor: which indexes want a new entry, and giving
 * it to them
 */
#if PG_VERSION_NUM >= 160000
typedef TU_UpdateIndexes TckptIndexes;
#else
typedef bool TckptIndexes;
#endif

static inline TM_Result
tckpt_tuple_update(Relation rel, ItemPointer tid, TupleTableSlot *slot, CommandId cid,
				   Snapshot snapshot, TM_FailureData *failure,
				   LockTupleMode *lockmode, TckptIndexes *indexes)
{
#if PG_VERSION_NUM >= 190000
	return table_tuple_update(rel, tid, slot, cid, 0, snapshot, InvalidSnapshot,
							  true, failure, lockmode, indexes);
#else
	return table_tuple_update(rel, tid, slot, cid, snapshot, InvalidSnapshot,
							  true, failure, lockmode, indexes);
#endif
}

static inline TM_Result
tckpt_tuple_delete(Relation rel, ItemPointer tid, CommandId cid, Snapshot snapshot,
				   TM_FailureData *failure)
{
#if PG_VERSION_NUM >= 190000
	return table_tuple_delete(rel, tid, cid, 0, snapshot, InvalidSnapshot, true, failure);
#else
	return table_tuple_delete(rel, tid, cid, snapshot, InvalidSnapshot, true, failure, false);
#endif
}

static inline List *
tckpt_update_indexes(ResultRelInfo *target, TupleTableSlot *slot, EState *estate,
					 TckptIndexes indexes)
{
#if PG_VERSION_NUM >= 190000
	return ExecInsertIndexTuples(target, estate, EIIT_IS_UPDATE |
								 (indexes == TU_Summarizing ? EIIT_ONLY_SUMMARIZING : 0),
								 slot, NIL, NULL);
#elif PG_VERSION_NUM >= 160000
	return ExecInsertIndexTuples(target, slot, estate, true, false, NULL, NIL,
								 indexes == TU_Summarizing);
#else
	return ExecInsertIndexTuples(target, slot, estate, true, false, NULL, NIL);
#endif
}

static inline List *
tckpt_insert_indexes(ResultRelInfo *target, TupleTableSlot *slot, EState *estate)
{
#if PG_VERSION_NUM >= 190000
	return ExecInsertIndexTuples(target, estate, 0, slot, NIL, NULL);
#elif PG_VERSION_NUM >= 160000
	return ExecInsertIndexTuples(target, slot, estate, false, false, NULL, NIL, false);
#else
	return ExecInsertIndexTuples(target, slot, estate, false, false, NULL, NIL);
#endif
}

static inline List *
tckpt_try_indexes(ResultRelInfo *target, TupleTableSlot *slot, EState *estate,
				  bool *conflict, List *arbiters)
{
#if PG_VERSION_NUM >= 190000
	return ExecInsertIndexTuples(target, estate, EIIT_NO_DUPE_ERROR, slot, arbiters, conflict);
#elif PG_VERSION_NUM >= 160000
	return ExecInsertIndexTuples(target, slot, estate, false, true, conflict, arbiters, false);
#else
	return ExecInsertIndexTuples(target, slot, estate, false, true, conflict, arbiters);
#endif
}

static inline bool
tckpt_check_indexes(ResultRelInfo *target, TupleTableSlot *slot, EState *estate,
					ItemPointer conflict, ItemPointer none, List *arbiters)
{
#if PG_VERSION_NUM >= 180000
	return ExecCheckIndexConstraints(target, slot, estate, conflict, none, arbiters);
#else
	return ExecCheckIndexConstraints(target, slot, estate, conflict, arbiters);
#endif
}

/*
 * Whether the new version of a row is a HOT one, and only indexes that summarize
 * pages, as BRIN does, want to hear of it; there is no such update before 16
 */
static inline bool
tckpt_only_summarizing(TckptIndexes indexes)
{
#if PG_VERSION_NUM >= 160000
	return indexes == TU_Summarizing;
#else
	return false;
#endif
}

/* A range table of one entry, of which these columns are set */
static inline void
tckpt_init_range_table(EState *estate, RangeTblEntry *rte, Bitmapset *columns)
{
#if PG_VERSION_NUM >= 160000
	List	   *infos = NIL;

	addRTEPermissionInfo(&infos, rte)->updatedCols = columns;
#endif
#if PG_VERSION_NUM >= 180000
	ExecInitRangeTable(estate, list_make1(rte), infos, bms_make_singleton(1));
#elif PG_VERSION_NUM >= 160000
	ExecInitRangeTable(estate, list_make1(rte), infos);
#else
	rte->updatedCols = columns;
	ExecInitRangeTable(estate, list_make1(rte));
#endif
}

/* A wait event of our own, where the server has such */
static inline uint32
tckpt_wait_event(const char *name)
{
#if PG_VERSION_NUM >= 170000
	return WaitEventExtensionNew(name);
#else
	return PG_WAIT_EXTENSION;
#endif
}

/* A tranche of locks in shared memory, whose name each process has to give before 19 */
static inline int
tckpt_new_tranche(const char *name)
{
#if PG_VERSION_NUM >= 190000
	return LWLockNewTrancheId(name);
#else
	return LWLockNewTrancheId();
#endif
}

static inline void
tckpt_name_tranche(int tranche, const char *name)
{
#if PG_VERSION_NUM < 190000
	LWLockRegisterTranche(tranche, name);
#endif
}

/* Shared memory that is there when it is first asked for; before 17 there is none such */
#define TCKPT_HAS_NAMED_SEGMENTS (PG_VERSION_NUM >= 170000)

typedef struct TckptSegmentInit
{
	void		(*init) (void *area);
} TckptSegmentInit;

static inline void
tckpt_init_segment(void *area, void *arg)
{
	((TckptSegmentInit *) arg)->init(area);
}

static inline void *
tckpt_named_segment(const char *name, Size size, void (*init) (void *area))
{
#if PG_VERSION_NUM >= 190000
	TckptSegmentInit arg = {init};
	bool		found;

	return GetNamedDSMSegment(name, size, tckpt_init_segment, &found, &arg);
#elif PG_VERSION_NUM >= 170000
	bool		found;

	return GetNamedDSMSegment(name, size, init, &found);
#else
	return NULL;
#endif
}

/* HOT updates in what a backend counts of a table */
static inline PgStat_Counter
tckpt_tabstat_hot_updates(const PgStat_TableStatus *entry)
{
#if PG_VERSION_NUM >= 160000
	return entry->counts.tuples_hot_updated;
#else
	return entry->t_counts.t_tuples_hot_updated;
#endif
}

#endif							/* TCKPT_COMPAT_H */
