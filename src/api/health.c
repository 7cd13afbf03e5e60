/*-------------------------------------------------------------------------
 *
 * health.c
 *	  What is stuck or will be, in words, each with the statement that helps.
 *
 * Statements name everything with its schema, and give every argument, with its
 * type: whoever runs one, a superuser or not, calls nothing but what is meant.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "commands/dbcommands.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"
#include "utils/uuid.h"

#include "api/findings.h"
#include "table/unguarded.h"
#include "tasker_checkpoint.h"

/* tasker_checkpoint_finding */
enum
{
	COL_FINDING,
	COL_SEVERITY,
	COL_STEP,
	COL_FIGURE,
	COL_THRESHOLD,
	COL_UNIT,
	COL_DETAIL,
	COL_STATEMENT,
	NCOLUMNS
};

/* Settings in kilobytes that take more are as good as no limit */
#define MAX_SETTING_KB	262143

/* What is to be said, in the order of TckptFindingKind */
static const struct
{
	const char *name;
	const char *unit;
}			kinds[] = {
	[TCKPT_FINDING_UNGUARDED] = {"unguarded", NULL},
	[TCKPT_FINDING_PREPARED] = {"prepared", "seconds"},
	[TCKPT_FINDING_PARKED] = {"parked", "deliveries"},
	[TCKPT_FINDING_STALE] = {"stale", "seconds"},
	[TCKPT_FINDING_STALLED] = {"stalled", "checkpoints"},
	[TCKPT_FINDING_EXPIRED] = {"expired", "seconds"},
	[TCKPT_FINDING_UNCLAIMED] = {"unclaimed", "seconds"},
	[TCKPT_FINDING_AHEAD] = {"ahead", "seconds"},
	[TCKPT_FINDING_NEAR_CURSOR_LIMIT] = {"near_limit", "percent"},
	[TCKPT_FINDING_NEAR_RESULTS_LIMIT] = {"near_limit", "percent"},
	[TCKPT_FINDING_NEAR_INDEX_LIMIT] = {"near_limit", "percent"},
	[TCKPT_FINDING_LONG_CURSOR] = {"long_cursor", "bytes"},
	[TCKPT_FINDING_PAUSED] = {"paused", "seconds"},
	[TCKPT_FINDING_CANCELLED] = {"cancelled", "seconds"}
};

#define NKINDS ((int) lengthof(kinds))

static const char *const severities[] = {"critical", "warning", "info"};

/* Findings being told */
typedef struct Report
{
	ReturnSetInfo *rsinfo;
	const char *schema;			/* ours, as SQL wants it */
	int64		most[NKINDS];	/* bytes that a finding of the kind has */
} Report;

/* The worst first, then by step. */
static int
by_urgency(const void *a, const void *b)
{
	const TckptFinding *x = a;
	const TckptFinding *y = b;
	int			cmp = (int) x->severity - (int) y->severity;

	if (cmp == 0)
		cmp = memcmp(&x->step, &y->step, sizeof(pg_uuid_t));
	if (cmp == 0)
		cmp = strcmp(kinds[x->kind].name, kinds[y->kind].name);
	if (cmp == 0)
		cmp = (int) x->kind - (int) y->kind;
	if (cmp == 0 && x->index != NULL)
		cmp = strcmp(x->index->name, y->index->name);
	return cmp;
}

static char *
uuid_text(const pg_uuid_t *uuid)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(uuid)));
}

/* A call of one of our functions with the step as its only argument. */
static char *
step_call(const Report *report, const TckptFinding *finding, const char *function)
{
	return psprintf("SELECT %s.tasker_checkpoint_%s('%s'::pg_catalog.uuid);",
					report->schema, function, uuid_text(&finding->step));
}

