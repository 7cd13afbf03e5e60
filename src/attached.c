/*-------------------------------------------------------------------------
 *
 * attached.c
 *	  Which table is the steps table, and what its columns are.
 *
 * The table is the one that carries the guard trigger; nothing else records
 * it.  It is found through pg_depend, and kept with its prepared statements
 * until an invalidation says that it may have changed.  tckpt_attached_open()
 * locks the table before it trusts what is kept, so that neither table nor
 * columns can be renamed or dropped before the transaction ends.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "attached.h"
#include "stats.h"
#include "tasker_checkpoint.h"

/*
 * The attached table as last seen.  Any invalidation counts as a change, since
 * another table may have been given the trigger; "known" falls with one that
 * concerns the table itself.
 */
static TckptSteps *current = NULL;
static bool known = false;
static uint64 changes = 1;
static uint64 confirmed_at = 0; /* what "changes" was when it was looked up */
static bool distrusted = false; /* to be replaced, even if all is as it was */

/*
 * Replaced, and freed when the transaction ends: until then whoever was given
 * one may use it, whatever code of the user's runs meanwhile and calls us.
 */
static TckptSteps *retired = NULL;

static void
relcache_callback(Datum arg, Oid relid)
{
	changes++;
	if (current == NULL || relid == InvalidOid ||
		relid == current->trigger.relid)
		known = false;
}

/* A schema was renamed; its tables hear nothing of it. */
static void
syscache_callback(Datum arg, int cacheid, uint32 hashvalue)
{
	changes++;
	known = false;
}

static void
free_steps(TckptSteps *steps)
{
	for (int i = 0; i < 2; i++)
		for (int j = 0; j < TCKPT_NSTATEMENTS; j++)
			if (steps->plans[i][j] != NULL)
				SPI_freeplan(steps->plans[i][j]);
	MemoryContextDelete(steps->context);
}

static void
xact_callback(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE ||
		event == XACT_EVENT_PARALLEL_PRE_COMMIT)
		return;
	while (retired != NULL)
	{
		TckptSteps *next = retired->next;

		free_steps(retired);
		retired = next;
	}
}

void
tckpt_attached_init(void)
{
	RegisterXactCallback(xact_callback, NULL);
	CacheRegisterRelcacheCallback(relcache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, syscache_callback, (Datum) 0);
}

/* The guard in the schema of a function of ours. */
static Oid
guard_function(Oid function)
{
	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						   CStringGetDatum(TCKPT_GUARD_NAME),
						   PointerGetDatum(buildoidvector(NULL, 0)),
						   ObjectIdGetDatum(get_func_namespace(function)));
}

/*
 * Reads a trigger that calls the guard.  False if it was cloned from a
 * partitioned table's, or is gone.
 */
static bool
read_trigger(Oid oid, TckptTrigger *trigger)
{
	Relation	rel = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(oid));
	scan = systable_beginscan(rel, TriggerOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);

		if (!OidIsValid(form->tgparentid))
		{
			if (form->tgattr.dim1 != 2)
				ereport(ERROR,
						(errcode(tckpt_refused(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)),
						 errmsg("guard trigger \"%s\" of table \"%s\" does not name the key and the checkpoint",
								NameStr(form->tgname), get_rel_name(form->tgrelid)),
						 errhint("Drop the trigger and call tasker_checkpoint_attach().")));
			trigger->oid = oid;
			trigger->name = form->tgname;
			trigger->relid = form->tgrelid;
			trigger->key = form->tgattr.values[0];
			trigger->checkpoint = form->tgattr.values[1];
			found = true;
		}
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

/* A table's name as SQL wants it. */
static char *
table_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

/*
 * Finds the trigger that marks the attached table; false if there is none.
 * Two are an error.
 */
