/*-------------------------------------------------------------------------
 *
 * survey.c
 *	  What progress and health are views on, and what of it only C can tell.
 *
 * tasker_checkpoint_survey() says what there is; what it means is SQL, in
 * src/sql/.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/int.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "dispatch/event.h"
#include "document/figures.h"
#include "document/readable.h"
#include "guc.h"
#include "table/attached.h"
#include "table/cursor_index.h"
#include "table/survey.h"
#include "table/unguarded.h"
#include "tasker_checkpoint.h"

/* tasker_checkpoint_survey() */
enum
{
	COL_STEP,
	COL_FOUND,
	COL_PROCESSED,
	COL_CHECKPOINTED_AT,
	COL_STEP_NAME,
	COL_TASK,
	COL_TASK_NAME,
	COL_ITEMS,
	COL_TOTAL,
	COL_RATE,
	COL_SEQUENCE,
	COL_SEEN_AT,
	COL_IN_PROCESS,
	COL_REPEATED,
	COL_CURSOR_SIZE,
	COL_RESULTS_SIZE,
	COL_CURSOR_LENGTH,
	COL_READABLE,
	COL_GID,
	COL_PREPARED_AT,
	COL_HAS_EVENT,
	COL_DIRECTIVE,
	COL_PARKED,
	COL_WORKER,
	COL_AVAILABLE_AT,
	COL_LEASE,
	COL_LEASED_AT,
	COL_LEASE_UNTIL,
	COL_DELIVERIES,
	COL_QUEUE,
	NCOLUMNS
};

/* A survey being told */
typedef struct Report
{
	ReturnSetInfo *rsinfo;
	TimestampTz now;
	bool		health;
	bool		cursor_lengths; /* there is an index that bounds them */
	Datum		directives[TCKPT_CANCEL + 1];	/* their names */
} Report;

typedef struct SurveyRow
{
	Datum		values[NCOLUMNS];
	bool		nulls[NCOLUMNS];
} SurveyRow;

static void
set(SurveyRow *row, int column, Datum value)
{
	row->values[column] = value;
	row->nulls[column] = false;
}

static void
set_text(SurveyRow *row, int column, const char *string)
{
	if (string != NULL)
		set(row, column, CStringGetTextDatum(string));
}

/* Bytes of a cursor as text, as ->> gives it; one that readers can take. */
static int64
text_length(const TckptValue *cursor)
{
	Jsonb	   *jb;

	if (cursor->type == JENTRY_ISSTRING)
		return cursor->len;
	jb = tckpt_value_to_jsonb(cursor);
	return strlen(JsonbToCString(NULL, &jb->root, VARSIZE(jb)));
}

/* What progress shows; the document is empty where there is none. */
static void
set_progress(SurveyRow *row, const TckptSurveyed *step, const TckptDocument *doc)
{
	TckptHistory history;
	double		rate;
	int64		total;

	set_text(row, COL_STEP_NAME, step->step_name);
	set_text(row, COL_TASK_NAME, step->task_name);
	if (step->has_task)
		set(row, COL_TASK, UUIDPGetDatum(&step->task));
	if (tckpt_results_total(doc, &total) ||
		(step->has_inputs &&
		 tckpt_inputs_total(DatumGetJsonbP(step->inputs), &total)))
		set(row, COL_TOTAL, Int64GetDatum(total));
	if (step->checkpoint == NULL)
		return;

	tckpt_history_read(doc, &history);
	rate = tckpt_history_rate(&history);
	if (rate > 0)
		set(row, COL_RATE, Float8GetDatum(rate));
	set(row, COL_ITEMS, Int64GetDatum(tckpt_document_items(doc)));
	set(row, COL_SEQUENCE, Int64GetDatum(history.sequence));
}

/* What health judges by. */
static void
set_health(SurveyRow *row, const Report *report, const TckptSurveyed *step,
		   const TckptDocument *doc)
{
	TckptUnreadable found;

	set(row, COL_IN_PROCESS, BoolGetDatum(step->in_process));
	if (step->checkpoint == NULL)
		return;

	set(row, COL_REPEATED, Int32GetDatum((int32) tckpt_document_repeated(doc)));
	set(row, COL_CURSOR_SIZE, Int64GetDatum(tckpt_value_size(&doc->cursor)));
	set(row, COL_RESULTS_SIZE, Int64GetDatum(tckpt_value_size(&doc->accumulated_results) +
											 doc->extra_size));

	/* all of it is looked at only where nobody can go on without that */
	if (step->dispatched != NULL && step->dispatched->parked)
		set(row, COL_READABLE, BoolGetDatum(tckpt_checkpoint_is_readable(step->checkpoint)));
	if (report->cursor_lengths && !tckpt_value_is_null(&doc->cursor) &&
		tckpt_value_is_readable(&doc->cursor, 1, &found))
		set(row, COL_CURSOR_LENGTH, Int64GetDatum(text_length(&doc->cursor)));
}

static void
set_document(SurveyRow *row, const Report *report, const TckptSurveyed *step)
{
	TckptDocument doc = {0};
	TimestampTz checkpointed_at;

	if (step->checkpoint != NULL)
		(void) tckpt_document_read(step->checkpoint, &doc);
	if (tckpt_value_to_timestamp(&doc.timestamp, &checkpointed_at))
		set(row, COL_CHECKPOINTED_AT, TimestampTzGetDatum(checkpointed_at));
	if (report->health)
		set_health(row, report, step, &doc);
	else
		set_progress(row, step, &doc);
}

/* When a lease was last given or extended. */
static TimestampTz
leased_at(const TckptDispatched *dispatched)
{
	TimestampTz result = dispatched->lease_until;

	/* a row that was edited by hand may have any time */
	if (!TIMESTAMP_NOT_FINITE(result) &&
		(pg_sub_s64_overflow(result, dispatched->lease, &result) ||
		 !IS_VALID_TIMESTAMP(result)))
		TIMESTAMP_NOBEGIN(result);
	return result;
}

