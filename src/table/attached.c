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

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/partition.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "invalidation.h"
#include "table/attached.h"
#include "tasker_checkpoint.h"

/*
 * The attached table as last seen.  Any invalidation counts as a change, since
 * another table may have been given the trigger; "known" falls with one that
 * concerns the table itself.
 */
static TckptSteps *current = NULL;
static bool known = false;
static uint64 confirmed_at = 0; /* tckpt_changes() when it was looked up */
static bool distrusted = false; /* to be replaced, even if all is as it was */

/*
 * Replaced, and freed when the transaction ends: until then whoever was given
 * one may use it, whatever code of the user's runs meanwhile and calls us.
 */
static TckptSteps *retired = NULL;

static void
invalidated(Oid relid)
{
	if (current == NULL || relid == InvalidOid ||
		relid == current->trigger.relid)
		known = false;
}

static void
free_steps(TckptSteps *steps)
{
	for (int i = 0; i < TCKPT_NSTATEMENTS; i++)
		if (steps->plans[i] != NULL)
			SPI_freeplan(steps->plans[i]);
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
	tckpt_invalidation_init(invalidated);
}

/* Which tables the guard has been asked about; good while tckpt_changes() stays */
typedef struct Coverage
{
	Oid			relid;			/* the key */
	Oid			trigger;
	bool		covered;
} Coverage;

/* The number of a column of this name and type; InvalidAttrNumber if none. */
AttrNumber
tckpt_column_of_type(Oid relid, const char *name, Oid type)
{
	AttrNumber	attno = get_attnum(relid, name);

	if (attno != InvalidAttrNumber && get_atttype(relid, attno) != type)
		attno = InvalidAttrNumber;
	return attno;
}

/* Whether a column takes no NULL; false if it is not there. */
bool
tckpt_is_not_null(Oid relid, AttrNumber attno)
{
	HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid),
										Int16GetDatum(attno));
	bool		not_null = false;

	if (HeapTupleIsValid(tuple))
	{
		not_null = ((Form_pg_attribute) GETSTRUCT(tuple))->attnotnull;
		ReleaseSysCache(tuple);
	}
	return not_null;
}

/* The column that says which steps are done; InvalidAttrNumber if there is none. */
AttrNumber
tckpt_processed_attno(Oid relid)
{
	return tckpt_column_of_type(relid, "processed", BOOLOID);
}

/* The column that each checkpoint sets, too; InvalidAttrNumber if there is none. */
AttrNumber
tckpt_updated_at_attno(Oid relid)
{
	AttrNumber	attno = tckpt_column_of_type(relid, "updated_at", TIMESTAMPOID);

	if (attno == InvalidAttrNumber)
		attno = tckpt_column_of_type(relid, "updated_at", TIMESTAMPTZOID);
	if (attno != InvalidAttrNumber && get_attgenerated(relid, attno) != '\0')
		attno = InvalidAttrNumber;
	return attno;
}

/* What a retry sets, as Tasker's own does */
static const struct
{
	const char *name;
	bool		flag;			/* to false; the others to NULL */
}			retry_columns[] = {
	{"in_process", true},
	{"processed", true},
	{"processed_at", false},
	{"results", false},
	{"backoff_request_seconds", false}
};

/*
 * Whether the table has one of these to be set; it is not what key or checkpoint
 * may have been renamed to.
 */
static bool
has_retry_column(const TckptTrigger *trigger, int i)
{
	AttrNumber	attno = get_attnum(trigger->relid, retry_columns[i].name);

	return attno != InvalidAttrNumber &&
		get_attgenerated(trigger->relid, attno) == '\0' &&
		attno != trigger->key && attno != trigger->checkpoint &&
		(!retry_columns[i].flag || get_atttype(trigger->relid, attno) == BOOLOID);
}

/* Those that it has, a name[]. */
Datum
tckpt_retry_columns(const TckptTrigger *trigger)
{
	Datum		names[lengthof(retry_columns)];
	int			n = 0;

	for (int i = 0; i < (int) lengthof(retry_columns); i++)
		if (has_retry_column(trigger, i))
			names[n++] = DirectFunctionCall1(namein, CStringGetDatum(retry_columns[i].name));
	return PointerGetDatum(construct_array(names, n, NAMEOID, NAMEDATALEN, false,
										   TYPALIGN_CHAR));
}

/* The same as UPDATE has it; "" if there are none. */
static char *
reset_columns(const TckptTrigger *trigger)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < (int) lengthof(retry_columns); i++)
		if (has_retry_column(trigger, i))
			appendStringInfo(&sql, "%s%s = %s", sql.len > 0 ? ", " : "",
							 retry_columns[i].name,
							 retry_columns[i].flag ? "false" : "NULL");
	return sql.data;
}