static const char *
parked_detail(const TckptFinding *finding)
{
	const TckptDispatched *dispatched = finding->dispatched;

	if (finding->unreadable)
		return "Its checkpoint has a number or a nesting that readers fail at, so that it is given to nobody. Rewind the step, clear its checkpoint, or write it anew without that; then resume the step.";
	return psprintf("Claimed %d times without a checkpoint%s%s%s. Find out why the handler fails before it reaches one, then resume the step.",
					dispatched->deliveries,
					dispatched->worker == NULL ? "" : ", last by worker \"",
					dispatched->worker == NULL ? "" : dispatched->worker,
					dispatched->worker == NULL ? "" : "\"");
}

static const char *
near_limit_detail(const TckptFinding *finding)
{
	bool		cursor = finding->kind == TCKPT_FINDING_NEAR_CURSOR_LIMIT;

	return psprintf("%s " INT64_FORMAT " bytes of tasker_checkpoint.%s; what is over it is refused. Let the handler keep what is large in a table of its own, or raise the limit, for sessions that begin after that.",
					cursor ? "The cursor takes" : "The accumulated results take",
					finding->bytes, cursor ? "cursor_limit" : "results_limit");
}

/* Of a directive that is left on a step that is done, or gone. */
static const char *
directive_detail(const TckptFinding *finding)
{
	const char *what = finding->kind == TCKPT_FINDING_PAUSED ? "paused" : "cancelled";

	if (finding->standing == TCKPT_PROCESSED)
		return psprintf("The step is processed, and still %s: if it is reset, nobody can claim it, and tasker_checkpoint_dispatch() returns NULL.", what);
	if (finding->standing == TCKPT_GONE)
		return psprintf("There is no such step any more, and it is still %s: if it is inserted again, nobody can claim it, and tasker_checkpoint_dispatch() returns NULL. The statement forgets all that is left of steps that are processed or gone.", what);
	if (finding->kind == TCKPT_FINDING_PAUSED)
		return "Resume the step, or cancel it if it is not to go on.";
	return "Nobody can claim the step, and tasker_checkpoint_dispatch() returns NULL, also after a reset. Resume it if it is to go on.";
}

static const char *
stale_detail(const TckptFinding *finding)
{
	if (finding->dispatched == NULL || !finding->dispatched->has_event)
		return "The step is in process, and nobody has claimed it. The statement makes it ready for another run, by the orchestrator or tasker_checkpoint_dispatch().";
	return psprintf("Worker \"%s\" has claimed the step, and gives no sign. The statement takes the step from it and offers it to others.",
					finding->dispatched->worker);
}

static const char *
ahead_detail(const TckptFinding *finding)
{
	if (finding->dispatched->worker != NULL)
		return psprintf("The lease of worker \"%s\" ends later than any lease can: the clock of the server was ahead when it was given, and has been set back. If the worker is gone, nobody else can claim the step until then. The statement takes the step from it and offers it to others.",
						finding->dispatched->worker);
	return "The step can be claimed later than after any delay: the clock of the server was ahead when it was dispatched, and has been set back. The statement offers it now.";
}

