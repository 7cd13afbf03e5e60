/*-------------------------------------------------------------------------
 *
 * steps.c
 *	  The attached steps table, read and written as the caller.
 *
 * Statements run by SPI as the calling user: grants, row security and the
 * table's other triggers apply.  What only reads is read as the table's owner
 * where the caller is a superuser.  They name everything with its schema.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "document.h"
#include "reader.h"
#include "rules.h"
#include "stats.h"
#include "steps.h"
#include "tasker_checkpoint.h"

/* The statements on the steps table; $1 is always the step */
typedef enum TckptStatement
{
	STATEMENT_READ,
	STATEMENT_PEEK,
	STATEMENT_STATE,
	STATEMENT_LOCK,
	STATEMENT_TRY_LOCK,
	STATEMENT_WRITE,			/* $2 the checkpoint, $3 updated_at */
	STATEMENT_STORE,			/* $2 the checkpoint */
	STATEMENT_RESET				/* $2 unused, $3 updated_at */
} TckptStatement;

StaticAssertDecl(STATEMENT_RESET + 1 == TCKPT_NSTATEMENTS,
				 "as many statements as are kept");

/* What is read of a row, or the first of these columns */
static const Oid row_types[] = {JSONBOID, BOOLOID, UUIDOID};

/* Rows that a walk fetches at a time; long checkpoints are still out of line */
#define SCAN_BATCH	100

struct TckptStepScan
{
	TckptSteps *steps;
	bool		read_only;		/* a superuser reads it as the owner */
	Portal		portal;
	SPITupleTable *batch;
	uint64		fetched;
	uint64		next;
};

/* Whether some of the table's rows may be hidden from the caller. */
bool
tckpt_steps_has_row_security(const TckptSteps *steps)
{
	return check_enable_rls(steps->trigger.relid, InvalidOid, true) == RLS_ENABLED;
}

static const char *
processed_column(const TckptSteps *steps)
{
	return steps->processed != InvalidAttrNumber ? "processed" : "false";
}

/* The text of a statement. */
static char *
statement_text(const TckptSteps *steps, TckptStatement statement)
{
	StringInfoData set;

	if (statement == STATEMENT_READ)
		return psprintf("SELECT %s FROM %s WHERE %s OPERATOR(pg_catalog.=) $1",
						steps->checkpoint, steps->table, steps->key);
	if (statement == STATEMENT_PEEK || statement == STATEMENT_STATE ||
		statement == STATEMENT_LOCK || statement == STATEMENT_TRY_LOCK)
		return psprintf("SELECT %s, %s FROM %s WHERE %s OPERATOR(pg_catalog.=) $1%s",
						statement == STATEMENT_STATE ? "NULL::pg_catalog.jsonb" : steps->checkpoint,
						processed_column(steps), steps->table, steps->key,
						statement == STATEMENT_LOCK ? " FOR NO KEY UPDATE" :
						statement == STATEMENT_TRY_LOCK ? " FOR NO KEY UPDATE SKIP LOCKED" : "");

	initStringInfo(&set);
	if (statement == STATEMENT_RESET)
		appendStringInfoString(&set, steps->reset);
	else
		appendStringInfo(&set, "%s = $2", steps->checkpoint);
	if (statement != STATEMENT_STORE && OidIsValid(steps->updated_at))
		appendStringInfo(&set, "%supdated_at = $3", set.len > 0 ? ", " : "");

	/* a table with none of these columns */
	if (set.len == 0)
		return statement_text(steps, STATEMENT_LOCK);

	return psprintf("UPDATE %s SET %s WHERE %s OPERATOR(pg_catalog.=) $1",
					steps->table, set.data, steps->key);
}

/* Begins to read key, checkpoint and, if so, processed; see reader.h. */
static void
read_as(const TckptSteps *steps, bool processed, TckptReader *reader)
{
	AttrNumber	columns[] = {
		steps->trigger.key, steps->trigger.checkpoint,
		processed ? steps->processed : InvalidAttrNumber
	};

	tckpt_read_as(steps->trigger.relid, columns, lengthof(columns), reader);
}

