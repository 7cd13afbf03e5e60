/*-------------------------------------------------------------------------
 *
 * candidates.c
 *	  Tables that could be the steps table, and whose are trusted to be.
 *
 * Tasker gives its table one of two names.  Anybody may give it to a table of
 * his, so that is attached unasked only if its owner could do the same as who
 * installs the extension.
 *
 * Nothing is locked here: what was found may be gone when this returns.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "table/candidates.h"
#include "table/registration.h"
#include "tasker_checkpoint.h"

/* Tasker's names for its table */
#define CURRENT_SCHEMA	"tasker"
#define CURRENT_TABLE	"workflow_steps"
#define OLDER_TABLE		"tasker_workflow_steps"

/* The owner of the extension that a function belongs to; InvalidOid if it is gone. */
static Oid
extension_owner(Oid function)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			owner = InvalidOid;

	ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(getExtensionOfObject(ProcedureRelationId, function)));
	scan = systable_beginscan(rel, ExtensionOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return owner;
}

static Oid
database_owner(void)
{
	HeapTuple	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));
	Oid			owner = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		owner = ((Form_pg_database) GETSTRUCT(tuple))->datdba;
		ReleaseSysCache(tuple);
	}
	return owner;
}

/* The owner of the attached table, of the first if there are two; else InvalidOid. */
static Oid
attached_owner(Oid function)
{
	TckptTrigger trigger;
	bool		contested;

	return tckpt_registrations(tckpt_guard_of(function), &trigger, &contested) > 0 ?
		tckpt_attachable_owner(trigger.relid) : InvalidOid;
}

/*
 * Whether it is a table whose owner is one whose tables CREATE EXTENSION
 * attaches by their names, or has the attached one, too.
 */
bool
tckpt_is_trusted(Oid relid, Oid function)
{
	Oid			owner = tckpt_attachable_owner(relid);

	return OidIsValid(owner) &&
		(superuser_arg(owner) || owner == extension_owner(function) ||
		 owner == database_owner() || owner == attached_owner(function));
}

/* Tables with Tasker's names, the current one first; unlogged ones, too, or not. */
List *
tckpt_candidates(Oid function, bool unlogged)
{
	Oid			namespaces[] = {
		get_namespace_oid(CURRENT_SCHEMA, true), get_func_namespace(function)
	};
	const char *names[] = {CURRENT_TABLE, OLDER_TABLE};
	List	   *result = NIL;

	for (int i = 0; i < (int) lengthof(names); i++)
	{
		Oid			relid = OidIsValid(namespaces[i]) ?
			get_relname_relid(names[i], namespaces[i]) : InvalidOid;

		if (OidIsValid(relid) && OidIsValid(tckpt_attachable_owner(relid)) &&
			(unlogged || get_rel_persistence(relid) == RELPERSISTENCE_PERMANENT))
			result = lappend_oid(result, relid);
	}
	return result;
}

/*
 * The call that attaches a table, with all arguments and their types, so that
 * nothing planted is called, or makes it ambiguous.
 */
char *
tckpt_attach_call(Oid function, const char *table, const char *key)
{
	return psprintf("SELECT %s.tasker_checkpoint_attach(%s::pg_catalog.regclass, %s::pg_catalog.name, false);",
					tckpt_schema_of(function), quote_literal_cstr(table),
					quote_literal_cstr(key));
}
