/*-------------------------------------------------------------------------
 *
 * progress.c
 *	  How far the steps are, how fast, and who has them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "document/history.h"
#include "document/figures.h"
#include "table/survey.h"
#include "tasker_checkpoint.h"

/* tasker_checkpoint_figures */
#define FIGURES_COLUMNS 5

/* tasker_checkpoint_step_progress */
enum
{
	COL_STEP,
	COL_STEP_NAME,
	COL_TASK,
	COL_TASK_NAME,
	COL_ITEMS,
	COL_TOTAL,
	COL_PERCENT,
	COL_BAR,
	COL_RATE,
	COL_ETA,
	COL_CHECKPOINTED_AT,
	COL_SEQUENCE,
	COL_STATE,
	COL_WORKER,
	COL_LEASE_UNTIL,
	COL_DELIVERIES,
	NCOLUMNS
};

/* Of the bar, one for each five percent */
#define BAR_WIDTH		20

/* An eta beyond a hundred years says nothing */
#define MAX_ETA			(100 * 365.25 * SECS_PER_DAY)

typedef struct Progress
{
	ReturnSetInfo *rsinfo;
	TimestampTz now;
} Progress;

/* What the dispatch has to say, in the order in which it counts. */
static const char *
state_name(const TckptDispatched *dispatched, TimestampTz now)
{
	if (dispatched == NULL)
		return "idle";
	if (dispatched->parked)
		return "parked";
	if (dispatched->directive == TCKPT_CANCEL)
		return "cancelled";
	if (dispatched->directive == TCKPT_PAUSE)
		return "paused";
	if (dispatched->worker != NULL)
		return dispatched->lease_until > now ? "claimed" : "expired";
	if (dispatched->available_at > now)
		return "delayed";
	return dispatched->has_event ? "waiting" : "idle";
}

/* Tenths of a percent, cut off; more than all is all. */
static int
permille(int64 items, int64 total)
{
	Datum		quotient;

	if (items >= total)
		return 1000;
	quotient = DirectFunctionCall2(numeric_div_trunc,
								   DirectFunctionCall2(numeric_mul,
													   NumericGetDatum(int64_to_numeric(items)),
													   NumericGetDatum(int64_to_numeric(1000))),
								   NumericGetDatum(int64_to_numeric(total)));
	return (int) DatumGetInt64(DirectFunctionCall1(numeric_int8, quotient));
}

static Datum
bar_text(int permille)
{
	char		bar[BAR_WIDTH + 3];

	memset(bar, '.', sizeof(bar));
	bar[0] = '[';
	memset(bar + 1, '#', permille * BAR_WIDTH / 1000);
	bar[BAR_WIDTH + 1] = ']';
	bar[BAR_WIDTH + 2] = '\0';
	return CStringGetTextDatum(bar);
}

/* What needs a total: percent, bar and eta. */
static void
fill_total(int64 items, int64 total, double rate, bool stopped,
		   Datum *values, bool *nulls)
{
	int			done = permille(items, total);
	double		rest = items >= total ? 0 : ((double) total - items) / rate;
	Interval   *eta;

	values[COL_TOTAL] = Int64GetDatum(total);
	values[COL_PERCENT] = NumericGetDatum(int64_div_fast_to_numeric(done, 1));
	values[COL_BAR] = bar_text(done);
	nulls[COL_TOTAL] = nulls[COL_PERCENT] = nulls[COL_BAR] = false;

	if (stopped || (items < total && rate <= 0) || !(rest < MAX_ETA))
		return;
	eta = palloc0(sizeof(Interval));
	eta->time = (int64) ceil(rest) * USECS_PER_SEC;
	values[COL_ETA] = IntervalPGetDatum(eta);
	nulls[COL_ETA] = false;
}

static void
fill_checkpoint(const TckptSurveyed *step, bool stopped, Datum *values, bool *nulls)
{
	TckptDocument doc = {0};
	TckptHistory history;
	TckptFigures figures;

	if (step->checkpoint != NULL)
		(void) tckpt_document_read(step->checkpoint, &doc);
	tckpt_history_read(&doc, &history);
	tckpt_figures_read(&doc, &history, &figures);

	values[COL_ITEMS] = Int64GetDatum(figures.items);
	values[COL_SEQUENCE] = Int64GetDatum(figures.sequence);
	nulls[COL_ITEMS] = nulls[COL_SEQUENCE] = false;
	nulls[COL_RATE] = figures.rate <= 0;
	if (!nulls[COL_RATE])
		values[COL_RATE] = tckpt_rate_to_numeric(figures.rate);
	nulls[COL_CHECKPOINTED_AT] = !figures.has_time;
	values[COL_CHECKPOINTED_AT] = TimestampTzGetDatum(figures.checkpointed_at);
	if (figures.has_total || tckpt_survey_total(step, &figures.total))
		fill_total(figures.items, figures.total, figures.rate, stopped, values, nulls);
}

