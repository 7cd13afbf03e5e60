/*-------------------------------------------------------------------------
 *
 * steps.c
 *	  The attached steps table, read and written as the caller.
 *
 * The table is the one that carries the guard trigger; nothing else records
 * it.  It is found through pg_depend, and kept with its prepared statements
 * until an invalidation says that it may have changed.  tckpt_steps_open()
 * locks the table before it trusts what is kept, so that neither table nor
 * columns can be renamed or dropped before the transaction ends.
 *
 * Statements run by SPI as the calling user: grants, row security and the
 * table's other triggers apply.  They name everything with its schema.
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
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rls.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "document.h"
#include "rules.h"
#include "steps.h"
#include "tasker_checkpoint.h"

/* The statements on the steps table; $1 is always the step */
typedef enum TckptStatement
{
	STATEMENT_READ,
	STATEMENT_PEEK,
	STATEMENT_LOCK,
	STATEMENT_WRITE,			/* $2 the checkpoint, $3 updated_at */
	STATEMENT_RESET				/* $2 unused, $3 updated_at */
} TckptStatement;

#define NSTATEMENTS (STATEMENT_RESET + 1)

/* The guard trigger of a table */
typedef struct GuardTrigger
{
	Oid			oid;
	Oid			relid;
	AttrNumber	key;
	AttrNumber	checkpoint;
} GuardTrigger;

struct TckptSteps
{
	GuardTrigger trigger;
	char	   *table;			/* as SQL wants it */
	char	   *key;
	char	   *checkpoint;
	AttrNumber	processed;		/* InvalidAttrNumber: no such column */
	Oid			updated_at;		/* its type; InvalidOid: no such column */
	SPIPlanPtr	plans[NSTATEMENTS];
	MemoryContext context;		/* of all this, but for the plans */
	TckptSteps *next;			/* in the list of those to be freed */
};

/*
 * The attached table as last seen.  "known" falls with any invalidation that
 * concerns it; "confirmed" with any other too, since another table may have
 * been given the trigger.
 */
static TckptSteps *current = NULL;
static bool known = false;
static bool confirmed = false;

/* Replaced while a statement of theirs was running; freed when none is */
static TckptSteps *retired = NULL;
static int	running = 0;

static void
relcache_callback(Datum arg, Oid relid)
{
	confirmed = false;
	if (current == NULL || relid == InvalidOid ||
		relid == current->trigger.relid)
		known = false;
}

/* A schema was renamed, or a function created, moved or dropped. */
static void
syscache_callback(Datum arg, int cacheid, uint32 hashvalue)
{
	confirmed = false;
	known = false;
}

