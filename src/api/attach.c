/*-------------------------------------------------------------------------
 *
 * attach.c
 *	  The functions that attach and detach the steps table, and say which it is.
 *
 * What attach does to the table is DDL, in PL/pgSQL and as the caller.  Around it
 * is what SQL has no statement for that others could not hold up: the lock that
 * lets one attach after the other, and the mark that the trigger goes with the
 * extension (ALTER TRIGGER locks the extension against all who do the same).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "dispatch/events.h"
#include "table/steps.h"
#include "tasker_checkpoint.h"

#define DDL_FUNCTION	"tasker_checkpoint_attach_table"

/*
 * Lets one attach after the other, until its transaction ends: two that overlap
 * would not see each other's trigger.  Who may not alter the guard can't keep
 * it locked.  DROP EXTENSION waits as well.
 */
static void
lock_registration(Oid guard)
{
	LockDatabaseObject(ProcedureRelationId, guard, 0, ShareUpdateExclusiveLock);
	if (!SearchSysCacheExists1(PROCOID, ObjectIdGetDatum(guard)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function \"%s\" does not exist", TCKPT_GUARD_NAME),
				 errhint("Create the extension again.")));
}

/* The DDL, which nobody may call otherwise; so no right on it is asked for. */
static Oid
attach_table(FunctionCallInfo fcinfo, Oid attached)
{
	static const Oid types[] = {REGCLASSOID, REGCLASSOID, NAMEOID, BOOLOID};
	LOCAL_FCINFO(call, 4);
	FmgrInfo	flinfo;
	Oid			function;

	function = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
							   CStringGetDatum(DDL_FUNCTION),
							   PointerGetDatum(buildoidvector(types, lengthof(types))),
							   ObjectIdGetDatum(get_func_namespace(fcinfo->flinfo->fn_oid)));
	if (!OidIsValid(function))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function \"%s\" does not exist", DDL_FUNCTION),
				 errhint("Create the extension again.")));

	fmgr_info(function, &flinfo);
	InitFunctionCallInfoData(*call, &flinfo, 4, InvalidOid, NULL, NULL);
	call->args[0] = fcinfo->args[0];
	call->args[1].value = ObjectIdGetDatum(attached);
	call->args[1].isnull = !OidIsValid(attached);
	call->args[2] = fcinfo->args[1];
	call->args[3] = fcinfo->args[2];
	return DatumGetObjectId(FunctionCallInvoke(call));
}

/*
 * What ALTER TRIGGER ... DEPENDS ON EXTENSION records.  recordDependencyOn()
 * would lock the extension, which whoever has a table can keep locked; that it
 * is not dropped meanwhile the lock on the guard sees to.
 */
static void
record_dependency(Oid trigger, Oid extension)
{
	Relation	rel = table_open(DependRelationId, RowExclusiveLock);
	Datum		values[Natts_pg_depend] = {0};
	bool		nulls[Natts_pg_depend] = {false};

	values[Anum_pg_depend_classid - 1] = ObjectIdGetDatum(TriggerRelationId);
	values[Anum_pg_depend_objid - 1] = ObjectIdGetDatum(trigger);
	values[Anum_pg_depend_objsubid - 1] = Int32GetDatum(0);
	values[Anum_pg_depend_refclassid - 1] = ObjectIdGetDatum(ExtensionRelationId);
	values[Anum_pg_depend_refobjid - 1] = ObjectIdGetDatum(extension);
	values[Anum_pg_depend_refobjsubid - 1] = Int32GetDatum(0);
	values[Anum_pg_depend_deptype - 1] = CharGetDatum(DEPENDENCY_AUTO_EXTENSION);
	CatalogTupleInsert(rel, heap_form_tuple(RelationGetDescr(rel), values, nulls));
	table_close(rel, RowExclusiveLock);
}

/* Has the trigger go with the extension.  Raises 42501. */
static void
mark_trigger(Oid guard, Oid relid)
{
	Oid			trigger;
	Oid			extension;

	if (!tckpt_owns_table(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TRIGGER, get_rel_name(relid));

	CommandCounterIncrement();
	trigger = tckpt_registration_of(guard, relid);
	extension = getExtensionOfObject(ProcedureRelationId, guard);
	if (!OidIsValid(trigger) || !OidIsValid(extension) ||
		list_member_oid(getAutoExtensionsOfObject(TriggerRelationId, trigger),
						extension))
		return;
	record_dependency(trigger, extension);
	CacheInvalidateRelcacheByRelid(relid);
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_attach);
/* Makes a table the steps table; its arguments are checked by the DDL. */
Datum
tasker_checkpoint_attach(PG_FUNCTION_ARGS)
{
	Oid			guard = tckpt_guard_of(fcinfo->flinfo->fn_oid);
	TckptTrigger trigger;
	bool		contested;
	Oid			relid;

	PreventCommandIfReadOnly("tasker_checkpoint_attach()");
	lock_registration(guard);
	if (!tckpt_find_registration(guard, &trigger, &contested))
		trigger.relid = InvalidOid;
	relid = attach_table(fcinfo, trigger.relid);
	mark_trigger(guard, relid);
	PG_RETURN_OID(relid);
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_table);
/* The attached table, NULL if there is none.  Raises 55000 if there are two. */
Datum
tasker_checkpoint_table(PG_FUNCTION_ARGS)
{
	Oid			relid = tckpt_attached_find(fcinfo->flinfo->fn_oid);

	if (!OidIsValid(relid))
		PG_RETURN_NULL();
	PG_RETURN_OID(relid);
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_detach);
/*
 * Drops the guard trigger, as the caller, who must own the table.  Dispatched
 * steps are forgotten with it.
 */
Datum
tasker_checkpoint_detach(PG_FUNCTION_ARGS)
{
	Oid			function = fcinfo->flinfo->fn_oid;
	TckptSteps *steps;
	Oid			relid;
	int64		events;

	PreventCommandIfReadOnly("tasker_checkpoint_detach()");

	/* before anybody has to wait for a lock that leads to nothing */
	relid = tckpt_attached_find(function);
	if (OidIsValid(relid) && !tckpt_owns_table(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(relid));

	steps = tckpt_attached_open(function, AccessExclusiveLock);
	relid = steps->trigger.relid;
	tckpt_steps_drop_guard(steps);

	events = tckpt_event_delete_all(function);
	if (events > 0)
		ereport(NOTICE,
				(errmsg_plural("event of %lld dispatched step was removed",
							   "events of %lld dispatched steps were removed",
							   (unsigned long) events,
							   (long long) events),
				 errdetail("Steps that were paused or cancelled are counted too.")));
	PG_RETURN_OID(relid);
}
