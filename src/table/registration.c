/*-------------------------------------------------------------------------
 *
 * registration.c
 *	  Which trigger marks the steps table.
 *
 * The guard trigger is the registration, and who may execute the guard can
 * create one.  So nothing about a trigger is believed: one counts if it is as
 * tasker_checkpoint_attach() makes it, on an ordinary or partitioned table that
 * is not temporary, for a column that is a uuid and one that is a jsonb; and
 * only if it is no clone of a partitioned table's.  A disabled one counts.
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
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "table/registration.h"
#include "tasker_checkpoint.h"

/* A trigger's function in the schema of a function of ours. */
static Oid
trigger_function(Oid function, const char *name)
{
	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						   CStringGetDatum(name),
						   PointerGetDatum(buildoidvector(NULL, 0)),
						   ObjectIdGetDatum(get_func_namespace(function)));
}

Oid
tckpt_guard_of(Oid function)
{
	return trigger_function(function, TCKPT_GUARD_NAME);
}

Oid
tckpt_forget_of(Oid function)
{
	return trigger_function(function, TCKPT_FORGET_NAME);
}

/* A column that a trigger names, if it is of this type; else InvalidAttrNumber. */
static AttrNumber
named_column(Form_pg_trigger form, int place, Oid type)
{
	if (form->tgattr.dim1 <= place ||
		get_atttype(form->tgrelid, form->tgattr.values[place]) != type)
		return InvalidAttrNumber;
	return form->tgattr.values[place];
}

/* Whether a trigger is as tasker_checkpoint_attach() makes it, but for its columns. */
static bool
is_well_shaped(Form_pg_trigger form, bool has_condition)
{
	return form->tgtype == (TRIGGER_TYPE_ROW | TRIGGER_TYPE_BEFORE |
							TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE) &&
		form->tgnargs == 0 && !has_condition && form->tgattr.dim1 == 2;
}

/* The owner of a table that can be attached; InvalidOid if it can't, or is gone. */
Oid
tckpt_attachable_owner(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		if (form->relpersistence != RELPERSISTENCE_TEMP &&
			(form->relkind == RELKIND_RELATION ||
			 form->relkind == RELKIND_PARTITIONED_TABLE))
			owner = form->relowner;
		ReleaseSysCache(tuple);
	}
	return owner;
}

/* Whether the trigger goes with the extension, as attach has it. */
static bool
is_marked(Oid trigger, Oid guard)
{
	Oid			extension = getExtensionOfObject(ProcedureRelationId, guard);

	return OidIsValid(extension) &&
		list_member_oid(getAutoExtensionsOfObject(TriggerRelationId, trigger),
						extension);
}

/* Reads a trigger; false if it is gone, or calls another function. */
static bool
read_trigger(Oid oid, Oid guard, TckptRegistration *registration)
{
	Relation	rel = table_open(TriggerRelationId, AccessShareLock);
	TckptTrigger *trigger = &registration->trigger;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	memset(registration, 0, sizeof(*registration));
	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(oid));
	scan = systable_beginscan(rel, TriggerOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);

		found = form->tgfoid == guard;
		trigger->oid = oid;
		trigger->name = form->tgname;
		trigger->relid = form->tgrelid;
		trigger->key = named_column(form, 0, UUIDOID);
		trigger->checkpoint = named_column(form, 1, JSONBOID);
		registration->enabled = form->tgenabled;
		registration->parent = form->tgparentid;
		if (trigger->key != InvalidAttrNumber &&
			trigger->checkpoint != InvalidAttrNumber &&
			is_well_shaped(form, !heap_attisnull(tuple, Anum_pg_trigger_tgqual,
												 RelationGetDescr(rel))))
			registration->owner = tckpt_attachable_owner(form->tgrelid);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

static int
compare_registrations(const ListCell *a, const ListCell *b)
{
	Oid			first = ((TckptRegistration *) lfirst(a))->trigger.oid;
	Oid			second = ((TckptRegistration *) lfirst(b))->trigger.oid;

	return first < second ? -1 : first > second;
}

