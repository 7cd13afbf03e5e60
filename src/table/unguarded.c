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
 * Of others' tables only those count whose owner could attach them unasked, and
 * copies that the attached one's owner has made: anybody may give a table of his
 * a name.  No table is locked or opened, so that nobody's lock keeps us waiting,
 * and nobody waits for a caller who has no rights on it; so each may be gone at
 * any time, and then is left out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_description.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "dispatch/events.h"
#include "table/attached.h"
#include "table/candidates.h"
#include "table/forget.h"
#include "table/registration.h"
#include "table/swapped.h"
#include "table/unguarded.h"
#include "tasker_checkpoint.h"

/* Tasker's key */
#define TASKER_KEY		"workflow_step_uuid"

/* The attached table as it was when it was looked up */
typedef struct Attached
{
	TckptTrigger trigger;
	char	   *table;			/* as SQL wants it */
	char	   *key;			/* these as they are */
	char	   *checkpoint;
} Attached;

static List *
append(List *list, char *detail, char *statement)
{
	TckptUnguarded *unguarded = palloc(sizeof(TckptUnguarded));

	unguarded->detail = detail;
	unguarded->statement = statement;
	return lappend(list, unguarded);
}

/*
 * Moves both triggers from the attached table to another.  What is dispatched
 * stays so, unlike with tasker_checkpoint_detach().
 */
static char *
move_call(Oid function, const Attached *attached, const char *table)
{
	return psprintf("DROP TRIGGER %s ON %s; %s%s",
					quote_identifier(NameStr(attached->trigger.name)),
					attached->table,
					tckpt_forget_drop_calls(function, attached->trigger.relid),
					tckpt_attach_call(function, table, attached->key));
}

/* Tasker's tables that could be attached unasked. */
static List *
taskers_tables(Oid function)
{
	List	   *result = NIL;
	ListCell   *cell;

	foreach(cell, tckpt_candidates(function, true))
	{
		if (!get_rel_relispartition(lfirst_oid(cell)) &&
			tckpt_is_trusted(lfirst_oid(cell), function) &&
			tckpt_column_of_type(lfirst_oid(cell), TASKER_KEY, UUIDOID) != InvalidAttrNumber)
			result = lappend_oid(result, lfirst_oid(cell));
	}
	return result;
}

/* Whether a comment is what attach says of the column; no more of it is read. */
static bool
is_our_comment(Datum comment)
{
	const int	length = strlen(TCKPT_COMMENT_PREFIX);
	text	   *start = DatumGetTextPSlice(comment, 0, length);

	return (int) VARSIZE_ANY_EXHDR(start) == length &&
		memcmp(VARDATA_ANY(start), TCKPT_COMMENT_PREFIX, length) == 0;
}

/* Tables that the comment on a column of theirs tells to have been attached. */
static List *
commented_tables(Oid function)
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

		CHECK_FOR_INTERRUPTS();
		if (form->classoid != RelationRelationId || form->objsubid == 0 ||
			get_atttype(form->objoid, form->objsubid) != JSONBOID ||
			get_rel_relispartition(form->objoid) ||
			!tckpt_is_trusted(form->objoid, function))
			continue;
		comment = heap_getattr(tuple, Anum_pg_description_description,
							   RelationGetDescr(rel), &isnull);
		if (!isnull && is_our_comment(comment))
			result = list_append_unique_oid(result, form->objoid);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

/* Whether an index makes a column a key as attach demands it, but for NOT NULL. */
static bool
is_of_key(HeapTuple tuple, TupleDesc tupdesc)
{
	Form_pg_index form = (Form_pg_index) GETSTRUCT(tuple);

	return form->indisunique && form->indimmediate && form->indisvalid &&
		form->indnkeyatts == 1 && heap_attisnull(tuple, Anum_pg_index_indpred, tupdesc);
}

/*
 * A table's key: Tasker's, or the one uuid that a unique index is on, the primary
 * key's if there are several; NULL if nothing tells which.
 */