void
tckpt_steps_init(void)
{
	CacheRegisterRelcacheCallback(relcache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(PROCOID, syscache_callback, (Datum) 0);
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
read_trigger(Oid oid, GuardTrigger *trigger)
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
						(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						 errmsg("guard trigger \"%s\" of table \"%s\" does not name the key and the checkpoint",
								NameStr(form->tgname), get_rel_name(form->tgrelid)),
						 errhint("Drop the trigger and call tasker_checkpoint_attach().")));
			trigger->oid = oid;
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
find_trigger(Oid function, GuardTrigger *trigger)
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
		GuardTrigger candidate;

		if (form->classid != TriggerRelationId ||
			!read_trigger(form->objid, &candidate))
			continue;
		if (found)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
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

static void
free_steps(TckptSteps *steps)
{
	for (int i = 0; i < NSTATEMENTS; i++)
		if (steps->plans[i] != NULL)
			SPI_freeplan(steps->plans[i]);
	MemoryContextDelete(steps->context);
}

/* Forgets what is kept, at once or when no statement of it is running. */
static void
retire_current(void)
{
	if (current != NULL)
	{
		current->next = retired;
		retired = current;
		current = NULL;
	}
	while (running == 0 && retired != NULL)
	{
		TckptSteps *next = retired->next;

		free_steps(retired);
		retired = next;
	}
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
static AttrNumber
column_of_type(Oid relid, const char *name, Oid type)
{
	AttrNumber	attno = get_attnum(relid, name);

	if (attno != InvalidAttrNumber && get_atttype(relid, attno) != type)
		attno = InvalidAttrNumber;
	return attno;
}

/* Looks the table's names and columns up; the caller has locked it. */
static TckptSteps *
load_steps(const GuardTrigger *trigger)
{
	MemoryContext context;
	MemoryContext oldcontext;
	TckptSteps *steps;

	context = AllocSetContextCreate(CacheMemoryContext,
									"tasker_checkpoint steps table",
									ALLOCSET_SMALL_SIZES);
	oldcontext = MemoryContextSwitchTo(context);
	steps = palloc0(sizeof(TckptSteps));
	steps->context = context;
	steps->trigger = *trigger;
	steps->table = table_name(trigger->relid);
	steps->key = pstrdup(quote_identifier(get_attname(trigger->relid,
													  trigger->key, false)));
	steps->checkpoint = pstrdup(quote_identifier(get_attname(trigger->relid,
															 trigger->checkpoint, false)));
	steps->processed = column_of_type(trigger->relid, "processed", BOOLOID);
	steps->updated_at = updated_at_type(trigger->relid);
	MemoryContextSwitchTo(oldcontext);
	return steps;
}

/* The attached table; InvalidOid if there is none. */
Oid
tckpt_steps_find(Oid function)
{
	GuardTrigger trigger;

	return find_trigger(function, &trigger) ? trigger.relid : InvalidOid;
}

/*
 * The attached table, locked until the transaction ends.  "function" is any
 * function of the extension, to find its schema by.  Raises 55000 if no table
 * is attached, or two.  The result is good until the next call.
 */
TckptSteps *
tckpt_steps_open(Oid function, LOCKMODE lockmode)
{
	for (;;)
	{
		GuardTrigger trigger;

		if (!known || !confirmed || current == NULL)
		{
			/* an invalidation during the lookup makes it void */
			confirmed = true;
			if (!find_trigger(function, &trigger))
			{
				confirmed = false;
				ereport(ERROR,
						(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						 errmsg("no steps table is attached"),
						 errhint("Call tasker_checkpoint_attach() with the steps table.")));
			}
		}
		else
			trigger = current->trigger;

		LockRelationOid(trigger.relid, lockmode);
		if (!confirmed)
		{
			UnlockRelationOid(trigger.relid, lockmode);
			continue;
		}
		if (known && current != NULL &&
			trigger.oid == current->trigger.oid)
			return current;

		known = true;
		retire_current();
		current = load_steps(&trigger);
		if (known && confirmed)
			return current;
		UnlockRelationOid(trigger.relid, lockmode);
	}
}

/* Whether some of the table's rows may be hidden from the caller. */
bool
tckpt_steps_has_row_security(const TckptSteps *steps)
{
	return check_enable_rls(steps->trigger.relid, InvalidOid, true) == RLS_ENABLED;
}

/*
 * The columns that a retry sets, as Tasker's own does; what the table lacks
 * is left out.
 */
static void
append_reset_columns(StringInfo sql, const TckptSteps *steps)
{
	static const char *const columns[] = {
		"in_process", "processed", "processed_at", "results",
		"backoff_request_seconds"
	};
	Oid			relid = steps->trigger.relid;

	for (int i = 0; i < lengthof(columns); i++)
	{
		bool		flag = i < 2;

		if (flag ? column_of_type(relid, columns[i], BOOLOID) != InvalidAttrNumber
			: get_attnum(relid, columns[i]) != InvalidAttrNumber)
			appendStringInfo(sql, "%s%s = %s", sql->len > 0 ? ", " : "",
							 columns[i], flag ? "false" : "NULL");
	}
}

/* The text of a statement. */
static char *
statement_text(const TckptSteps *steps, TckptStatement statement)
{
	StringInfoData set;

	if (statement == STATEMENT_READ)
		return psprintf("SELECT %s FROM %s WHERE %s OPERATOR(pg_catalog.=) $1",
						steps->checkpoint, steps->table, steps->key);
	if (statement == STATEMENT_PEEK || statement == STATEMENT_LOCK)
		return psprintf("SELECT %s, %s FROM %s WHERE %s OPERATOR(pg_catalog.=) $1%s",
						steps->checkpoint,
						steps->processed != InvalidAttrNumber ? "processed" : "false",
						steps->table, steps->key,
						statement == STATEMENT_LOCK ? " FOR NO KEY UPDATE" : "");

	initStringInfo(&set);
	if (statement == STATEMENT_WRITE)
		appendStringInfo(&set, "%s = $2", steps->checkpoint);
	else
		append_reset_columns(&set, steps);
	if (OidIsValid(steps->updated_at))
		appendStringInfo(&set, "%supdated_at = $3", set.len > 0 ? ", " : "");

	/* a table with none of these columns */
	if (set.len == 0)
		return statement_text(steps, STATEMENT_LOCK);

	return psprintf("UPDATE %s SET %s WHERE %s OPERATOR(pg_catalog.=) $1",
					steps->table, set.data, steps->key);
}

static SPIPlanPtr
statement_plan(TckptSteps *steps, TckptStatement statement)
{
	if (steps->plans[statement] == NULL)
	{
		Oid			types[] = {UUIDOID, JSONBOID, steps->updated_at};
		int			nargs = OidIsValid(steps->updated_at) ? 3 : 2;
		SPIPlanPtr	plan = SPI_prepare(statement_text(steps, statement),
									   nargs, types);

		if (plan == NULL)
			elog(ERROR, "SPI_prepare failed: %s",
				 SPI_result_code_string(SPI_result));
		if (SPI_keepplan(plan) != 0)
			elog(ERROR, "SPI_keepplan failed");
		steps->plans[statement] = plan;
	}
	return steps->plans[statement];
}

/*
 * Runs a statement, inside SPI_connect, while the guard expects "call".
 * Returns the number of rows that it found or changed.
 */
static uint64
execute(TckptSteps *steps, TckptStatement statement, const pg_uuid_t *step,
		const Jsonb *checkpoint, TckptCall *call)
{
	SPIPlanPtr	plan = statement_plan(steps, statement);
	bool		read_only = statement == STATEMENT_READ;
	Datum		values[3];
	char		nulls[] = {' ', checkpoint == NULL ? 'n' : ' ', ' ', '\0'};
	TckptCall  *previous;
	int			rc = 0;

	values[0] = UUIDPGetDatum(step);
	values[1] = checkpoint == NULL ? (Datum) 0 : JsonbPGetDatum(checkpoint);

	/* the clock in UTC is what a column without time zone gets */
	values[2] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());

	previous = tckpt_guard_expect(call);
	running++;
	PG_TRY();
	{
		rc = SPI_execute_plan(plan, values, nulls, read_only, 0);
	}
	PG_FINALLY();
	{
		running--;
		(void) tckpt_guard_expect(previous);
	}
	PG_END_TRY();

	if (rc != SPI_OK_SELECT && rc != SPI_OK_UPDATE)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("step \"%s\" could not be updated",
						tckpt_step_name(step)),
				 errdetail("A rule on table %s rewrote the statement to %s.",
						   steps->table, SPI_result_code_string(rc)),
				 errhint("Drop the rule.")));
	return SPI_processed;
}

