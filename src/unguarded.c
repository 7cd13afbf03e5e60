/*-------------------------------------------------------------------------
 *
 * unguarded.c
 *	  Whether the table that is in use is the one that is guarded.
 *
 * A table that is replaced by a copy, or by a partitioned table that it becomes
 * a part of, takes its guard with it, and the one that workers and orchestrator
 * then write to has none.  Nothing fails: so it has to be looked for.  Only
 * catalogs are read, so that everybody can be told; what was stored is not.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_description.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "events.h"
#include "tasker_checkpoint.h"
#include "unguarded.h"

/* Tasker's names for its table, and its key */
#define CURRENT_SCHEMA	"tasker"
#define CURRENT_TABLE	"workflow_steps"
#define OLDER_TABLE		"tasker_workflow_steps"
#define TASKER_KEY		"workflow_step_uuid"

/* What tasker_checkpoint_attach() calls the column, and says of it */
#define CHECKPOINT_COLUMN	"checkpoint"
#define CHECKPOINT_COMMENT	"progress of a batch worker: "

static char *
table_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

static List *
append(List *list, char *detail, char *statement)
{
	TckptUnguarded *unguarded = palloc(sizeof(TckptUnguarded));

	unguarded->detail = detail;
	unguarded->statement = statement;
	return lappend(list, unguarded);
}

/* The call that attaches a table, which nothing planted can take for its own. */
static char *
attach_call(Oid function, Oid relid, const char *key)
{
	const char *schema = quote_identifier(get_namespace_name(get_func_namespace(function)));
	char	   *table = quote_literal_cstr(table_name(relid));

	if (strcmp(key, TASKER_KEY) == 0)
		return psprintf("SELECT %s.tasker_checkpoint_attach(%s::pg_catalog.regclass);",
						schema, table);
	return psprintf("SELECT %s.tasker_checkpoint_attach(%s::pg_catalog.regclass, %s::pg_catalog.name);",
					schema, table, quote_literal_cstr(key));
}

/*
 * Moves the guard from the attached table to another.  What is dispatched
 * stays so, unlike with tasker_checkpoint_detach().
 */
static char *
move_call(Oid function, const TckptSteps *steps, Oid relid, const char *key)
{
	return psprintf("DROP TRIGGER %s ON %s; %s", steps->trigger_name, steps->table,
					attach_call(function, relid, key));
}

/* Whether it is a table that could be attached. */
static bool
is_table(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	bool		result = false;

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		result = (form->relkind == RELKIND_RELATION ||
				  form->relkind == RELKIND_PARTITIONED_TABLE) &&
			form->relpersistence != RELPERSISTENCE_TEMP && !form->relispartition;
		ReleaseSysCache(tuple);
	}
	return result;
}

/* Tasker's tables, as far as there are any. */
static List *
taskers_tables(Oid function)
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

		if (OidIsValid(relid) && is_table(relid) &&
			tckpt_column_of_type(relid, TASKER_KEY, UUIDOID) != InvalidAttrNumber)
			result = lappend_oid(result, relid);
	}
	return result;
}

