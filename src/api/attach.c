/*-------------------------------------------------------------------------
 *
 * attach.c
 *	  The functions that attach and detach the steps table, and say which it is.
 *
 * What attach does to the table is DDL, most of it in PL/pgSQL, and as the caller.
 * Around it is what SQL has no statement for that others could not hold up: the
 * lock that lets one attach after the other, and the mark that the triggers go
 * with the extension (ALTER TRIGGER locks the extension against all who do the
 * same).
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
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/comment.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "api/attach.h"
#include "api/call.h"
#include "dispatch/events.h"
#include "table/candidates.h"
#include "table/forget.h"
#include "table/statement.h"
#include "table/steps.h"
#include "tasker_checkpoint.h"
#include "wakeup/pending.h"

/* tasker_checkpoint_hot_indexes(), from 1 on */
enum
{
	HOT_NAME = 1,
	HOT_DETAIL,
	HOT_STATEMENT
};

#define CHECKPOINT_COMMENT	TCKPT_COMMENT_PREFIX "cursor, items_processed, accumulated_results and history, kept by tasker_checkpoint"

/* What is attached, by the names that it had when it was looked up */
typedef struct Attached
{
	TckptRegistration registration;
	TckptForgetTrigger forget;
	char	   *table;			/* as SQL wants it */
	NameData	key;			/* these as they are */
	NameData	checkpoint;
} Attached;

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

/*
 * Finds what is attached, false if nothing is.  Nobody else attaches a table
 * until the transaction ends.  Raises 55000 if two are attached.
 */
bool
tckpt_attach_begin(Oid guard, TckptTrigger *found)
{
	bool		contested;

	lock_registration(guard);
	return tckpt_find_registration(guard, found, &contested);
}

/* There is one steps table to a database, and this is it. */
void
tckpt_raise_attached(Oid relid)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table %s is attached already", tckpt_table_name(relid)),
			 errhint("Call tasker_checkpoint_detach() first.")));
}

/*
 * Locks the table as making column or trigger will: by its OID, since while
 * this waits another table may get the name.  Who does not own it is told later.
 */
static void
lock_table(Oid relid, LOCKMODE lockmode)
{
	if (OidIsValid(tckpt_attachable_owner(relid)) && tckpt_owns_table(relid, GetUserId()))
	{
		LockRelationOid(relid, lockmode);
		(void) find_all_inheritors(relid, lockmode, NULL);
	}
}

/* Makes column and guard, on a table that is locked then.  Raises if it does not fit. */
static void
make_guard(Oid function, Oid guard, Oid relid, Name key)
{
	bool		has_column = get_attnum(relid, "checkpoint") != InvalidAttrNumber;
	static const Oid types[] = {REGCLASSOID, NAMEOID, REGPROCEDUREOID};
	Datum		args[] = {
		ObjectIdGetDatum(relid), NameGetDatum(key), ObjectIdGetDatum(guard)
	};

	lock_table(relid, has_column ? ShareRowExclusiveLock : AccessExclusiveLock);
	tckpt_call(tckpt_own_function(function, "tasker_checkpoint_attach_table",
								  lengthof(types), types),
			   lengthof(args), args);
	CommandCounterIncrement();
}

/*
 * Makes the trigger beside the guard's, on a table that is locked then.  A partition
 * that was attached by itself, before its guard was dropped, still has one, which
 * would be in the way of the clone.
 */
static void
make_forget(Oid function, Oid relid)
{
	char	   *table;
	ListCell   *lc;

	lock_table(relid, ShareRowExclusiveLock);
	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		if (lfirst_oid(lc) != relid)
			tckpt_forget_drop(function, lfirst_oid(lc));
	}
	table = tckpt_table_name(relid);
	if (table == NULL)
		return;
	tckpt_run_ddl(psprintf("CREATE TRIGGER zz_%s AFTER DELETE ON %s FOR EACH ROW EXECUTE FUNCTION %s.%s()",
						   TCKPT_FORGET_NAME, table, tckpt_schema_of(function),
						   TCKPT_FORGET_NAME));
	CommandCounterIncrement();
}