static char *
key_of(Oid relid)
{
	Relation	rel;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	AttrNumber	found = InvalidAttrNumber;
	bool		is_primary = false;
	bool		several = false;

	if (tckpt_column_of_type(relid, TASKER_KEY, UUIDOID) != InvalidAttrNumber)
		return TASKER_KEY;

	rel = table_open(IndexRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(rel, IndexIndrelidIndexId, true, NULL, 1, &key);
	while (!is_primary && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_index form = (Form_pg_index) GETSTRUCT(tuple);
		AttrNumber	attno = form->indkey.values[0];

		if (!is_of_key(tuple, RelationGetDescr(rel)) || attno <= 0 ||
			get_atttype(relid, attno) != UUIDOID || !tckpt_is_not_null(relid, attno))
			continue;
		several |= found != InvalidAttrNumber && found != attno;
		found = attno;
		is_primary = form->indisprimary;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found != InvalidAttrNumber && (is_primary || !several) ?
		get_attname(relid, found, true) : NULL;
}

/* Whether there is a step in the dispatch table. */
static bool
has_events(Oid function)
{
	Relation	rel = tckpt_event_table(function, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false,
										  GetActiveSnapshot(), 0, NULL);
	bool		found = false;
	HeapTuple	tuple;

	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
		found = !heap_attisnull(tuple, 1, RelationGetDescr(rel));
	systable_endscan(scan);
	table_close(rel, NoLock);
	return found;
}

/* Nothing is attached, though there is what to attach. */
static List *
find_unattached(Oid function)
{
	List	   *tables = list_concat_unique_oid(taskers_tables(function),
												commented_tables(function));
	List	   *result = NIL;
	ListCell   *cell;

	foreach(cell, tables)
	{
		char	   *table = tckpt_table_name(lfirst_oid(cell));
		char	   *key = key_of(lfirst_oid(cell));

		if (table == NULL)
			continue;
		result = append(result,
						psprintf("No steps table is attached, and there is table %s: what is stored in it has no history and no limits, and workers are refused.",
								 table),
						key == NULL ? NULL : tckpt_attach_call(function, table, key));
	}
	if (result == NIL && has_events(function))
		result = append(result,
						pstrdup("No steps table is attached, and there are steps that are dispatched: workers are refused. Call tasker_checkpoint_attach() with their table, or DROP EXTENSION if it is not needed any more."),
						NULL);
	return result;
}

/* Looks at a guard of the table itself, or of a partition. */
static List *
check_trigger(List *result, const char *table, Form_pg_trigger guard)
{
	if (guard->tgenabled == TRIGGER_FIRES_ON_ORIGIN ||
		guard->tgenabled == TRIGGER_FIRES_ALWAYS)
		return result;
	return append(result,
				  psprintf("The guard trigger of table %s %s: checkpoints are stored in it without history and limits.",
						   table, guard->tgenabled == TRIGGER_DISABLED ?
						   "is disabled" : "is enabled for replicas only"),
				  psprintf("ALTER TABLE %s ENABLE TRIGGER %s;", table,
						   quote_identifier(NameStr(guard->tgname))));
}

/* Looks at all that a table of the tree has; "guarded" says whether it has one. */
static List *
check_triggers(List *result, Oid relid, const char *table, Oid guard, bool *guarded)
{
	Relation	rel = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	*guarded = false;
	ScanKeyInit(&key, Anum_pg_trigger_tgrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(rel, TriggerRelidNameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);

		if (form->tgfoid != guard)
			continue;
		*guarded = true;
		result = check_trigger(result, table, form);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

/*
 * The attached table, its partitions and what inherits from it: each has a
 * guard that fires.
 */
static List *
check_tree(List *result, Oid function, const Attached *attached)
{
	Oid			guard = tckpt_guard_of(function);
	List	   *tree = find_all_inheritors(attached->trigger.relid, NoLock, NULL);
	ListCell   *cell;

	foreach(cell, tree)
	{
		char	   *table = tckpt_table_name(lfirst_oid(cell));
		bool		guarded;

		if (table == NULL)
			continue;
		result = check_triggers(result, lfirst_oid(cell), table, guard, &guarded);
		if (!guarded && lfirst_oid(cell) != attached->trigger.relid)
			result = append(result,
							psprintf("Table %s inherits from %s, and has no guard: checkpoints are stored in it without history and limits. Inheritance does not carry the guard on; make it a partition, or keep its rows elsewhere.",
									 table, attached->table),
							psprintf("ALTER TABLE %s NO INHERIT %s;",
									 table, attached->table));
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

/* Whether a table, if it is alike, is a copy that took the attached one's place by renames. */
static bool
is_copy(const Attached *attached, Oid relid)
{
	return tckpt_has_name_of(relid, attached->trigger.relid) &&
		tckpt_column_of_type(relid, attached->checkpoint, JSONBOID) != InvalidAttrNumber;
}

/*
 * Tables of the attached one's owner that stand beside it under what may have
 * been its name, and have its key and its checkpoint.  A stranger's is none:
 * whoever may create tables there could have the guard moved to his.
 */
static List *
copies_of(const Attached *attached)
{
	Oid			relid = attached->trigger.relid;
	Oid			owner = tckpt_attachable_owner(relid);
	Oid			namespace = get_rel_namespace(relid);
	List	   *tree = find_all_inheritors(relid, NoLock, NULL);
	Relation	rel = table_open(RelationRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	List	   *result = NIL;
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		CHECK_FOR_INTERRUPTS();
		if (form->relnamespace == namespace && !form->relispartition &&
			tckpt_attachable_owner(form->oid) == owner &&
			!list_member_oid(tree, form->oid) && is_copy(attached, form->oid))
			result = lappend_oid(result, form->oid);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

/*
 * The outermost table that the attached one is a part of, as far as they are of
 * owners who are trusted; itself if it is of none.
 */
static Oid
root_of(Oid function, const Attached *attached)
{
	Oid			root = attached->trigger.relid;
	Oid			result = root;

	while (OidIsValid(root = parent_of(root)) && tckpt_is_trusted(root, function))
		result = root;
	return result;
}

/* Another table is in use, or seems to be. */
static List *
check_others(List *result, Oid function, const Attached *attached)
{
	Oid			root = root_of(function, attached);
	char	   *table = tckpt_table_name(root);
	List	   *others;
	ListCell   *cell;

	if (root != attached->trigger.relid && table != NULL)
		return append(result,
					  psprintf("The attached table %s is a part of table %s, which has no guard: what is stored in its other parts has no history and no limits, and their steps are not found. The statement moves the guard.",
							   attached->table, table),
					  move_call(function, attached, table));

	others = taskers_tables(function);
	if (list_member_oid(others, attached->trigger.relid))
		return result;
	others = list_concat_unique_oid(others, copies_of(attached));
	foreach(cell, others)
	{
		table = tckpt_table_name(lfirst_oid(cell));
		if (table != NULL && tckpt_is_alike(lfirst_oid(cell), &attached->trigger))
			result = append(result,
							psprintf("The attached table is %s, and there is table %s, which has no guard: if that one is in use, what is stored in it has no history and no limits, and functions look at the wrong table. The statement moves the guard. Dispatched steps stay so, but for those that table %s lacks, which the next claims forget: so look first whether it has them.",
									 attached->table, table, table),
							move_call(function, attached, table));
	}
	return result;
}

/*
 * What is not guarded, as TckptUnguarded, each a reason to act at once.  Raises
 * 55000 if two tables are attached.
 */
List *
tckpt_unguarded(Oid function)
{
	Attached	attached;
	bool		contested;

	if (!tckpt_find_registration(tckpt_guard_of(function), &attached.trigger,
								 &contested))
		return find_unattached(function);

	attached.table = tckpt_table_name(attached.trigger.relid);
	attached.key = get_attname(attached.trigger.relid, attached.trigger.key, true);
	attached.checkpoint = get_attname(attached.trigger.relid,
									  attached.trigger.checkpoint, true);
	if (attached.table == NULL || attached.key == NULL || attached.checkpoint == NULL)
		return NIL;
	return check_others(check_tree(NIL, function, &attached), function, &attached);
}