/* The triggers that call the guard, the oldest first. */
static List *
read_triggers(Oid guard)
{
	Relation	rel = table_open(DependRelationId, AccessShareLock);
	ScanKeyData key[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *registrations = NIL;

	ScanKeyInit(&key[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(ProcedureRelationId));
	ScanKeyInit(&key[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(guard));
	scan = systable_beginscan(rel, DependReferenceIndexId, true, NULL, 2, key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);
		TckptRegistration registration;

		if (form->classid == TriggerRelationId &&
			read_trigger(form->objid, guard, &registration))
			registrations = lappend(registrations,
									memcpy(palloc(sizeof(registration)),
										   &registration, sizeof(registration)));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	list_sort(registrations, compare_registrations);
	return registrations;
}

/*
 * Of triggers on tables of several owners those that go with the extension
 * count, if they are of one owner.
 */
static List *
without_strays(List *candidates, Oid guard)
{
	Oid			owner = InvalidOid;
	List	   *marked = NIL;
	bool		several = false;
	ListCell   *lc;

	foreach(lc, candidates)
	{
		TckptRegistration *candidate = lfirst(lc);

		several |= candidate->owner != ((TckptRegistration *) linitial(candidates))->owner;
		if (!is_marked(candidate->trigger.oid, guard))
			continue;
		if (OidIsValid(owner) && candidate->owner != owner)
			return candidates;
		owner = candidate->owner;
		marked = lappend(marked, candidate);
	}
	return several && marked != NIL ? marked : candidates;
}

/* Of these triggers those that mark the attached table: one, if all is well. */
static List *
those_that_count(List *triggers, Oid guard, bool *contested)
{
	List	   *candidates = NIL;
	ListCell   *lc;

	foreach(lc, triggers)
	{
		TckptRegistration *registration = lfirst(lc);

		if (!OidIsValid(registration->parent) && OidIsValid(registration->owner))
			candidates = lappend(candidates, registration);
	}
	*contested = list_length(candidates) > 1;
	return *contested ? without_strays(candidates, guard) : candidates;
}

static List *
find_triggers(Oid guard, bool *contested)
{
	List	   *triggers = OidIsValid(guard) ? read_triggers(guard) : NIL;

	return those_that_count(triggers, guard, contested);
}

/*
 * The schema of a function of ours, as SQL wants it.  Whoever drops the extension
 * does not wait for calls that are under way.
 */
const char *
tckpt_schema_of(Oid function)
{
	char	   *schema = get_namespace_name(get_func_namespace(function));

	if (schema == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("the extension has been dropped")));
	return quote_identifier(schema);
}

/* A table's name as SQL wants it; NULL if it is gone. */
char *
tckpt_table_name(Oid relid)
{
	char	   *name = get_rel_name(relid);
	char	   *schema = get_namespace_name(get_rel_namespace(relid));

	if (name == NULL || schema == NULL)
		return NULL;
	return quote_qualified_identifier(schema, name);
}

/*
 * Finds the trigger that marks the attached table; returns how many do, and
 * raises nothing if that is not one.  "contested" says that others were left
 * out; then an ALTER TRIGGER, of which no session is told, can change it all.
 */
int
tckpt_registrations(Oid guard, TckptTrigger *trigger, bool *contested)
{
	List	   *triggers = find_triggers(guard, contested);

	if (triggers != NIL)
		*trigger = ((TckptRegistration *) linitial(triggers))->trigger;
	return list_length(triggers);
}

/* The same; false if there is none.  Two are an error, 55000. */
bool
tckpt_find_registration(Oid guard, TckptTrigger *trigger, bool *contested)
{
	for (;;)
	{
		List	   *triggers = find_triggers(guard, contested);
		char	   *first;
		char	   *second;

		CHECK_FOR_INTERRUPTS();
		if (triggers == NIL)
			return false;
		*trigger = ((TckptRegistration *) linitial(triggers))->trigger;
		if (list_length(triggers) == 1)
			return true;

		/* one that is gone by now is found no more */
		first = tckpt_table_name(trigger->relid);
		second = tckpt_table_name(((TckptRegistration *) lsecond(triggers))->trigger.relid);
		if (first != NULL && second != NULL)
			ereport(ERROR,
					(tckpt_refused(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("two steps tables are attached"),
					 errdetail("Tables %s and %s have a guard trigger.", first, second),
					 errhint("Drop the trigger of the table that is not to be attached.")));
	}
}

/* Finds the trigger of a table, if it is as tasker_checkpoint_attach() makes it. */
bool
tckpt_registration_of(Oid guard, Oid relid, TckptRegistration *registration)
{
	ListCell   *lc;

	foreach(lc, read_triggers(guard))
	{
		*registration = *(TckptRegistration *) lfirst(lc);
		if (registration->trigger.relid == relid &&
			OidIsValid(registration->owner) && !OidIsValid(registration->parent))
			return true;
	}
	return false;
}

/* The trigger that one was cloned from, at last, of a list sorted by OID. */
static TckptRegistration *
root_of(List *triggers, TckptRegistration *registration)
{
	int			low = 0;
	int			high = list_length(triggers);

	if (!OidIsValid(registration->parent))
		return registration;
	while (low < high)
	{
		int			middle = (low + high) / 2;
		TckptRegistration *other = list_nth(triggers, middle);

		if (other->trigger.oid == registration->parent)
			return root_of(triggers, other);
		if (other->trigger.oid < registration->parent)
			low = middle + 1;
		else
			high = middle;
	}
	/* gone by now */
	return registration;
}

/*
 * The order in which they are shown: what is attached, what counts besides, the
 * rest; of each the table, and then its partitions.
 */
static int
compare_shown(const ListCell *a, const ListCell *b)
{
	const TckptRegistration *first = lfirst(a);
	const TckptRegistration *second = lfirst(b);

	if (first->attached != second->attached)
		return first->attached ? -1 : 1;
	if (first->counts != second->counts)
		return first->counts ? -1 : 1;
	if (first->root != second->root)
		return first->root < second->root ? -1 : 1;
	return compare_registrations(a, b);
}

/*
 * Every trigger that calls the guard, a list of TckptRegistration, with what it
 * is to the extension.  Where two count, one that attach has made is taken for
 * that of the attached table, of several the oldest.
 */
List *
tckpt_registration_list(Oid guard)
{
	List	   *triggers = OidIsValid(guard) ? read_triggers(guard) : NIL;
	TckptRegistration *attached = NULL;
	bool		contested;
	ListCell   *lc;

	foreach(lc, triggers)
	{
		TckptRegistration *registration = lfirst(lc);

		registration->marked = !OidIsValid(registration->parent) &&
			is_marked(registration->trigger.oid, guard);
	}
	foreach(lc, those_that_count(triggers, guard, &contested))
	{
		TckptRegistration *registration = lfirst(lc);

		registration->counts = true;
		if (attached == NULL || (registration->marked && !attached->marked))
			attached = registration;
	}
	if (attached != NULL)
		attached->attached = true;

	/* a partition's is what the one is that it was cloned from */
	foreach(lc, triggers)
	{
		TckptRegistration *registration = lfirst(lc);
		const TckptRegistration *root = root_of(triggers, registration);

		registration->root = root->trigger.oid;
		registration->steps = root->trigger.relid;
		registration->counts = root->counts;
		registration->attached = root->attached;
		registration->marked = root->marked;
	}
	list_sort(triggers, compare_shown);
	return triggers;
}
