/*-------------------------------------------------------------------------
 *
 * steps.c
 *	  The attached steps table, read and written as the caller.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#include "document/document.h"
#include "table/statement.h"
#include "table/steps.h"
#include "tasker_checkpoint.h"

/* What is read of a row, or the first of these columns */
static const Oid row_types[] = {JSONBOID, BOOLOID, UUIDOID};

/* Rows that a walk fetches at a time; long checkpoints are still out of line */
#define SCAN_BATCH	100

/* A row that is made anew while it is waited for is looked for so often */
#define MAX_TRIES	2

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
	tckpt_steps_read_as(steps, statement != TCKPT_STATEMENT_READ, &reader);
	SPI_connect();
	found = tckpt_steps_execute(steps, statement, step, 1, NULL, NULL, &reader) > 0;
	tckpt_require_columns(steps->table, SPI_tuptable->tupdesc, row_types,
						  statement == TCKPT_STATEMENT_READ ? 1 : 2);
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
	found = select_step(steps, TCKPT_STATEMENT_READ, step, row);
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
				  select_step(steps, TCKPT_STATEMENT_READ, step, &row) ||
				  select_newest(steps, step, &row));
	return row.checkpoint;
}

/*
 * Raises P0002 if a step that was seen is gone by now, as far as a newer snapshot
 * can be had.
 */
void
tckpt_steps_look_again(TckptSteps *steps, const pg_uuid_t *step)
{
	TckptStep	row;

	if (!IsolationUsesXactSnapshot())
		require_found(steps, step, select_newest(steps, step, &row));
}

/* Whether the caller sees the step, by the statement's own snapshot. */
bool
tckpt_steps_sees(TckptSteps *steps, const pg_uuid_t *step)
{
	TckptStep	row;

	return select_step(steps, TCKPT_STATEMENT_READ, step, &row);
}

/* The row as a new snapshot has it; false if the caller sees none. */
bool
tckpt_steps_peek(TckptSteps *steps, const pg_uuid_t *step, TckptStep *row)
{
	return select_step(steps, TCKPT_STATEMENT_PEEK, step, row);
}

/* As tckpt_steps_peek(), but for the checkpoint, which may be long. */
bool
tckpt_steps_state(TckptSteps *steps, const pg_uuid_t *step, bool *processed)
{
	TckptStep	row;
	bool		seen = select_step(steps, TCKPT_STATEMENT_STATE, step, &row);

	*processed = row.processed;
	return seen;
}

static int
by_step(const void *a, const void *b)
{
	return memcmp(&((const TckptStepState *) a)->step,
				  &((const TckptStepState *) b)->step, sizeof(pg_uuid_t));
}

/* What was found of a step; NULL if it was not among those looked for. */
TckptStepState *
tckpt_steps_state_of(TckptStepState *states, int nstates, const pg_uuid_t *step)
{
	TckptStepState key = {.step = *step};

	return bsearch(&key, states, nstates, sizeof(TckptStepState), by_step);
}

/*
 * As tckpt_steps_state(), by one statement for many steps, which are put in the
 * order in which tckpt_steps_state_of() finds them.
 */
void
tckpt_steps_states(TckptSteps *steps, TckptStepState *states, int nstates)
{
	pg_uuid_t  *keys = palloc(nstates * sizeof(pg_uuid_t));
	TckptReader reader = {0};
	uint64		found;

	qsort(states, nstates, sizeof(TckptStepState), by_step);
	for (int i = 0; i < nstates; i++)
		keys[i] = states[i].step;

	tckpt_steps_read_as(steps, true, &reader);
	SPI_connect();
	found = tckpt_steps_execute(steps, TCKPT_STATEMENT_STATES, keys, nstates, NULL, NULL,
								&reader);
	tckpt_require_columns(steps->table, SPI_tuptable->tupdesc, row_types,
						  lengthof(row_types));
	for (uint64 i = 0; i < found; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TckptStep	row;
		TckptStepState *state;
		bool		isnull;
		Datum		key = SPI_getbinval(tuple, SPI_tuptable->tupdesc, 3, &isnull);

		state = isnull ? NULL : tckpt_steps_state_of(states, nstates, DatumGetUUIDP(key));
		if (state == NULL)
			continue;
		read_row(tuple, SPI_tuptable->tupdesc, CurrentMemoryContext, &row);
		state->seen = true;
		state->processed = row.processed;
	}
	SPI_finish();
	tckpt_read_done(&reader);
	pfree(keys);
}

/*
 * The newest version of a step's row, locked until the transaction ends; false
 * if it is not there, others have it, or the caller may not change it.
 */
bool
tckpt_steps_try_lock(TckptSteps *steps, const pg_uuid_t *step, TckptStep *row)
{
	return select_step(steps, TCKPT_STATEMENT_TRY_LOCK, step, row);
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
			(tckpt_refused(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("step \"%s\" could not be updated", tckpt_step_name(step)),
			 errdetail("A row security policy for UPDATE, or a trigger of table %s, kept the row as it was.",
					   steps->table)));
}

/*
 * A statement that has waited for whoever deletes a row finds none, also where he
 * has made it anew: that one is newer than the statement.  Another statement sees
 * it.  Raises P0002 and 55000 where that is of no use.
 */