static void
set_dispatched(SurveyRow *row, const Report *report,
			   const TckptDispatched *dispatched)
{
	set(row, COL_HAS_EVENT, BoolGetDatum(dispatched->has_event));
	set(row, COL_DIRECTIVE, report->directives[dispatched->directive]);
	set(row, COL_PARKED, BoolGetDatum(dispatched->parked));
	set(row, COL_AVAILABLE_AT, TimestampTzGetDatum(dispatched->available_at));
	set(row, COL_DELIVERIES, Int32GetDatum(dispatched->deliveries));
	set_text(row, COL_QUEUE, dispatched->queue);
	if (dispatched->worker != NULL)
	{
		Interval   *lease = palloc0(sizeof(Interval));

		lease->time = dispatched->lease;
		set_text(row, COL_WORKER, dispatched->worker);
		set(row, COL_LEASE, IntervalPGetDatum(lease));
		set(row, COL_LEASED_AT, TimestampTzGetDatum(leased_at(dispatched)));
		set(row, COL_LEASE_UNTIL, TimestampTzGetDatum(dispatched->lease_until));
	}
}

static void
tell_step(const TckptSurveyed *step, void *arg)
{
	const Report *report = arg;
	SurveyRow	row;

	memset(row.nulls, true, sizeof(row.nulls));
	set(&row, COL_STEP, UUIDPGetDatum(&step->step));
	set(&row, COL_FOUND, BoolGetDatum(step->found));
	set(&row, COL_PROCESSED, BoolGetDatum(step->processed));
	if (!report->health)
		set(&row, COL_SEEN_AT, TimestampTzGetDatum(report->now));
	if (step->found && !step->processed)
		set_document(&row, report, step);
	if (step->dispatched != NULL)
		set_dispatched(&row, report, step->dispatched);
	if (step->holder != NULL)
	{
		set_text(&row, COL_GID, step->holder->gid);
		set(&row, COL_PREPARED_AT, TimestampTzGetDatum(step->holder->prepared_at));
	}
	tuplestore_putvalues(report->rsinfo->setResult, report->rsinfo->setDesc,
						 row.values, row.nulls);
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_survey);
/*
 * A row for each step that is not processed and has a checkpoint, and for each
 * that is dispatched, of those that the caller sees; or for the given one.
 * Health is told of no step where the caller cannot read them and has to be
 * told that the table is not guarded; else that raises 42501.
 */
Datum
tasker_checkpoint_survey(PG_FUNCTION_ARGS)
{
	Oid			function = fcinfo->flinfo->fn_oid;
	Report		report = {
		.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo,
		.now = GetCurrentTimestamp(),
		.health = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1)
	};
	TckptSurvey survey = {
		.function = function,
		.step = PG_ARGISNULL(0) ? NULL : PG_GETARG_UUID_P(0),
		.health = report.health,
		.look = tell_step,
		.arg = &report
	};
	TckptTrigger trigger;
	bool		contested;

	InitMaterializedSRF(fcinfo, 0);
	if (!tckpt_find_registration(tckpt_guard_of(function), &trigger, &contested))
	{
		if (survey.step != NULL)
			(void) tckpt_attached_open(function, AccessShareLock);
		return (Datum) 0;
	}
	if (survey.health)
	{
		if (!tckpt_survey_may_read(&trigger) && tckpt_unguarded(function) != NIL)
			return (Datum) 0;
		report.cursor_lengths = tckpt_cursor_indexes(&trigger) != NIL;
	}
	for (TckptDirective i = TCKPT_CONTINUE; i <= TCKPT_CANCEL; i++)
		report.directives[i] = CStringGetTextDatum(tckpt_directive_name(i));
	tckpt_survey(&trigger, &survey);
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_unguarded);
/* What is not guarded, in words. */
Datum
tasker_checkpoint_unguarded(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, tckpt_unguarded(fcinfo->flinfo->fn_oid))
	{
		TckptUnguarded *unguarded = lfirst(cell);
		Datum		values[] = {CStringGetTextDatum(unguarded->detail), 0};
		bool		nulls[] = {false, unguarded->statement == NULL};

		if (unguarded->statement != NULL)
			values[1] = CStringGetTextDatum(unguarded->statement);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_cursor_indexes);
/* The indexes of the attached table that bound the cursor. */
Datum
tasker_checkpoint_cursor_indexes(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	List	   *indexes = NIL;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, tckpt_registration_list(tckpt_guard_of(fcinfo->flinfo->fn_oid)))
	{
		TckptRegistration *registration = lfirst(cell);

		if (registration->attached && registration->trigger.relid == registration->steps)
			indexes = tckpt_cursor_indexes(&registration->trigger);
	}
	foreach(cell, indexes)
	{
		TckptCursorIndex *index = lfirst(cell);
		Datum		values[] = {
			ObjectIdGetDatum(index->relid), CStringGetTextDatum(index->name),
			BoolGetDatum(index->entire)
		};
		bool		nulls[lengthof(values)] = {false};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_limits);
/* Settings as this session has them, the library being loaded. */
Datum
tasker_checkpoint_limits(PG_FUNCTION_ARGS)
{
	Interval	max_lease = {.time = tckpt_max_lease * USECS_PER_SEC};
	Datum		values[] = {
		Int64GetDatum(tckpt_cursor_limit), Int64GetDatum(tckpt_results_limit),
		IntervalPGetDatum(&max_lease), Int32GetDatum(tckpt_max_deliveries)
	};
	bool		nulls[lengthof(values)] = {false};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	return (Datum) 0;
}