static void
show_step(const TckptSurveyed *step, void *arg)
{
	Progress   *progress = arg;
	const TckptDispatched *dispatched = step->dispatched;
	const char *state = state_name(dispatched, progress->now);
	bool		stopped = dispatched != NULL &&
		(dispatched->parked || dispatched->directive != TCKPT_CONTINUE);
	Datum		values[NCOLUMNS] = {0};
	bool		nulls[NCOLUMNS];

	if (!step->found || step->processed ||
		(step->checkpoint == NULL && dispatched == NULL))
		return;

	memset(nulls, true, sizeof(nulls));
	values[COL_STEP] = UUIDPGetDatum(&step->step);
	values[COL_STATE] = CStringGetTextDatum(state);
	nulls[COL_STEP] = nulls[COL_STATE] = false;
	nulls[COL_STEP_NAME] = step->step_name == NULL;
	if (step->step_name != NULL)
		values[COL_STEP_NAME] = CStringGetTextDatum(step->step_name);
	nulls[COL_TASK] = !step->has_task;
	values[COL_TASK] = UUIDPGetDatum(&step->task);
	nulls[COL_TASK_NAME] = step->task_name == NULL;
	if (step->task_name != NULL)
		values[COL_TASK_NAME] = CStringGetTextDatum(step->task_name);
	fill_checkpoint(step, stopped, values, nulls);

	if (dispatched != NULL)
	{
		nulls[COL_WORKER] = nulls[COL_LEASE_UNTIL] = dispatched->worker == NULL;
		if (dispatched->worker != NULL)
			values[COL_WORKER] = CStringGetTextDatum(dispatched->worker);
		values[COL_LEASE_UNTIL] = TimestampTzGetDatum(dispatched->lease_until);
		values[COL_DELIVERIES] = Int32GetDatum(dispatched->deliveries);
		nulls[COL_DELIVERIES] = false;
	}
	tuplestore_putvalues(progress->rsinfo->setResult, progress->rsinfo->setDesc,
						 values, nulls);
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_progress);
/*
 * A row for each step that is not processed, and has a checkpoint or is
 * dispatched, of those that the caller sees; or for the given one.
 */
Datum
tasker_checkpoint_progress(PG_FUNCTION_ARGS)
{
	Progress	progress = {.now = GetCurrentTimestamp()};
	TckptSurvey survey = {
		.function = fcinfo->flinfo->fn_oid,
		.step = PG_ARGISNULL(0) ? NULL : PG_GETARG_UUID_P(0),
		.names = true,
		.look = show_step,
		.arg = &progress
	};

	InitMaterializedSRF(fcinfo, 0);
	progress.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	if (OidIsValid(tckpt_attached_find(survey.function)))
		tckpt_survey(tckpt_attached_open(survey.function, AccessShareLock), &survey);
	else if (survey.step != NULL)
		(void) tckpt_attached_open(survey.function, AccessShareLock);
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_figures);
/* The figures of a document; without one those of a step at its beginning. */
Datum
tasker_checkpoint_figures(PG_FUNCTION_ARGS)
{
	TupleDesc	tupdesc;
	TckptDocument doc = {0};
	TckptHistory history;
	TckptFigures figures;
	Datum		values[FIGURES_COLUMNS] = {0};
	bool		nulls[FIGURES_COLUMNS] = {false};

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	if (!PG_ARGISNULL(0))
		(void) tckpt_document_read(PG_GETARG_JSONB_P(0), &doc);
	tckpt_history_read(&doc, &history);
	tckpt_figures_read(&doc, &history, &figures);

	values[0] = Int64GetDatum(figures.items);
	nulls[1] = !figures.has_total;
	values[1] = Int64GetDatum(figures.total);
	nulls[2] = figures.rate <= 0;
	if (!nulls[2])
		values[2] = tckpt_rate_to_numeric(figures.rate);
	nulls[3] = !figures.has_time;
	values[3] = TimestampTzGetDatum(figures.checkpointed_at);
	values[4] = Int64GetDatum(figures.sequence);
	return HeapTupleGetDatum(heap_form_tuple(tupdesc, values, nulls));
}