void
tckpt_steps_raise_missing(const TckptSteps *steps, const pg_uuid_t *step)
{
	ereport(ERROR,
			(errcode(ERRCODE_NO_DATA_FOUND),
			 errmsg("step \"%s\" does not exist", tckpt_step_name(step)),
			 errdetail("Role \"%s\" finds no such row in table %s.",
					   GetUserNameFromId(GetUserId(), false),
					   steps->table),
			 errhint("Check the key, and that row security lets the role have the row.")));
}

static void
require_found(const TckptSteps *steps, const pg_uuid_t *step, bool found)
{
	if (!found)
		tckpt_steps_raise_missing(steps, step);
}

/* Selects a step's row; false if there is none. */
static bool
select_step(TckptSteps *steps, TckptStatement statement, const pg_uuid_t *step,
			TckptStep *row)
{
	MemoryContext caller = CurrentMemoryContext;
	bool		found;

	memset(row, 0, sizeof(*row));
	SPI_connect();
	found = execute(steps, statement, step, NULL, NULL) > 0;
	if (found)
	{
		HeapTuple	tuple = SPI_tuptable->vals[0];
		TupleDesc	tupdesc = SPI_tuptable->tupdesc;
		bool		isnull;
		Datum		value = SPI_getbinval(tuple, tupdesc, 1, &isnull);

		if (!isnull)
		{
			MemoryContext oldcontext = MemoryContextSwitchTo(caller);

			row->checkpoint = DatumGetJsonbPCopy(value);
			if (tckpt_is_json_null(row->checkpoint))
				row->checkpoint = NULL;
			MemoryContextSwitchTo(oldcontext);
		}
		if (tupdesc->natts > 1)
		{
			value = SPI_getbinval(tuple, tupdesc, 2, &isnull);
			row->processed = !isnull && DatumGetBool(value);
		}
	}
	SPI_finish();
	return found;
}