static void
require_another_try(TckptSteps *steps, const pg_uuid_t *step, int tries)
{
	TckptStep	row;

	if (tries == MAX_TRIES || !tckpt_steps_peek(steps, step, &row))
		raise_not_updated(steps, step);
}

/*
 * The newest version of a step's row, locked until the transaction ends.
 * Raises P0002, and 55000 if the caller may see the row but not change it.
 */
void
tckpt_steps_lock(TckptSteps *steps, const pg_uuid_t *step, TckptStep *row)
{
	for (int tries = 1; !select_step(steps, TCKPT_STATEMENT_LOCK, step, row); tries++)
		require_another_try(steps, step, tries);
}

/*
 * Hands the parts of a new checkpoint to the guard, which says in "outcome" what
 * came of them.  Raises P0002 if there is no such step, what the guard raises,
 * and 55000 if the guard had no say.
 */
void
tckpt_steps_write(TckptSteps *steps, const TckptRequest *request,
				  const Jsonb *parts, TckptOutcome *outcome)
{
	TckptReader reader;
	TckptAnnouncement announcement = {
		.request = request,
		.relid = steps->trigger.relid,
		.processed = steps->processed,
		.outcome = outcome
	};
	uint64		changed;

	memset(outcome, 0, sizeof(*outcome));
	outcome->dispatch.context = CurrentMemoryContext;
	for (int tries = 1;; tries++)
	{
		tckpt_write_as_caller(&reader);
		SPI_connect();
		changed = tckpt_steps_execute_write(steps, parts, &announcement, &reader);
		SPI_finish();
		tckpt_read_done(&reader);
		if (changed > 0 || outcome->guarded)
			break;
		require_another_try(steps, &request->step, tries);
	}

	if (changed == 0 && outcome->verdict == TCKPT_ADMITTED)
		raise_not_updated(steps, &request->step);
	if (!outcome->guarded)
		ereport(ERROR,
				(tckpt_refused(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("guard trigger did not run for step \"%s\"",
						tckpt_step_name(&request->step)),
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
	TckptRequest request = {
		.kind = TCKPT_CLEAR,
		.step = *step
	};
	TckptOutcome outcome = {0};
	TckptAnnouncement announcement = {
		.request = &request,
		.relid = steps->trigger.relid,
		.outcome = &outcome
	};
	TckptReader reader;
	uint64		changed;

	tckpt_write_as_caller(&reader);
	SPI_connect();
	changed = tckpt_steps_execute(steps, statement, step, 1, checkpoint,
								  checkpoint == NULL ? &announcement : NULL, &reader);
	SPI_finish();
	tckpt_read_done(&reader);
	return changed > 0;
}

/* Removes the checkpoint of a locked step.  Raises 55000. */
void
tckpt_steps_clear(TckptSteps *steps, const pg_uuid_t *step)
{
	if (!update_locked(steps, TCKPT_STATEMENT_WRITE, step, NULL))
		raise_not_updated(steps, step);
}

/* Makes a locked step ready for another run.  Raises 55000. */
void
tckpt_steps_reset(TckptSteps *steps, const pg_uuid_t *step)
{
	if (!update_locked(steps, TCKPT_STATEMENT_RESET, step, NULL))
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
	return update_locked(steps, TCKPT_STATEMENT_STORE, step, checkpoint);
}

/* What will be written to is walked as plain SQL walks it. */
static void
begin_scan(const TckptStepScan *scan, TckptReader *reader)
{
	if (scan->read_only)
		tckpt_steps_read_as(scan->steps, true, reader);
	else
		tckpt_write_as_caller(reader);
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
	TckptReader reader;
	TckptStepScan *scan = palloc0(sizeof(TckptStepScan));
	SPIPlanPtr	plan;
	char	   *sql = psprintf("SELECT %s, %s, %s FROM %s WHERE %s IS NOT NULL%s",
							   steps->checkpoint, tckpt_processed_column(steps),
							   steps->key, steps->table, steps->checkpoint,
							   processed ? " AND processed" : "");

	scan->steps = steps;
	scan->read_only = read_only;
	SPI_connect();
	begin_scan(scan, &reader);
	plan = tckpt_read_prepare(&reader, sql, 0, NULL, 0);
	scan->portal = SPI_cursor_open(NULL, plan, NULL, NULL, false);

	/* code of the table's owner that runs meanwhile must not close it */
	PinPortal(scan->portal);
	tckpt_require_table(&reader, plan, steps->trigger.relid, steps->table);
	tckpt_read_done(&reader);
	MemoryContextSwitchTo(caller);
	return scan;
}

static void
fetch_batch(TckptStepScan *scan)
{
	TckptReader reader;

	if (scan->batch != NULL)
		SPI_freetuptable(scan->batch);
	scan->batch = NULL;
	begin_scan(scan, &reader);
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
	UnpinPortal(scan->portal);
	SPI_cursor_close(scan->portal);
	SPI_finish();
	pfree(scan);
}

/* Drops the guard trigger.  Raises 42501 if the caller may not. */
void
tckpt_steps_drop_guard(TckptSteps *steps)
{
	tckpt_run_ddl(psprintf("DROP TRIGGER %s ON %s", steps->trigger_name, steps->table));
}