/* Makes the indexes of Tasker's migration, unless they are there.  Raises 42P07. */
static void
make_indexes(Oid function, const Attached *attached)
{
	static const Oid types[] = {REGCLASSOID, NAMEOID, NAMEOID};
	Datum		args[] = {
		ObjectIdGetDatum(attached->registration.trigger.relid),
		NameGetDatum(&attached->key), NameGetDatum(&attached->checkpoint)
	};

	tckpt_call(tckpt_own_function(function, "tasker_checkpoint_attach_indexes",
								  lengthof(types), types),
			   lengthof(args), args);
}

/* Says what the column is for, unless somebody has. */
static void
comment_column(const Attached *attached)
{
	const TckptTrigger *trigger = &attached->registration.trigger;

	if (GetComment(trigger->relid, RelationRelationId, trigger->checkpoint) != NULL)
		return;
	tckpt_run_ddl(psprintf("COMMENT ON COLUMN %s.%s IS '%s'", attached->table,
						   quote_identifier(NameStr(attached->checkpoint)),
						   CHECKPOINT_COMMENT));
}

/* Warns of a trigger that is disabled. */
static void
warn_of_disabled(const char *table, const char *name, char enabled, bool is_guard)
{
	if (enabled == TRIGGER_FIRES_ON_ORIGIN || enabled == TRIGGER_FIRES_ALWAYS)
		return;
	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 is_guard ?
			 errmsg("guard trigger of table %s does not run", table) :
			 errmsg("trigger of table %s that forgets deleted steps does not run", table),
			 enabled == TRIGGER_DISABLED ?
			 errdetail("It is disabled.") :
			 errdetail("It is enabled for replicas only."),
			 errhint("Run ALTER TABLE %s ENABLE TRIGGER %s.", table,
					 quote_identifier(name))));
}

/* A column of a row, "" for NULL. */
static char *
text_of(TupleTableSlot *slot, int attno)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, attno, &isnull);

	return isnull ? "" : TextDatumGetCString(value);
}

/* Warns of each index that ends HOT, as the doctor does. */
static void
warn_of_indexes(Oid function)
{
	TupleDesc	tupdesc;
	Tuplestorestate *rows;
	TupleTableSlot *slot;

	/* with what was made here */
	PushActiveSnapshot(GetTransactionSnapshot());
	rows = tckpt_call_rows(tckpt_own_function(function, "tasker_checkpoint_hot_indexes", 0, NULL),
						   &tupdesc);
	PopActiveSnapshot();
	slot = MakeSingleTupleTableSlot(tupdesc, &TTSOpsMinimalTuple);
	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		const char *statement = text_of(slot, HOT_STATEMENT);

		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("index %s ends HOT updates for every checkpoint",
						text_of(slot, HOT_NAME)),
				 errdetail_internal("%s", text_of(slot, HOT_DETAIL)),
				 *statement != '\0' ?
				 errhint("Run %.*s.", (int) strlen(statement) - 1, statement) : 0));
	}
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(rows);
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

/* Has a trigger go with the extension.  Raises 42501. */
static void
mark_trigger(Oid guard, Oid relid, Oid trigger)
{
	Oid			extension = getExtensionOfObject(ProcedureRelationId, guard);

	if (!tckpt_owns_table(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TRIGGER, get_rel_name(relid));
	if (!OidIsValid(extension) ||
		list_member_oid(getAutoExtensionsOfObject(TriggerRelationId, trigger), extension))
		return;
	record_dependency(trigger, extension);
	CacheInvalidateRelcacheByRelid(relid);
}

/* The table that has one of Tasker's names.  Raises 55000 if that is none, or two. */
static Oid
find_candidate(Oid function)
{
	List	   *candidates = tckpt_candidates(function, false);

	if (candidates == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no steps table found"),
				 errdetail("Neither tasker.workflow_steps nor %s.tasker_workflow_steps is an ordinary or partitioned, permanent table.",
						   tckpt_schema_of(function)),
				 errhint("Call tasker_checkpoint_attach() with the steps table, or tasker_checkpoint_create_table() to make one.")));
	if (list_length(candidates) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("two steps tables found"),
				 errdetail("They are %s and %s.", tckpt_table_name(linitial_oid(candidates)),
						   tckpt_table_name(lsecond_oid(candidates))),
				 errhint("Call tasker_checkpoint_attach() with one of them.")));
	return linitial_oid(candidates);
}