/* The plan of a statement, kept unless it is one for this time alone. */
static SPIPlanPtr
statement_plan(TckptSteps *steps, TckptStatement statement,
			   const TckptReader *reader)
{
	SPIPlanPtr *kept = &steps->plans[statement];
	Oid			types[] = {UUIDOID, JSONBOID, steps->updated_at};
	int			nargs = OidIsValid(steps->updated_at) ? 3 : 2;
	SPIPlanPtr	plan;

	if (*kept != NULL && !reader->forced)
		return *kept;
	plan = tckpt_read_prepare(reader, statement_text(steps, statement), nargs,
							  types, 0);
	if (!reader->forced)
	{
		if (SPI_keepplan(plan) != 0)
			elog(ERROR, "SPI_keepplan failed");
		*kept = plan;
	}
	return plan;
}

/* Executes a plan while the guard expects "call". */
static int
execute_announced(SPIPlanPtr plan, Datum *values, const char *nulls,
				  bool read_only, TckptCall *call)
{
	TckptCall  *previous = tckpt_guard_expect(call);
	int			rc = 0;

	PG_TRY();
	{
		rc = SPI_execute_plan(plan, values, nulls, read_only, 0);
	}
	PG_FINALLY();
	{
		(void) tckpt_guard_expect(previous);
	}
	PG_END_TRY();
	return rc;
}

/*
 * Runs a statement, inside SPI_connect; "call" is for the guard.  Returns the
 * number of rows that it found or changed.
 */
static uint64
execute(TckptSteps *steps, TckptStatement statement, const pg_uuid_t *step,
		const Jsonb *checkpoint, TckptCall *call, const TckptReader *reader)
{
	SPIPlanPtr	plan = statement_plan(steps, statement, reader);
	Datum		values[3];
	char		nulls[] = {' ', checkpoint == NULL ? 'n' : ' ', ' ', '\0'};
	int			rc;

	values[0] = UUIDPGetDatum(step);
	values[1] = checkpoint == NULL ? (Datum) 0 : JsonbPGetDatum(checkpoint);

	/* the clock in UTC is what a column without time zone gets */
	values[2] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());

	rc = execute_announced(plan, values, nulls, statement == STATEMENT_READ, call);
	if (rc != SPI_OK_SELECT && rc != SPI_OK_UPDATE)
	{
		tckpt_attached_distrust();
		ereport(ERROR,
				(errcode(tckpt_refused(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)),
				 errmsg("step \"%s\" could not be updated",
						tckpt_step_name(step)),
				 errdetail("A rule on table %s rewrote the statement.",
						   steps->table),
				 errhint("Drop the rule.")));
	}
	tckpt_require_table(reader, plan, steps->trigger.relid, steps->table);
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

/* Reads a row that begins with the checkpoint and, if asked for, processed. */
static void
read_row(HeapTuple tuple, TupleDesc tupdesc, MemoryContext context,
		 TckptStep *row)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, tupdesc, 1, &isnull);

	memset(row, 0, sizeof(*row));
	if (!isnull)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(context);

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

/* Selects a step's row; false if there is none. */
static bool
select_step(TckptSteps *steps, TckptStatement statement, const pg_uuid_t *step,
			TckptStep *row)
{
	MemoryContext caller = CurrentMemoryContext;
	TckptReader reader = {0};
	bool		found;

	memset(row, 0, sizeof(*row));
	read_as(steps, statement != STATEMENT_READ, &reader);
	SPI_connect();
	found = execute(steps, statement, step, NULL, NULL, &reader) > 0;
	tckpt_require_columns(steps->table, SPI_tuptable->tupdesc, row_types,
						  statement == STATEMENT_READ ? 1 : 2);
	if (found)
		read_row(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, caller, row);
	SPI_finish();
	tckpt_read_done(&reader);
	return found;
}

/* The row as it is by now, where a newer snapshot can be had. */
static bool
select_newest(TckptSteps *steps, const pg_uuid_t *step, TckptStep *row)
{
	bool		found;

	if (IsolationUsesXactSnapshot() || IsInParallelMode())
		return false;
	PushActiveSnapshot(GetLatestSnapshot());
	found = select_step(steps, STATEMENT_READ, step, row);
	PopActiveSnapshot();
	return found;
}

/*
 * A step's checkpoint, NULL if it has none.  Raises P0002.
 *
 * A statement that had to wait for the table has an older snapshot than plain
 * SQL would have, and may find nothing by it where the table was rewritten
 * meanwhile.  So the newest snapshot has the last word.
 */