static const char *
detail_text(const TckptFinding *finding)
{
	const TckptDispatched *dispatched = finding->dispatched;

	switch (finding->kind)
	{
		case TCKPT_FINDING_UNGUARDED:
			break;
		case TCKPT_FINDING_PREPARED:
			return psprintf("The prepared transaction %s has the step: whoever wants to write it, or its dispatch, waits until COMMIT PREPARED or ROLLBACK PREPARED ends that transaction. What is right for the work that it did, its coordinator knows; the statement gives it up.",
							quote_literal_cstr(finding->holder->gid));
		case TCKPT_FINDING_PARKED:
			return parked_detail(finding);
		case TCKPT_FINDING_STALE:
			return stale_detail(finding);
		case TCKPT_FINDING_STALLED:
			return psprintf("The last checkpoints have the same cursor and items: the handler runs and gets nowhere. The statement stops it%s; mend the handler, then resume the step.",
							dispatched != NULL && dispatched->has_event ? "" :
							", if it minds the directive of its receipts");
		case TCKPT_FINDING_EXPIRED:
			return psprintf("The lease of worker \"%s\" has run out, and nobody has taken the step. Look whether workers run, poll and see the step; the statement wakes them.",
							dispatched->worker);
		case TCKPT_FINDING_UNCLAIMED:
			return "Nobody takes the step. Look whether workers run, poll and see it, and are enough; the statement wakes them.";
		case TCKPT_FINDING_AHEAD:
			return ahead_detail(finding);
		case TCKPT_FINDING_NEAR_CURSOR_LIMIT:
		case TCKPT_FINDING_NEAR_RESULTS_LIMIT:
			return near_limit_detail(finding);
		case TCKPT_FINDING_NEAR_INDEX_LIMIT:
			return psprintf("The cursor takes " INT64_FORMAT " bytes of an entry in index %s, which refuses one of more than %d bytes unless it can be compressed.",
							finding->bytes, finding->index->name, TCKPT_INDEX_LIMIT);
		case TCKPT_FINDING_LONG_CURSOR:
			return "Every checkpoint writes the cursor twice and the history keeps copies of it. Let the handler keep what is large in accumulated_results or a table of its own, or raise the threshold, for sessions that begin after that.";
		case TCKPT_FINDING_PAUSED:
		case TCKPT_FINDING_CANCELLED:
			return directive_detail(finding);
	}
	elog(ERROR, "unrecognized finding: %d", (int) finding->kind);
}

/* Raises a size to what is enough for all that are shown. */
static char *
setting_statement(const char *setting, double bytes, const char *unlimited)
{
	double		kilobytes = ceil(bytes / 1024);

	return psprintf("ALTER DATABASE %s SET tasker_checkpoint.%s = %s;",
					quote_identifier(get_database_name(MyDatabaseId)), setting,
					quote_literal_cstr(kilobytes > MAX_SETTING_KB ? unlimited :
									   psprintf("%.0fkB", kilobytes)));
}

static char *
directive_statement(const Report *report, const TckptFinding *finding)
{
	if (finding->standing == TCKPT_GONE)
		return psprintf("SELECT %s.tasker_checkpoint_purge_events(1000, false);", report->schema);
	return step_call(report, finding, "resume");
}

static char *
statement_text(const Report *report, const TckptFinding *finding)
{
	double		most = report->most[finding->kind];

	switch (finding->kind)
	{
		case TCKPT_FINDING_UNGUARDED:
			break;
		case TCKPT_FINDING_PREPARED:
			return psprintf("ROLLBACK PREPARED %s;",
							quote_literal_cstr(finding->holder->gid));
		case TCKPT_FINDING_PARKED:
			return step_call(report, finding, "resume");
		case TCKPT_FINDING_PAUSED:
		case TCKPT_FINDING_CANCELLED:
			return directive_statement(report, finding);
		case TCKPT_FINDING_STALE:
		case TCKPT_FINDING_AHEAD:
			return psprintf("SELECT %s.tasker_checkpoint_reset_for_retry('%s'::pg_catalog.uuid, false);",
							report->schema, uuid_text(&finding->step));
		case TCKPT_FINDING_STALLED:
			return step_call(report, finding, "pause");
		case TCKPT_FINDING_EXPIRED:
		case TCKPT_FINDING_UNCLAIMED:
			return psprintf("SELECT %1$s.tasker_checkpoint_resume('%2$s'::pg_catalog.uuid) FROM %1$s.tasker_checkpoint_pause('%2$s'::pg_catalog.uuid);",
							report->schema, uuid_text(&finding->step));
			/* at least double, and over nobody's threshold */
		case TCKPT_FINDING_NEAR_CURSOR_LIMIT:
			return setting_statement("cursor_limit", most * 200 / finding->threshold, "-1");
		case TCKPT_FINDING_NEAR_RESULTS_LIMIT:
			return setting_statement("results_limit", most * 200 / finding->threshold, "-1");
		case TCKPT_FINDING_LONG_CURSOR:
			return setting_statement("health_long_cursor", most + 1, "0");
		case TCKPT_FINDING_NEAR_INDEX_LIMIT:
			return psprintf("DROP INDEX %sIF EXISTS %s;",
							finding->index->partitioned ? "" : "CONCURRENTLY ",
							finding->index->name);
	}
	elog(ERROR, "unrecognized finding: %d", (int) finding->kind);
}