/* Looks the table's names and columns up, locked by the caller; NULL: it is gone. */
static TckptSteps *
load_steps(const TckptTrigger *trigger)
{
	MemoryContext context;
	MemoryContext oldcontext;
	TckptSteps *steps;
	char	   *table = tckpt_table_name(trigger->relid);
	char	   *key = get_attname(trigger->relid, trigger->key, true);
	char	   *checkpoint = get_attname(trigger->relid, trigger->checkpoint, true);
	AttrNumber	updated_at;

	if (table == NULL || key == NULL || checkpoint == NULL)
		return NULL;
	context = AllocSetContextCreate(CurrentMemoryContext,
									"tasker_checkpoint steps table",
									ALLOCSET_SMALL_SIZES);
	oldcontext = MemoryContextSwitchTo(context);
	steps = palloc0(sizeof(TckptSteps));
	steps->context = context;
	steps->trigger = *trigger;
	steps->table = pstrdup(table);
	steps->trigger_name = pstrdup(quote_identifier(NameStr(trigger->name)));
	steps->key = pstrdup(quote_identifier(key));
	steps->checkpoint = pstrdup(quote_identifier(checkpoint));
	steps->reset = reset_columns(trigger);
	steps->processed = tckpt_processed_attno(trigger->relid);
	updated_at = tckpt_updated_at_attno(trigger->relid);
	steps->updated_at = updated_at == InvalidAttrNumber ? InvalidOid :
		get_atttype(trigger->relid, updated_at);
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
 * Sees to it that what is kept is true of the locked table; false if that is
 * gone.  Where all is as it was it stays, with its plans: in a long transaction
 * there may be many invalidations that change nothing.
 */
static bool
refresh_current(const TckptTrigger *trigger)
{
	uint64		seen = tckpt_changes();
	TckptSteps *steps;

	if (known && current->trigger.oid == trigger->oid)
		return true;
	known = false;
	steps = load_steps(trigger);
	if (steps == NULL)
		return false;

	if (current != NULL && !distrusted && same_steps(current, steps))
		MemoryContextDelete(steps->context);
	else
	{
		if (current != NULL)
		{
			current->next = retired;
			retired = current;
		}
		MemoryContextSetParent(steps->context, CacheMemoryContext);
		current = steps;
		distrusted = false;
	}
	known = tckpt_changes() == seen;
	return true;
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
	bool		contested;

	return tckpt_find_registration(tckpt_guard_of(function), &trigger, &contested) ?
		trigger.relid : InvalidOid;
}

/*
 * Whether the trigger is still the one that marks the attached table.  Its
 * table is locked, so that what is found stays.
 */
static bool
is_still_attached(Oid function, const TckptTrigger *trigger, bool *contested)
{
	TckptTrigger found;

	return tckpt_find_registration(tckpt_guard_of(function), &found, contested) &&
		found.oid == trigger->oid && found.relid == trigger->relid;
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
		uint64		seen = tckpt_changes();
		bool		contested = false;

		CHECK_FOR_INTERRUPTS();
		if (known && confirmed_at == seen)
			trigger = current->trigger;
		else if (!tckpt_find_registration(tckpt_guard_of(function), &trigger,
										  &contested))
			ereport(ERROR,
					(tckpt_refused(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("no steps table is attached"),
					 errhint("Call tasker_checkpoint_attach() with the steps table.")));

		/*
		 * If anything changed before the lock was there, look again; what
		 * changes now is not this table.  So this comes to an end also where
		 * each look at a catalog counts as a change, as it does while caches
		 * are discarded for a test.
		 */
		LockRelationOid(trigger.relid, lockmode);
		if (tckpt_changes() == seen || is_still_attached(function, &trigger, &contested))
		{
			seen = tckpt_changes();
			if (refresh_current(&trigger))
			{
				if (!contested)
					confirmed_at = seen;
				return current;
			}
		}
		UnlockRelationOid(trigger.relid, lockmode);
	}
}

/*
 * Whether a table is a partition of another, at whatever depth.  One that is being
 * detached concurrently is until that ends: statements that have begun before write
 * to it still.
 */
static bool
is_partition_of(Oid relid, Oid ancestor)
{
	while (relid != ancestor && get_rel_relispartition(relid))
		relid = get_partition_parent(relid, true);
	return relid == ancestor;
}

/* Whether a trigger that calls the guard is the attached table's, or a clone. */
static bool
find_coverage(Oid guard, Relation rel, const Trigger *trigger, bool *contested)
{
	TckptTrigger attached;

	if (tckpt_registrations(guard, &attached, contested) != 1)
		return false;
	if (trigger->tgoid == attached.oid)
		return true;
	return trigger->tgisclone && rel->rd_rel->relispartition &&
		is_partition_of(RelationGetRelid(rel), attached.relid);
}

/*
 * For the guard, by its own OID: whether the trigger that called it counts, as
 * that of the attached table or one of its partitions.  Not while two tables
 * are attached: nobody knows which of them the events belong to.
 *
 * The table is open and locked, as for every trigger.  Costs a look into a
 * hash table, until an invalidation has it looked up again.  Raises nothing.
 */
bool
tckpt_attached_covers(Oid guard, Relation rel, const Trigger *trigger)
{
	static HTAB *covered = NULL;
	static uint64 covered_at = 0;
	static Oid	covered_guard = InvalidOid;
	Coverage   *entry;
	Oid			relid = RelationGetRelid(rel);
	uint64		seen = tckpt_changes();
	bool		contested;
	bool		result;

	if (covered != NULL && (covered_at != seen || covered_guard != guard))
	{
		hash_destroy(covered);
		covered = NULL;
	}
	if (covered == NULL)
	{
		HASHCTL		ctl = {
			.keysize = sizeof(Oid),
			.entrysize = sizeof(Coverage),
			.hcxt = TopMemoryContext
		};

		covered = hash_create("tasker_checkpoint tables", 16, &ctl,
							  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
		covered_at = seen;
		covered_guard = guard;
	}
	entry = hash_search(covered, &relid, HASH_FIND, NULL);
	if (entry != NULL && entry->trigger == trigger->tgoid)
		return entry->covered;

	result = find_coverage(guard, rel, trigger, &contested);
	if (tckpt_changes() == seen && !contested)
	{
		entry = hash_search(covered, &relid, HASH_ENTER, NULL);
		entry->trigger = trigger->tgoid;
		entry->covered = result;
	}
	return result;
}
