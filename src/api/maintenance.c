/*-------------------------------------------------------------------------
 *
 * maintenance.c
 *	  The functions that remove what is not needed any more, in batches.
 *
 * Each looks without a lock for what is due, locks that unless others have it,
 * looks at it again, and changes it.  None of them ever waits for a row, so
 * none is part of a deadlock; what others have locked is found the next time.
 * Rows are locked in the usual order: the step's, then its event's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "api/interval.h"
#include "archive/archive.h"
#include "dispatch/events.h"
#include "dispatch/transaction.h"
#include "document/build.h"
#include "table/steps.h"
#include "tasker_checkpoint.h"

#define MAX_YEARS	1000
#define MAX_ROWS	1000000

/* Events whose steps are looked up at a time */
#define EVENT_BATCH	1000

/* What is to be done to checkpoints, and to which */
typedef struct Sweep
{
	bool		remove;			/* those of processed steps go */
	int64		entries;		/* else: histories keep so many */
	TimestampTz cutoff;
	int64		max_rows;
	bool		dry_run;
} Sweep;

/*
 * The time before which something is old enough, now less the interval given.
 * For an interval of 0 that is the end of time: age does not matter.
 */
static TimestampTz
require_cutoff(FunctionCallInfo fcinfo, int argno)
{
	Interval	zero = {0};
	Interval	longest = {.month = MAX_YEARS * MONTHS_PER_YEAR};
	Datum		age;

	tckpt_require_argument(fcinfo, argno, "older_than");
	age = PG_GETARG_DATUM(argno);
	if (DatumGetBool(DirectFunctionCall2(interval_lt, age, IntervalPGetDatum(&zero))) ||
		DatumGetBool(DirectFunctionCall2(interval_gt, age, IntervalPGetDatum(&longest))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("older_than is out of range"),
				 errdetail("It is \"%s\", and must be from 0 to %d years.",
						   tckpt_interval_text(DatumGetIntervalP(age)), MAX_YEARS),
				 errhint("It is how old something must be, as in '30 days'.")));

	if (DatumGetBool(DirectFunctionCall2(interval_eq, age, IntervalPGetDatum(&zero))))
		return DT_NOEND;
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_mi_interval,
												   TimestampTzGetDatum(GetCurrentTimestamp()),
												   age));
}

static int64
require_max_rows(FunctionCallInfo fcinfo, int argno)
{
	int32		max_rows;

	tckpt_require_argument(fcinfo, argno, "max_rows");
	max_rows = PG_GETARG_INT32(argno);
	if (max_rows < 1 || max_rows > MAX_ROWS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_rows must be from 1 to %d", MAX_ROWS),
				 errdetail("It is %d.", max_rows),
				 errhint("Call the function again until it returns 0.")));
	return max_rows;
}

/* Whether only to count.  Raises 25006 if not, where nothing can be written. */
static bool
begin_maintenance(FunctionCallInfo fcinfo, int argno, const char *function)
{
	bool		dry_run;

	tckpt_require_argument(fcinfo, argno, "dry_run");
	dry_run = PG_GETARG_BOOL(argno);
	if (!dry_run)
		(void) tckpt_begin_write(function);
	return dry_run;
}

static int64
end_maintenance(bool dry_run, int64 count)
{
	if (!dry_run)
		tckpt_end_write();
	return count;
}

/*
 * Whether something is to be done to a step's checkpoint, and what is then to
 * be stored: NULL for none.
 *
 * What the guard would not take for an edit, since it was stored without the
 * guard, is left as it is.
 */
static bool
is_due(const Sweep *sweep, const TckptStep *row, Jsonb **rest)
{
	TckptDocument doc;
	TckptHistory history;
	TimestampTz at;
	int64		items;

	*rest = NULL;
	if (row->checkpoint == NULL)
		return false;
	(void) tckpt_document_read(row->checkpoint, &doc);
	if (sweep->cutoff != DT_NOEND &&
		!(tckpt_value_to_timestamp(&doc.timestamp, &at) && at < sweep->cutoff))
		return false;
	if (sweep->remove)
		return row->processed;

	if (doc.cursor.data == NULL || doc.timestamp.data == NULL ||
		!tckpt_value_to_count(&doc.items_processed, &items))
		return false;
	tckpt_history_read(&doc, &history);
	if (tckpt_history_length(&history) <= sweep->entries)
		return false;
	tckpt_history_cut(&history, sweep->entries, -1);
	*rest = tckpt_document_compose(&doc, &history);
	return true;
}