/* Tables that the comment on a column of theirs tells to have been attached. */
static List *
commented_tables(void)
{
	Relation	rel = table_open(DescriptionRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	List	   *result = NIL;
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_description form = (Form_pg_description) GETSTRUCT(tuple);
		bool		isnull;
		Datum		comment;

		if (form->classoid != RelationRelationId || form->objsubid == 0 ||
			!is_table(form->objoid) ||
			get_atttype(form->objoid, form->objsubid) != JSONBOID)
			continue;
		comment = heap_getattr(tuple, Anum_pg_description_description,
							   RelationGetDescr(rel), &isnull);
		if (!isnull && strncmp(TextDatumGetCString(comment), CHECKPOINT_COMMENT,
							   strlen(CHECKPOINT_COMMENT)) == 0)
			result = list_append_unique_oid(result, form->objoid);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

/* A table's key: Tasker's, or the column of its primary key. */
static char *
key_of(Oid relid)
{
	Relation	rel;
	Oid			index;
	HeapTuple	tuple;
	char	   *key = NULL;

	if (tckpt_column_of_type(relid, TASKER_KEY, UUIDOID) != InvalidAttrNumber)
		return TASKER_KEY;
	rel = table_open(relid, AccessShareLock);
	(void) RelationGetIndexList(rel);
	index = rel->rd_pkindex;
	table_close(rel, AccessShareLock);
	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_index form = (Form_pg_index) GETSTRUCT(tuple);

		if (form->indnkeyatts == 1 && get_atttype(relid, form->indkey.values[0]) == UUIDOID)
			key = get_attname(relid, form->indkey.values[0], false);
		ReleaseSysCache(tuple);
	}
	return key;
}

/* Whether there is anything in the dispatch table. */
static bool
has_events(Oid function)
{
	Relation	rel = tckpt_event_table(function, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false,
										  GetActiveSnapshot(), 0, NULL);
	bool		found = HeapTupleIsValid(systable_getnext(scan));

	systable_endscan(scan);
	table_close(rel, NoLock);
	return found;
}

/* Nothing is attached, though there is what to attach. */
static List *
find_unattached(Oid function)
{
	List	   *tables = list_concat_unique_oid(taskers_tables(function), commented_tables());
	List	   *result = NIL;
	ListCell   *cell;

	foreach(cell, tables)
	{
		Oid			relid = lfirst_oid(cell);
		char	   *key = key_of(relid);

		result = append(result,
						psprintf("No steps table is attached, and there is table %s: what is stored in it has no history and no limits, and workers are refused.",
								 table_name(relid)),
						key == NULL ? NULL : attach_call(function, relid, key));
	}
	if (result == NIL && has_events(function))
		result = append(result,
						pstrdup("No steps table is attached, and there are steps that are dispatched: workers are refused. Call tasker_checkpoint_attach() with their table, or DROP EXTENSION if it is not needed any more."),
						NULL);
	return result;
}

/* Looks at a guard of the table itself, or of a partition. */
static List *
check_trigger(List *result, Relation rel, const Trigger *guard)
{
	char	   *table = table_name(RelationGetRelid(rel));

	if (guard->tgenabled == TRIGGER_FIRES_ON_ORIGIN ||
		guard->tgenabled == TRIGGER_FIRES_ALWAYS)
		return result;
	return append(result,
				  psprintf("The guard trigger of table %s %s: checkpoints are stored in it without history and limits.",
						   table, guard->tgenabled == TRIGGER_DISABLED ?
						   "is disabled" : "is enabled for replicas only"),
				  psprintf("ALTER TABLE %s ENABLE TRIGGER %s;", table,
						   quote_identifier(guard->tgname)));
}

/* The function of the trigger by which the table is attached. */
static Oid
guard_of(const TckptSteps *steps)
{
	Relation	rel = table_open(steps->trigger.relid, NoLock);
	Oid			guard = InvalidOid;

	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
		if (rel->trigdesc->triggers[i].tgoid == steps->trigger.oid)
			guard = rel->trigdesc->triggers[i].tgfoid;
	table_close(rel, NoLock);
	return guard;
}

/*
 * The attached table, its partitions and what inherits from it: each has a
 * guard that fires.
 */
static List *
check_tree(List *result, const TckptSteps *steps)
{
	Oid			guard = guard_of(steps);
	List	   *tree = find_all_inheritors(steps->trigger.relid, AccessShareLock, NULL);
	ListCell   *cell;

	foreach(cell, tree)
	{
		Relation	rel = table_open(lfirst_oid(cell), NoLock);
		bool		guarded = false;

		for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
		{
			const Trigger *trigger = &rel->trigdesc->triggers[i];

			if (trigger->tgfoid != guard)
				continue;
			guarded = true;
			result = check_trigger(result, rel, trigger);
		}
		if (!guarded)
			result = append(result,
							psprintf("Table %s inherits from %s, and has no guard: checkpoints are stored in it without history and limits. Inheritance does not carry the guard on; make it a partition, or keep its rows elsewhere.",
									 table_name(lfirst_oid(cell)), steps->table),
							psprintf("ALTER TABLE %s NO INHERIT %s;",
									 table_name(lfirst_oid(cell)), steps->table));
		table_close(rel, NoLock);
	}
	return result;
}

/* A table that the attached one has become a part of; InvalidOid if none. */
static Oid
parent_of(Oid relid)
{
	Relation	rel = table_open(InheritsRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			parent = InvalidOid;

	ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(rel, InheritsRelidSeqnoIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		parent = ((Form_pg_inherits) GETSTRUCT(tuple))->inhparent;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return parent;
}

/*
 * Whether a name may be what a table was called before a copy took its place:
 * tools and people put something before or after it.
 */
static bool
is_part_of_name(const char *name, const char *whole)
{
	return strlen(name) < strlen(whole) && strstr(whole, name) != NULL;
}

/*
 * Tables of the attached one's owner that stand beside it under what may have
 * been its name, and have its key and its checkpoint.
 */
static List *
copies_of(const TckptSteps *steps)
{
	Oid			attached = steps->trigger.relid;
	char	   *name = get_rel_name(attached);
	char	   *key = get_attname(attached, steps->trigger.key, false);
	char	   *checkpoint = get_attname(attached, steps->trigger.checkpoint, false);
	Relation	rel = table_open(RelationRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	List	   *result = NIL;
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		if (form->relnamespace == get_rel_namespace(attached) && form->oid != attached &&
			is_part_of_name(NameStr(form->relname), name) && is_table(form->oid) &&
			tckpt_column_of_type(form->oid, key, UUIDOID) != InvalidAttrNumber &&
			tckpt_column_of_type(form->oid, checkpoint, JSONBOID) != InvalidAttrNumber)
			result = lappend_oid(result, form->oid);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

/* Another table is in use, or seems to be. */
static List *
check_others(List *result, Oid function, const TckptSteps *steps)
{
	char	   *key = get_attname(steps->trigger.relid, steps->trigger.key, false);
	Oid			root = steps->trigger.relid;
	List	   *others;
	ListCell   *cell;

	for (Oid parent = root; OidIsValid(parent); parent = parent_of(parent))
		root = parent;
	if (root != steps->trigger.relid)
		return append(result,
					  psprintf("The attached table %s is a part of table %s, which has no guard: what is stored in its other parts has no history and no limits, and their steps are not found. The statement moves the guard.",
							   steps->table, table_name(root)),
					  move_call(function, steps, root, key));

	others = taskers_tables(function);
	if (list_member_oid(others, steps->trigger.relid))
		return result;
	others = list_concat_unique_oid(others, copies_of(steps));
	foreach(cell, others)
		result = append(result,
						psprintf("The attached table is %s, and there is table %s, which has no guard: if that one is in use, what is stored in it has no history and no limits, and functions look at the wrong table. The statement moves the guard; dispatched steps stay so.",
								 steps->table, table_name(lfirst_oid(cell))),
						move_call(function, steps, lfirst_oid(cell), key_of(lfirst_oid(cell)) != NULL ?
								  key_of(lfirst_oid(cell)) : key));
	return result;
}

/*
 * What is not guarded, as TckptUnguarded, each a reason to act at once; "steps"
 * is NULL if no table is attached.
 */
List *
tckpt_unguarded(Oid function, const TckptSteps *steps)
{
	if (steps == NULL)
		return find_unattached(function);
	return check_others(check_tree(NIL, steps), function, steps);
}