/*
 * Looks up what is attached.  Raises 55000 if somebody has changed it meanwhile,
 * which may be where it was attached before, and so is not locked.
 */
static void
read_attached(Oid guard, Oid relid, Attached *attached)
{
	const TckptForgetTrigger *forget = tckpt_forget_trigger(guard, relid);
	char	   *key = NULL;
	char	   *checkpoint = NULL;

	if (tckpt_registration_of(guard, relid, &attached->registration))
	{
		key = get_attname(relid, attached->registration.trigger.key, true);
		checkpoint = get_attname(relid, attached->registration.trigger.checkpoint, true);
	}
	attached->table = tckpt_table_name(relid);
	if (forget == NULL || key == NULL || checkpoint == NULL || attached->table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table with OID %u changed while it was attached", relid),
				 errhint("Repeat the call.")));
	attached->forget = *forget;
	namestrcpy(&attached->key, key);
	namestrcpy(&attached->checkpoint, checkpoint);
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_attach);
/* Makes a table the steps table. */
Datum
tasker_checkpoint_attach(PG_FUNCTION_ARGS)
{
	Oid			function = fcinfo->flinfo->fn_oid;
	Oid			guard = tckpt_guard_of(function);
	TckptTrigger found;
	Attached	attached;
	TckptRegistration *guarded = &attached.registration;
	bool		is_attached;
	Oid			relid;

	PreventCommandIfReadOnly("tasker_checkpoint_attach()");
	is_attached = tckpt_attach_begin(guard, &found);
	tckpt_require_argument(fcinfo, 1, "key_column");
	tckpt_require_argument(fcinfo, 2, "create_indexes");

	relid = PG_ARGISNULL(0) ? find_candidate(function) : PG_GETARG_OID(0);
	if (is_attached && found.relid != relid)
		tckpt_raise_attached(found.relid);
	if (!is_attached)
		make_guard(function, guard, relid, PG_GETARG_NAME(1));
	if (tckpt_forget_trigger(function, relid) == NULL)
		make_forget(function, relid);

	read_attached(guard, relid, &attached);
	if (namestrcmp(PG_GETARG_NAME(1), NameStr(attached.key)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s is attached already, with the key column \"%s\"",
						attached.table, NameStr(attached.key)),
				 errhint("Call tasker_checkpoint_detach() first.")));
	warn_of_disabled(attached.table, NameStr(guarded->trigger.name), guarded->enabled, true);
	warn_of_disabled(attached.table, NameStr(attached.forget.name), attached.forget.enabled,
					 false);
	comment_column(&attached);
	warn_of_indexes(function);
	if (PG_GETARG_BOOL(2))
		make_indexes(function, &attached);
	mark_trigger(guard, relid, guarded->trigger.oid);
	mark_trigger(guard, relid, attached.forget.oid);
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
 * Drops the triggers, as the caller, who must own the table.  Dispatched
 * steps are forgotten with them.
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
	tckpt_forget_drop(function, relid);
	tckpt_steps_drop_guard(steps);

	events = tckpt_event_delete_all(function);
	tckpt_wake_all_at_commit();
	if (events > 0)
		ereport(NOTICE,
				(errmsg_plural("event of %lld dispatched step was removed",
							   "events of %lld dispatched steps were removed",
							   (unsigned long) events,
							   (long long) events),
				 errdetail("Steps that were paused or cancelled are counted too.")));
	PG_RETURN_OID(relid);
}