/* Whether a worker has the step: its checkpoint is in use, processed or not. */
static bool
is_claimed(Oid function, const pg_uuid_t *step)
{
	TckptEvent	event;

	return tckpt_event_find(function, TCKPT_BY_STEP, step, TCKPT_UNLOCKED, &event) &&
		tckpt_event_is_leased(&event, GetCurrentTimestamp());
}

/* Whether a step is due, and nobody has it to whom that matters. */
static bool
is_free(Oid function, const Sweep *sweep, const pg_uuid_t *step,
		const TckptStep *row, Jsonb **rest)
{
	return is_due(sweep, row, rest) && !(sweep->remove && is_claimed(function, step));
}

/* Goes over the steps; returns the number of checkpoints changed. */
static int64
sweep_steps(FunctionCallInfo fcinfo, TckptSteps *steps, const Sweep *sweep)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context;
	TckptStepScan *scan;
	TckptStep	row;
	pg_uuid_t	step;
	int64		count = 0;

	/* reset after each step */
	context = AllocSetContextCreate(caller, "tasker_checkpoint maintenance",
									ALLOCSET_DEFAULT_SIZES);
	scan = tckpt_steps_scan(steps, sweep->remove, sweep->dry_run);
	MemoryContextSwitchTo(context);
	while ((sweep->dry_run || count < sweep->max_rows) &&
		   tckpt_steps_scan_next(scan, &step, &row))
	{
		Jsonb	   *rest;

		CHECK_FOR_INTERRUPTS();
		if (is_free(fcinfo->flinfo->fn_oid, sweep, &step, &row, &rest) &&
			(sweep->dry_run ||
			 (tckpt_steps_try_lock(steps, &step, &row) &&
			  is_free(fcinfo->flinfo->fn_oid, sweep, &step, &row, &rest) &&
			  tckpt_steps_store(steps, &step, rest))))
			count++;
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(caller);
	tckpt_steps_scan_end(scan);
	MemoryContextDelete(context);
	return count;
}

static TckptSteps *
open_steps(FunctionCallInfo fcinfo, bool dry_run)
{
	return tckpt_attached_open(fcinfo->flinfo->fn_oid,
							   dry_run ? AccessShareLock : RowExclusiveLock);
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_purge);
/* Removes old checkpoints of processed steps. */
Datum
tasker_checkpoint_purge(PG_FUNCTION_ARGS)
{
	Sweep		sweep = {.remove = true};
	TckptSteps *steps;

	sweep.dry_run = begin_maintenance(fcinfo, 2, "tasker_checkpoint_purge()");
	sweep.cutoff = require_cutoff(fcinfo, 0);
	sweep.max_rows = require_max_rows(fcinfo, 1);
	steps = open_steps(fcinfo, sweep.dry_run);
	if (steps->processed == InvalidAttrNumber)
		ereport(ERROR,
				(tckpt_refused(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s does not say which steps are processed",
						steps->table),
				 errdetail("It has no column \"processed\" of type boolean."),
				 errhint("Set the column %s of those steps to NULL by an UPDATE of yours.",
						 steps->checkpoint)));
	PG_RETURN_INT64(end_maintenance(sweep.dry_run, sweep_steps(fcinfo, steps, &sweep)));
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_trim);
/* Shortens histories. */
Datum
tasker_checkpoint_trim(PG_FUNCTION_ARGS)
{
	Sweep		sweep = {.remove = false};
	TckptSteps *steps;

	sweep.dry_run = begin_maintenance(fcinfo, 3, "tasker_checkpoint_trim()");
	tckpt_require_argument(fcinfo, 0, "entries");
	sweep.entries = PG_GETARG_INT32(0);
	if (sweep.entries < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("entries must not be negative"),
				 errdetail("It is " INT64_FORMAT ".", sweep.entries),
				 errhint("0 keeps no entry.")));
	sweep.cutoff = require_cutoff(fcinfo, 1);
	sweep.max_rows = require_max_rows(fcinfo, 2);
	steps = open_steps(fcinfo, sweep.dry_run);
	PG_RETURN_INT64(end_maintenance(sweep.dry_run, sweep_steps(fcinfo, steps, &sweep)));
}

/*
 * Whether a step has no use for its event: it is processed, or gone.  Under row
 * security one that is not seen may be there.
 */
static bool
is_over(const TckptStepState *state, bool row_security)
{
	return state->seen ? state->processed : !row_security;
}