Jsonb *
tckpt_steps_read(TckptSteps *steps, const pg_uuid_t *step)
{
	TckptStep	row;

	require_found(steps, step,
				  select_step(steps, STATEMENT_READ, step, &row) ||
				  select_newest(steps, step, &row));
	return row.checkpoint;
}

/* Whether the caller sees the step, by the statement's own snapshot. */
bool
tckpt_steps_sees(TckptSteps *steps, const pg_uuid_t *step)
{
	TckptStep	row;

	return select_step(steps, STATEMENT_READ, step, &row);
}

/* The row as a new snapshot has it; false if the caller sees none. */
bool
tckpt_steps_peek(TckptSteps *steps, const pg_uuid_t *step, TckptStep *row)
{
	return select_step(steps, STATEMENT_PEEK, step, row);
}

/* As tckpt_steps_peek(), but for the checkpoint, which may be long. */
bool
tckpt_steps_state(TckptSteps *steps, const pg_uuid_t *step, bool *processed)
{
	TckptStep	row;
	bool		seen = select_step(steps, STATEMENT_STATE, step, &row);

	*processed = row.processed;
	return seen;
}

/*
 * The newest version of a step's row, locked until the transaction ends; false
 * if it is not there, others have it, or the caller may not change it.
 */
bool
tckpt_steps_try_lock(TckptSteps *steps, const pg_uuid_t *step, TckptStep *row)
{
	return select_step(steps, STATEMENT_TRY_LOCK, step, row);
}

/*
 * For a step that could not be locked or updated: it is not there, P0002, or
 * something keeps the caller from changing it, 55000.
 */
static void
raise_not_updated(TckptSteps *steps, const pg_uuid_t *step)
{
	TckptStep	row;

	require_found(steps, step, tckpt_steps_peek(steps, step, &row));
	ereport(ERROR,
			(errcode(tckpt_refused(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)),
			 errmsg("step \"%s\" could not be updated", tckpt_step_name(step)),
			 errdetail("A row security policy for UPDATE, or a trigger of table %s, kept the row as it was.",
					   steps->table)));
}

/*
 * The newest version of a step's row, locked until the transaction ends.
 * Raises P0002, and 55000 if the caller may see the row but not change it.
 */
void
tckpt_steps_lock(TckptSteps *steps, const pg_uuid_t *step, TckptStep *row)
{
	if (!select_step(steps, STATEMENT_LOCK, step, row))
		raise_not_updated(steps, step);
}

/*
 * Hands the parts of a new checkpoint to the guard, which answers in "call".
 * Raises P0002 if there is no such step, what the guard raises, and 55000 if
 * the guard had no say.
 */
void
tckpt_steps_write(TckptSteps *steps, TckptCall *call, const Jsonb *parts)
{
	TckptReader reader = {0};
	uint64		changed;

	call->relid = steps->trigger.relid;
	call->processed = steps->processed;

	SPI_connect();
	changed = execute(steps, STATEMENT_WRITE, &call->step, parts, call, &reader);
	SPI_finish();

	if (changed == 0 && !call->replayed && !call->superseded)
		raise_not_updated(steps, &call->step);
	if (!call->guarded)
		ereport(ERROR,
				(errcode(tckpt_refused(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)),
				 errmsg("guard trigger did not run for step \"%s\"",
						tckpt_step_name(&call->step)),
				 errdetail("The trigger is disabled, session_replication_role is \"replica\", or another trigger removed the checkpoint."),
				 errhint("Enable the guard trigger of table %s.", steps->table)));
}

/*
 * An UPDATE of a step that the caller has locked; false if something kept the
 * row as it was.  That a checkpoint is removed is announced to the guard.
 */
static bool
update_locked(TckptSteps *steps, TckptStatement statement,
			  const pg_uuid_t *step, const Jsonb *checkpoint)
{
	TckptCall	call = {.kind = TCKPT_CALL_CLEAR, .step = *step};
	TckptReader reader = {0};
	uint64		changed;

	call.relid = steps->trigger.relid;
	SPI_connect();
	changed = execute(steps, statement, step, checkpoint,
					  checkpoint == NULL ? &call : NULL, &reader);
	SPI_finish();
	return changed > 0;
}