/* A step's checkpoint, NULL if it has none.  Raises P0002. */
Jsonb *
tckpt_steps_read(TckptSteps *steps, const pg_uuid_t *step)
{
	TckptStep	row;

	require_found(steps, step, select_step(steps, STATEMENT_READ, step, &row));
	return row.checkpoint;
}

/*
 * The newest version of a step's row, locked until the transaction ends.
 * Raises P0002.
 */
void
tckpt_steps_lock(TckptSteps *steps, const pg_uuid_t *step, TckptStep *row)
{
	require_found(steps, step, select_step(steps, STATEMENT_LOCK, step, row));
}

/* The row as a new snapshot has it; false if the caller sees none. */
bool
tckpt_steps_peek(TckptSteps *steps, const pg_uuid_t *step, TckptStep *row)
{
	return select_step(steps, STATEMENT_PEEK, step, row);
}

/*
 * Hands the parts of a new checkpoint to the guard, which answers in "call".
 * Raises P0002 if there is no such step, what the guard raises, and 55000 if
 * the guard had no say.
 */
void
tckpt_steps_write(TckptSteps *steps, TckptCall *call, const Jsonb *parts)
{
	uint64		changed;

	call->relid = steps->trigger.relid;
	call->processed = steps->processed;

	SPI_connect();
	changed = execute(steps, STATEMENT_WRITE, &call->step, parts, call);
	SPI_finish();

	require_found(steps, &call->step, changed > 0 || call->guarded);
	if (!call->guarded)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("guard trigger did not run for step \"%s\"",
						tckpt_step_name(&call->step)),
				 errdetail("The trigger is disabled, session_replication_role is \"replica\", or another trigger removed the checkpoint."),
				 errhint("Enable the guard trigger of table %s.", steps->table)));
	if (changed == 0 && !call->replayed && !call->superseded)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("checkpoint of step \"%s\" was not stored",
						tckpt_step_name(&call->step)),
				 errdetail("A trigger of table %s suppressed the update.",
						   steps->table)));
}

/* Removes a step's checkpoint.  Raises P0002. */
void
tckpt_steps_clear(TckptSteps *steps, const pg_uuid_t *step)
{
	uint64		changed;

	SPI_connect();
	changed = execute(steps, STATEMENT_WRITE, step, NULL, NULL);
	SPI_finish();
	require_found(steps, step, changed > 0);
}

/* Makes a step ready for another run.  Raises P0002. */
void
tckpt_steps_reset(TckptSteps *steps, const pg_uuid_t *step)
{
	uint64		changed;

	SPI_connect();
	changed = execute(steps, STATEMENT_RESET, step, NULL, NULL);
	SPI_finish();
	require_found(steps, step, changed > 0);
}