static void
tell_unguarded(const Report *report, const TckptUnguarded *unguarded)
{
	Datum		values[NCOLUMNS] = {
		[COL_FINDING] = CStringGetTextDatum(kinds[TCKPT_FINDING_UNGUARDED].name),
		[COL_SEVERITY] = CStringGetTextDatum(severities[TCKPT_CRITICAL]),
		[COL_DETAIL] = CStringGetTextDatum(unguarded->detail)
	};
	bool		nulls[NCOLUMNS] = {
		[COL_STEP] = true, [COL_FIGURE] = true, [COL_THRESHOLD] = true,
		[COL_UNIT] = true, [COL_STATEMENT] = unguarded->statement == NULL
	};

	if (unguarded->statement != NULL)
		values[COL_STATEMENT] = CStringGetTextDatum(unguarded->statement);
	tuplestore_putvalues(report->rsinfo->setResult, report->rsinfo->setDesc,
						 values, nulls);
}

static void
tell(const Report *report, const TckptFinding *finding)
{
	Datum		values[NCOLUMNS] = {
		CStringGetTextDatum(kinds[finding->kind].name),
		CStringGetTextDatum(severities[finding->severity]),
		UUIDPGetDatum(&finding->step),
		DirectFunctionCall1(float8_numeric, Float8GetDatum(finding->figure)),
		DirectFunctionCall1(float8_numeric, Float8GetDatum(finding->threshold)),
		CStringGetTextDatum(kinds[finding->kind].unit),
		CStringGetTextDatum(detail_text(finding)),
		CStringGetTextDatum(statement_text(report, finding))
	};
	bool		nulls[NCOLUMNS] = {false};

	tuplestore_putvalues(report->rsinfo->setResult, report->rsinfo->setDesc,
						 values, nulls);
}

/* Tells all, the worst first. */
static void
tell_findings(Report *report, TckptFindings *findings)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "tasker_checkpoint health",
												  ALLOCSET_DEFAULT_SIZES);

	qsort(findings->list, findings->n, sizeof(TckptFinding), by_urgency);
	for (int i = 0; i < findings->n; i++)
	{
		TckptFinding *finding = &findings->list[i];

		report->most[finding->kind] = Max(report->most[finding->kind], finding->bytes);
	}

	MemoryContextSwitchTo(context);
	for (int i = 0; i < findings->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		tell(report, &findings->list[i]);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_health);
/*
 * A row for each finding of the steps that the caller sees.  Who cannot read
 * the steps table is only told if it is not guarded, or raises 42501.
 */
Datum
tasker_checkpoint_health(PG_FUNCTION_ARGS)
{
	Oid			function = fcinfo->flinfo->fn_oid;
	TckptFindings findings = {
		.allocated = 64,
		.now = GetCurrentStatementStartTimestamp()
	};
	TckptSurvey survey = {
		.function = function,
		.in_process = true,
		.holders = true,
		.look = tckpt_findings_of_step,
		.arg = &findings
	};
	Report		report = {
		.schema = tckpt_schema_of(function)
	};
	TckptSteps *steps = NULL;
	List	   *unguarded;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	report.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	if (OidIsValid(tckpt_attached_find(function)))
		steps = tckpt_attached_open(function, AccessShareLock);

	unguarded = tckpt_unguarded(function, steps);
	foreach(cell, unguarded)
		tell_unguarded(&report, lfirst(cell));
	if (steps == NULL || (unguarded != NIL && !tckpt_survey_may_read(steps)))
		return (Datum) 0;

	findings.list = palloc(findings.allocated * sizeof(TckptFinding));
	findings.indexes = tckpt_cursor_indexes(steps);
	tckpt_survey(steps, &survey);
	tell_findings(&report, &findings);
	return (Datum) 0;
}