/* Removes the checkpoint of a locked step.  Raises 55000. */
void
tckpt_steps_clear(TckptSteps *steps, const pg_uuid_t *step)
{
	if (!update_locked(steps, STATEMENT_WRITE, step, NULL))
		raise_not_updated(steps, step);
}

/* Makes a locked step ready for another run.  Raises 55000. */
void
tckpt_steps_reset(TckptSteps *steps, const pg_uuid_t *step)
{
	if (!update_locked(steps, STATEMENT_RESET, step, NULL))
		raise_not_updated(steps, step);
}

/*
 * Stores a checkpoint, or none, in a locked row as any writer does, and leaves
 * updated_at alone.  False if something kept the row as it was.
 */
bool
tckpt_steps_store(TckptSteps *steps, const pg_uuid_t *step,
				  const Jsonb *checkpoint)
{
	return update_locked(steps, STATEMENT_STORE, step, checkpoint);
}

/*
 * Begins a walk over the steps that have a checkpoint, or those of them that
 * are processed, as a new snapshot has them and in no order.  "read_only" says
 * that nothing will be done to them.  Ends with tckpt_steps_scan_end(): SPI
 * stays connected.
 */
TckptStepScan *
tckpt_steps_scan(TckptSteps *steps, bool processed, bool read_only)
{
	MemoryContext caller = CurrentMemoryContext;
	TckptReader reader = {0};
	TckptStepScan *scan = palloc0(sizeof(TckptStepScan));
	SPIPlanPtr	plan;
	char	   *sql = psprintf("SELECT %s, %s, %s FROM %s WHERE %s IS NOT NULL%s",
							   steps->checkpoint, processed_column(steps),
							   steps->key, steps->table, steps->checkpoint,
							   processed ? " AND processed" : "");

	scan->steps = steps;
	scan->read_only = read_only;
	SPI_connect();
	if (read_only)
		read_as(steps, true, &reader);
	plan = tckpt_read_prepare(&reader, sql, 0, NULL, 0);
	scan->portal = SPI_cursor_open(NULL, plan, NULL, NULL, false);
	tckpt_require_table(&reader, plan, steps->trigger.relid, steps->table);
	tckpt_read_done(&reader);
	MemoryContextSwitchTo(caller);
	return scan;
}

static void
fetch_batch(TckptStepScan *scan)
{
	TckptReader reader = {0};

	if (scan->batch != NULL)
		SPI_freetuptable(scan->batch);
	scan->batch = NULL;
	if (scan->read_only)
		read_as(scan->steps, true, &reader);

	SPI_cursor_fetch(scan->portal, true, SCAN_BATCH);
	tckpt_read_done(&reader);
	scan->batch = SPI_tuptable;
	scan->fetched = SPI_processed;
	scan->next = 0;
	tckpt_require_columns(scan->steps->table, scan->batch->tupdesc, row_types,
						  lengthof(row_types));
}

/*
 * The next one; false at the end.  A row without a key, which a table may have
 * got since it was attached, is no step.
 */
bool
tckpt_steps_scan_next(TckptStepScan *scan, pg_uuid_t *step, TckptStep *row)
{
	MemoryContext caller = CurrentMemoryContext;
	HeapTuple	tuple;
	Datum		key;
	bool		isnull;

	do
	{
		if (scan->next == scan->fetched)
		{
			fetch_batch(scan);
			MemoryContextSwitchTo(caller);
			if (scan->fetched == 0)
				return false;
		}
		tuple = scan->batch->vals[scan->next++];
		key = SPI_getbinval(tuple, scan->batch->tupdesc, 3, &isnull);
	} while (isnull);

	read_row(tuple, scan->batch->tupdesc, caller, row);
	*step = *DatumGetUUIDP(key);
	return true;
}

void
tckpt_steps_scan_end(TckptStepScan *scan)
{
	SPI_cursor_close(scan->portal);
	SPI_finish();
	pfree(scan);
}

/* Drops the guard trigger.  Raises 42501 if the caller may not. */
void
tckpt_steps_drop_guard(TckptSteps *steps)
{
	char	   *sql = psprintf("DROP TRIGGER %s ON %s",
							   steps->trigger_name, steps->table);

	SPI_connect();
	if (SPI_execute(sql, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "SPI_execute failed: %s", sql);
	SPI_finish();
}
