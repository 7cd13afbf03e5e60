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

#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "fmgr.h"
#include "utils/acl.h"

#if PG_VERSION_NUM < 150000
#error "tasker_checkpoint needs PostgreSQL 15 or later"
#endif

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#if PG_VERSION_NUM >= 180000
#define TCKPT_MODULE_MAGIC \
	PG_MODULE_MAGIC_EXT(.name = "tasker_checkpoint", .version = TCKPT_VERSION)
#else
#define TCKPT_MODULE_MAGIC \
	PG_MODULE_MAGIC
#endif

/* Rights of a role, for which each kind of object had its own function before 16 */
#if PG_VERSION_NUM >= 160000
static inline bool
tckpt_owns_table(Oid relid, Oid role)
{
	return object_ownercheck(RelationRelationId, relid, role);
}

static inline bool
tckpt_may_execute(Oid function, Oid role)
{
	return object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE) == ACLCHECK_OK;
}

static inline AclResult
tckpt_schema_aclcheck(Oid namespace, Oid role, AclMode mode)
{
	return object_aclcheck(NamespaceRelationId, namespace, role, mode);
}
#else
static inline bool
tckpt_owns_table(Oid relid, Oid role)
{
	return pg_class_ownercheck(relid, role);
}

static inline bool
tckpt_may_execute(Oid function, Oid role)
{
	return pg_proc_aclcheck(function, role, ACL_EXECUTE) == ACLCHECK_OK;
}

static inline AclResult
tckpt_schema_aclcheck(Oid namespace, Oid role, AclMode mode)
{
	return pg_namespace_aclcheck(namespace, role, mode);
}
#endif

/*
 * Writing a row below the executor: which indexes want a new entry, and giving
 * it to them
 */
#if PG_VERSION_NUM >= 160000
#define TckptIndexes	TU_UpdateIndexes
#else
#define TckptIndexes	bool
#endif

#if PG_VERSION_NUM >= 190000
#define tckpt_tuple_update(rel, tid, slot, cid, snapshot, failure, lockmode, indexes) \
	table_tuple_update(rel, tid, slot, cid, 0, snapshot, InvalidSnapshot, \
					   true, failure, lockmode, indexes)
#define tckpt_update_indexes(target, slot, estate, indexes) \
	ExecInsertIndexTuples(target, estate, EIIT_IS_UPDATE | \
						  ((indexes) == TU_Summarizing ? EIIT_ONLY_SUMMARIZING : 0), \
						  slot, NIL, NULL)
#define tckpt_insert_indexes(target, slot, estate) \
	ExecInsertIndexTuples(target, estate, 0, slot, NIL, NULL)
#define tckpt_try_indexes(target, slot, estate, conflict, arbiters) \
	ExecInsertIndexTuples(target, estate, EIIT_NO_DUPE_ERROR, slot, arbiters, conflict)
#define tckpt_tuple_delete(rel, tid, cid, snapshot, failure) \
	table_tuple_delete(rel, tid, cid, 0, snapshot, InvalidSnapshot, true, failure)
#else
#define tckpt_tuple_delete(rel, tid, cid, snapshot, failure) \
	table_tuple_delete(rel, tid, cid, snapshot, InvalidSnapshot, true, failure, false)
#define tckpt_tuple_update(rel, tid, slot, cid, snapshot, failure, lockmode, indexes) \
	table_tuple_update(rel, tid, slot, cid, snapshot, InvalidSnapshot, \
					   true, failure, lockmode, indexes)
#if PG_VERSION_NUM >= 160000
#define tckpt_update_indexes(target, slot, estate, indexes) \
	ExecInsertIndexTuples(target, slot, estate, true, false, NULL, NIL, \
						  (indexes) == TU_Summarizing)
#define tckpt_insert_indexes(target, slot, estate) \
	ExecInsertIndexTuples(target, slot, estate, false, false, NULL, NIL, false)
#define tckpt_try_indexes(target, slot, estate, conflict, arbiters) \
	ExecInsertIndexTuples(target, slot, estate, false, true, conflict, arbiters, false)
#else
#define tckpt_update_indexes(target, slot, estate, indexes) \
	ExecInsertIndexTuples(target, slot, estate, true, false, NULL, NIL)
#define tckpt_insert_indexes(target, slot, estate) \
	ExecInsertIndexTuples(target, slot, estate, false, false, NULL, NIL)
#define tckpt_try_indexes(target, slot, estate, conflict, arbiters) \
	ExecInsertIndexTuples(target, slot, estate, false, true, conflict, arbiters)
#endif
#endif

#if PG_VERSION_NUM >= 180000
#define tckpt_check_indexes(target, slot, estate, conflict, none, arbiters) \
	ExecCheckIndexConstraints(target, slot, estate, conflict, none, arbiters)
#else
#define tckpt_check_indexes(target, slot, estate, conflict, none, arbiters) \
	ExecCheckIndexConstraints(target, slot, estate, conflict, arbiters)
#endif

/* A range table of one entry, of which these columns are set */
#if PG_VERSION_NUM >= 160000
#if PG_VERSION_NUM >= 180000
#define tckpt_init_relations(estate, rtable, infos) \
	ExecInitRangeTable(estate, rtable, infos, bms_make_singleton(1))
#else
#define tckpt_init_relations(estate, rtable, infos) \
	ExecInitRangeTable(estate, rtable, infos)
#endif
#define tckpt_init_range_table(estate, rte, columns) \
	do { \
		List	   *infos_ = NIL; \
		addRTEPermissionInfo(&infos_, rte)->updatedCols = (columns); \
		tckpt_init_relations(estate, list_make1(rte), infos_); \
	} while (0)
#else
#define tckpt_init_range_table(estate, rte, columns) \
	do { \
		(rte)->updatedCols = (columns); \
		ExecInitRangeTable(estate, list_make1(rte)); \
	} while (0)
#endif

/* A wait event of our own, where the server has such */
#if PG_VERSION_NUM >= 170000
#include "utils/wait_event.h"
#define tckpt_wait_event(name)	WaitEventExtensionNew(name)
#else
#define tckpt_wait_event(name)	PG_WAIT_EXTENSION
#endif

/* HOT updates in what a backend counts of a table */
#if PG_VERSION_NUM >= 160000
#define tckpt_tabstat_hot_updates(entry)	((entry)->counts.tuples_hot_updated)
#else
#define tckpt_tabstat_hot_updates(entry)	((entry)->t_counts.t_tuples_hot_updated)
#endif

#endif							/* TCKPT_COMPAT_H */