/* Whether a worker holds an event, whatever became of its step. */
static bool
is_held(const TckptEvent *event)
{
	return tckpt_event_is_leased(event, GetCurrentTimestamp());
}

/*
 * Removes an event that looked useless; false if others have it or its step,
 * or it is of use by now.  A step that is gone can come back, and be dispatched,
 * while the event is locked: that dispatch waits, and then makes a new event.
 */
static bool
remove_event(FunctionCallInfo fcinfo, TckptSteps *steps, bool row_security,
			 TckptEventScan *scan, TckptEvent *event, const TckptStepState *looked)
{
	TckptStepState now = {.step = event->step};
	TckptStep	row;

	/* lest one that is about to be reset lose its dispatch */
	if (looked->seen && !tckpt_steps_try_lock(steps, &event->step, &row))
		return false;
	if (!tckpt_event_scan_lock(scan, event) || is_held(event))
		return false;
	tckpt_steps_states(steps, &now, 1);
	if (!is_over(&now, row_security))
		return false;
	tckpt_event_delete(fcinfo->flinfo->fn_oid, event);
	return true;
}

/*
 * Reads the next events that nobody holds, up to a batch; false if there are no
 * more after them.
 */
static bool
next_events(TckptEventScan *scan, TckptEvent *events, TckptStepState *states,
			int *nevents)
{
	*nevents = 0;
	while (*nevents < EVENT_BATCH)
	{
		TckptEvent *event = &events[*nevents];

		CHECK_FOR_INTERRUPTS();
		if (!tckpt_event_scan_next(scan, event))
			return false;
		if (is_held(event))
			continue;
		memset(&states[*nevents], 0, sizeof(TckptStepState));
		states[(*nevents)++].step = event->step;
	}
	return true;
}

static void
require_read_committed(void)
{
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("events must be purged in a READ COMMITTED transaction"),
				 errdetail("An event is locked first, and its step looked for with a later snapshot."),
				 errhint("Begin the transaction with BEGIN ISOLATION LEVEL READ COMMITTED.")));
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_purge_events);
/* Removes the events of steps that are gone or processed. */
Datum
tasker_checkpoint_purge_events(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context;
	bool		dry_run = begin_maintenance(fcinfo, 1, "tasker_checkpoint_purge_events()");
	int64		max_rows = require_max_rows(fcinfo, 0);
	TckptEvent *events = palloc(EVENT_BATCH * sizeof(TckptEvent));
	TckptStepState *states = palloc(EVENT_BATCH * sizeof(TckptStepState));
	TckptSteps *steps;
	bool		row_security;
	TckptEventScan *scan;
	bool		more = true;
	int			nevents;
	int64		count = 0;

	if (!dry_run)
		require_read_committed();
	steps = open_steps(fcinfo, dry_run);
	row_security = tckpt_steps_has_row_security(steps);

	/* reset after each batch */
	context = AllocSetContextCreate(caller, "tasker_checkpoint maintenance",
									ALLOCSET_DEFAULT_SIZES);
	scan = tckpt_event_scan_steps(fcinfo->flinfo->fn_oid, NULL, !dry_run);
	MemoryContextSwitchTo(context);
	while (more && (dry_run || count < max_rows))
	{
		more = next_events(scan, events, states, &nevents);
		if (nevents > 0)
			tckpt_steps_states(steps, states, nevents);
		for (int i = 0; i < nevents && (dry_run || count < max_rows); i++)
		{
			const TckptStepState *state = tckpt_steps_state_of(states, nevents, &events[i].step);

			CHECK_FOR_INTERRUPTS();
			if (is_over(state, row_security) &&
				(dry_run ||
				 remove_event(fcinfo, steps, row_security, scan, &events[i], state)))
				count++;
		}
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	tckpt_event_scan_end(scan);
	PG_RETURN_INT64(end_maintenance(dry_run, count));
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_purge_archive);
/* Removes old rows of the archive. */
Datum
tasker_checkpoint_purge_archive(PG_FUNCTION_ARGS)
{
	bool		dry_run = begin_maintenance(fcinfo, 2, "tasker_checkpoint_purge_archive()");
	TimestampTz cutoff = require_cutoff(fcinfo, 0);
	int64		max_rows = require_max_rows(fcinfo, 1);
	int64		count;

	count = tckpt_chunk_purge(fcinfo->flinfo->fn_oid, cutoff, max_rows, dry_run);
	PG_RETURN_INT64(end_maintenance(dry_run, count));
}