static bool
find_trigger(Oid function, TckptTrigger *trigger)
{
	Relation	rel = table_open(DependRelationId, AccessShareLock);
	ScanKeyData key[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	ScanKeyInit(&key[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(ProcedureRelationId));
	ScanKeyInit(&key[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(guard_function(function)));
	scan = systable_beginscan(rel, DependReferenceIndexId, true, NULL, 2, key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);
		TckptTrigger candidate;

		if (form->classid != TriggerRelationId ||
			!read_trigger(form->objid, &candidate))
			continue;
		if (found)
			ereport(ERROR,
					(errcode(tckpt_refused(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)),
					 errmsg("two steps tables are attached"),
					 errdetail("Tables %s and %s have a guard trigger.",
							   table_name(trigger->relid),
							   table_name(candidate.relid)),
					 errhint("Drop the trigger of the table that is not to be attached.")));
		*trigger = candidate;
		found = true;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

/* The type of a table's updated_at, if it can be set; else InvalidOid. */
static Oid
updated_at_type(Oid relid)
{
	HeapTuple	tuple = SearchSysCacheAttName(relid, "updated_at");
	Oid			type = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_attribute att = (Form_pg_attribute) GETSTRUCT(tuple);

		if (att->attgenerated == '\0' &&
			(att->atttypid == TIMESTAMPOID || att->atttypid == TIMESTAMPTZOID))
			type = att->atttypid;
		ReleaseSysCache(tuple);
	}
	return type;
}

/* The number of a column of this name and type; InvalidAttrNumber if none. */
AttrNumber
tckpt_column_of_type(Oid relid, const char *name, Oid type)
{
	AttrNumber	attno = get_attnum(relid, name);

	if (attno != InvalidAttrNumber && get_atttype(relid, attno) != type)
		attno = InvalidAttrNumber;
	return attno;
}

/*
 * The columns that a retry sets, as Tasker's own does; what the table lacks
 * or generates is left out.
 */
static char *
reset_columns(const TckptTrigger *trigger)
{
	static const char *const columns[] = {
		"in_process", "processed", "processed_at", "results",
		"backoff_request_seconds"
	};
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < (int) lengthof(columns); i++)
	{
		bool		flag = i < 2;
		AttrNumber	attno = get_attnum(trigger->relid, columns[i]);

		if (attno == InvalidAttrNumber ||
			get_attgenerated(trigger->relid, attno) != '\0')
			continue;
		/* not what key or checkpoint may have been renamed to */
		if (attno == trigger->key || attno == trigger->checkpoint)
			continue;
		if (!flag || get_atttype(trigger->relid, attno) == BOOLOID)
			appendStringInfo(&sql, "%s%s = %s", sql.len > 0 ? ", " : "",
							 columns[i], flag ? "false" : "NULL");
	}
	return sql.data;
}

/* Looks the table's names and columns up; the caller has locked it. */
static TckptSteps *
load_steps(const TckptTrigger *trigger)
{
	MemoryContext context;
	MemoryContext oldcontext;
	TckptSteps *steps;

	context = AllocSetContextCreate(CurrentMemoryContext,
									"tasker_checkpoint steps table",
									ALLOCSET_SMALL_SIZES);
	oldcontext = MemoryContextSwitchTo(context);
	steps = palloc0(sizeof(TckptSteps));
	steps->context = context;
	steps->trigger = *trigger;
	steps->table = table_name(trigger->relid);
	steps->trigger_name = pstrdup(quote_identifier(NameStr(trigger->name)));
	steps->key = pstrdup(quote_identifier(get_attname(trigger->relid,
													  trigger->key, false)));
	steps->checkpoint = pstrdup(quote_identifier(get_attname(trigger->relid,
															 trigger->checkpoint, false)));
	steps->reset = reset_columns(trigger);
	steps->processed = tckpt_column_of_type(trigger->relid, "processed", BOOLOID);
	steps->updated_at = updated_at_type(trigger->relid);
	MemoryContextSwitchTo(oldcontext);
	return steps;
}

/* Whether the statements of one are those of the other. */
static bool
same_steps(const TckptSteps *a, const TckptSteps *b)
{
	return a->trigger.oid == b->trigger.oid &&
		a->trigger.relid == b->trigger.relid &&
		a->trigger.key == b->trigger.key &&
		a->trigger.checkpoint == b->trigger.checkpoint &&
		strcmp(a->table, b->table) == 0 &&
		strcmp(a->trigger_name, b->trigger_name) == 0 &&
		strcmp(a->key, b->key) == 0 &&
		strcmp(a->checkpoint, b->checkpoint) == 0 &&
		strcmp(a->reset, b->reset) == 0 &&
		a->processed == b->processed &&
		a->updated_at == b->updated_at;
}

/*
 * Looks the locked table up again.  What is kept stays, with its plans, if all
 * is as it was: in a long transaction there may be many invalidations that
 * change nothing.
 */
static void
refresh_current(const TckptTrigger *trigger)
{
	TckptSteps *steps = load_steps(trigger);

	if (current != NULL && !distrusted && same_steps(current, steps))
	{
		MemoryContextDelete(steps->context);
		return;
	}
	if (current != NULL)
	{
		current->next = retired;
		retired = current;
	}
	MemoryContextSetParent(steps->context, CacheMemoryContext);
	current = steps;
	distrusted = false;
}

/*
 * Has the plans made anew the next time.  One that a rule has made empty hears
 * nothing of the table any more, nor of the end of that rule.
 */
void
tckpt_attached_distrust(void)
{
	distrusted = true;
	known = false;
}

/* The attached table; InvalidOid if there is none. */
Oid
tckpt_attached_find(Oid function)
{
	TckptTrigger trigger;

	return find_trigger(function, &trigger) ? trigger.relid : InvalidOid;
}

/*
 * The attached table, locked until the transaction ends.  "function" is any
 * function of the extension, to find its schema by.  Raises 55000 if no table
 * is attached, or two.  The result is good until the transaction ends.
 */
TckptSteps *
tckpt_attached_open(Oid function, LOCKMODE lockmode)
{
	for (;;)
	{
		TckptTrigger trigger;
		uint64		seen = changes;

		CHECK_FOR_INTERRUPTS();
		if (known && confirmed_at == seen)
			trigger = current->trigger;
		else if (!find_trigger(function, &trigger))
			ereport(ERROR,
					(errcode(tckpt_refused(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)),
					 errmsg("no steps table is attached"),
					 errhint("Call tasker_checkpoint_attach() with the steps table.")));

		LockRelationOid(trigger.relid, lockmode);
		if (changes == seen)
		{
			if (!known || trigger.oid != current->trigger.oid)
			{
				known = false;
				refresh_current(&trigger);
			}
			if (changes == seen)
			{
				known = true;
				confirmed_at = seen;
				return current;
			}
		}

		/* something changed while we looked */
		UnlockRelationOid(trigger.relid, lockmode);
	}
}

