/*-------------------------------------------------------------------------
 *
 * findings.c
 *	  What is wrong with a step.
 *
 * Each step that a survey meets is judged by itself, against the thresholds of
 * the settings; health.c says it in words.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "utils/float.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "api/findings.h"
#include "document/history.h"
#include "document/readable.h"
#include "guc.h"
#include "tasker_checkpoint.h"

/* What an entry of a B-tree takes besides the text */
#define INDEX_ENTRY_OVERHEAD	12

/* So far ahead of the clock a checkpoint's time says nothing; the guard agrees */
#define FUTURE_TOLERANCE	(5 * SECS_PER_MINUTE)

/* No delay is longer */
#define MAX_DELAY			SECS_PER_DAY

/* As many times over its threshold makes a finding critical */
#define CRITICAL_FACTOR		4

/* What is known of the times of a step that is dispatched; in seconds */
typedef struct Times
{
	double		idle;			/* for so long it could be claimed, but for a
								 * directive; below 0 while it could not */
	double		heard;			/* so long ago its worker claimed it, or sent a
								 * heartbeat; NaN if nobody has it */
} Times;

/* Whole seconds from "then" to "now"; infinite for infinite times. */
static double
seconds_since(TimestampTz now, TimestampTz then)
{
	if (TIMESTAMP_IS_NOBEGIN(then))
		return get_float8_infinity();
	if (TIMESTAMP_IS_NOEND(then))
		return -get_float8_infinity();
	return floor(((double) now - (double) then) / USECS_PER_SEC);
}

static TckptFinding *
add_finding(TckptFindings *findings, TckptFindingKind kind,
			const TckptSurveyed *step, double figure, double threshold)
{
	TckptFinding *finding;

	if (findings->n == findings->allocated)
	{
		findings->allocated *= 2;
		findings->list = repalloc_huge(findings->list,
									   findings->allocated * sizeof(TckptFinding));
	}
	finding = &findings->list[findings->n++];
	memset(finding, 0, sizeof(*finding));
	finding->kind = kind;
	finding->step = step->step;
	finding->standing = !step->found ? TCKPT_GONE :
		step->processed ? TCKPT_PROCESSED : TCKPT_IN_WORK;
	finding->figure = figure;
	finding->threshold = threshold;
	finding->dispatched = step->dispatched;
	finding->holder = step->holder;
	finding->severity = figure >= CRITICAL_FACTOR * threshold ?
		TCKPT_CRITICAL : TCKPT_WARNING;
	return finding;
}

/* Adds what is over a threshold that is not turned off; else NULL. */
static TckptFinding *
add_if_over(TckptFindings *findings, TckptFindingKind kind,
			const TckptSurveyed *step, double figure, double threshold)
{
	if (threshold <= 0 || !(figure >= threshold))
		return NULL;
	return add_finding(findings, kind, step, figure, threshold);
}

static Times
times_of(const TckptDispatched *dispatched, TimestampTz now)
{
	bool		claimed = dispatched->worker != NULL;

	/* somebody resumed it after its worker's lease had run out */
	bool		resumed = claimed && dispatched->available_at > dispatched->lease_until &&
		dispatched->available_at <= now;
	Times		times;

	times.idle = seconds_since(now, claimed && !resumed ?
							   dispatched->lease_until : dispatched->available_at);
	if (!claimed)
		times.heard = get_float8_nan();
	else if (resumed)
		times.heard = seconds_since(now, dispatched->available_at);
	else
		times.heard = seconds_since(now, dispatched->lease_until) +
			(double) dispatched->lease / USECS_PER_SEC;
	return times;
}

/*
 * Who has a step gives no sign.  One whose lease ran out long enough ago is
 * nobody's; so is one that has an event and no worker.
 */
static void
find_stale(TckptFindings *findings, const TckptSurveyed *step,
		   const Times *times, const TckptDocument *doc)
{
	const TckptDispatched *dispatched = step->dispatched;
	bool		has_event = dispatched != NULL && dispatched->has_event;
	double		silent = get_float8_nan();
	TimestampTz checkpointed_at;

	if (has_event)
	{
		if (dispatched->worker == NULL || times->heard < tckpt_health_stale ||
			(tckpt_health_expired > 0 && times->idle >= tckpt_health_expired))
			return;
		silent = floor(times->heard);
	}
	else if (!step->in_process)
		return;

	if (tckpt_value_to_timestamp(&doc->timestamp, &checkpointed_at))
	{
		double		age = seconds_since(findings->now, checkpointed_at);

		if (age >= -FUTURE_TOLERANCE && !(silent <= age))
			silent = age;
	}
	(void) add_if_over(findings, TCKPT_FINDING_STALE, step, silent, tckpt_health_stale);
}

/* Equal as JSON: 1 and 1.0 are.  Two absent values are equal, too. */
static bool
same_json(const TckptValue *a, const TckptValue *b)
{
	if (tckpt_value_equal(a, b))
		return true;
	if (a->data == NULL || b->data == NULL || a->type != b->type)
		return false;
	if (a->type == JENTRY_ISNUMERIC)
		return DatumGetBool(DirectFunctionCall2(numeric_eq, PointerGetDatum(a->data),
												PointerGetDatum(b->data)));
	return a->type == JENTRY_ISCONTAINER &&
		compareJsonbContainers((JsonbContainer *) unconstify(char *, a->data),
							   (JsonbContainer *) unconstify(char *, b->data)) == 0;
}

/* Checkpoints that are where the one before them was. */
static void
find_stalled(TckptFindings *findings, const TckptSurveyed *step,
			 const TckptDocument *doc)
{
	TckptHistory history;
	TckptDocument newest;
	TckptDocument entry;
	int64		repeated = 1;

	tckpt_history_read(doc, &history);
	if (!tckpt_history_entry(&history, history.sequence, &newest) ||
		newest.cursor.data == NULL)
		return;
	while (tckpt_history_entry(&history, history.sequence - repeated, &entry) &&
		   same_json(&entry.cursor, &newest.cursor) &&
		   same_json(&entry.items_processed, &newest.items_processed))
		repeated++;
	(void) add_if_over(findings, TCKPT_FINDING_STALLED, step, repeated, tckpt_health_stalled);
}

/* Bytes of the cursor as text, as ->> gives it. */
static int64
cursor_length(const TckptDocument *doc)
{
	Jsonb	   *jb;

	if (doc->cursor.data == NULL)
		return 0;
	if (doc->cursor.type == JENTRY_ISSTRING)
		return doc->cursor.len;
	if (doc->cursor.type == JENTRY_ISNULL)
		return 0;
	jb = tckpt_value_to_jsonb(&doc->cursor);
	return strlen(JsonbToCString(NULL, &jb->root, VARSIZE(jb)));
}

/* What takes a good part of a limit, or goes with every checkpoint. */
static void
find_sizes(TckptFindings *findings, const TckptSurveyed *step,
		   const TckptDocument *doc, bool unreadable)
{
	struct
	{
		TckptFindingKind kind;
		int			limit;
		Size		size;
	}			limits[] = {
		{TCKPT_FINDING_NEAR_CURSOR_LIMIT, tckpt_cursor_limit,
		tckpt_value_size(&doc->cursor)},
		{TCKPT_FINDING_NEAR_RESULTS_LIMIT, tckpt_results_limit,
		tckpt_value_size(&doc->accumulated_results) + doc->extra_size}
	};
	TckptFinding *finding;
	ListCell   *cell;
	int64		length;

	for (int i = 0; i < (int) lengthof(limits); i++)
	{
		if (limits[i].limit < 0)
			continue;
		finding = add_if_over(findings, limits[i].kind, step,
							  floor(100.0 * limits[i].size / Max(limits[i].limit, 1)),
							  tckpt_health_near_limit);
		if (finding == NULL)
			continue;
		finding->bytes = limits[i].size;
		finding->severity = finding->figure >= 100 ? TCKPT_CRITICAL : TCKPT_WARNING;
	}

	finding = add_if_over(findings, TCKPT_FINDING_LONG_CURSOR, step,
						  limits[0].size, tckpt_health_long_cursor);
	if (finding != NULL)
	{
		finding->bytes = limits[0].size;
		finding->severity = TCKPT_INFO;
	}

	if (findings->indexes == NIL || tckpt_health_near_limit == 0 || unreadable ||
		doc->cursor.data == NULL)
		return;
	length = cursor_length(doc) + INDEX_ENTRY_OVERHEAD;
	foreach(cell, findings->indexes)
	{
		finding = add_if_over(findings, TCKPT_FINDING_NEAR_INDEX_LIMIT, step,
							  floor(100.0 * length / TCKPT_INDEX_LIMIT),
							  tckpt_health_near_limit);
		if (finding == NULL)
			break;
		finding->bytes = length;
		finding->index = lfirst(cell);
		finding->severity = finding->figure >= 100 ? TCKPT_CRITICAL : TCKPT_WARNING;
	}
}

/*
 * Cannot be claimed for longer than any lease or delay lasts: the clock was
 * ahead when it was set, or somebody has edited the row.
 */
static void
find_ahead(TckptFindings *findings, const TckptSurveyed *step)
{
	const TckptDispatched *dispatched = step->dispatched;
	bool		claimed = dispatched->worker != NULL;
	double		limit = claimed ?
		Max(tckpt_max_lease, (double) dispatched->lease / USECS_PER_SEC) : MAX_DELAY;
	double		ahead = -seconds_since(findings->now, dispatched->available_at);
	TckptFinding *finding;

	if (claimed)
		ahead = Max(ahead, -seconds_since(findings->now, dispatched->lease_until));
	if (!(ahead > limit))
		return;
	finding = add_finding(findings, TCKPT_FINDING_AHEAD, step, ahead, limit);

	/* a worker that lives goes on all the same */
	finding->severity = claimed && dispatched->lease_until > findings->now ?
		TCKPT_WARNING : TCKPT_CRITICAL;
}

/* What keeps a step that nobody has told to stop from going on. */
static void
find_idle(TckptFindings *findings, const TckptSurveyed *step, const Times *times,
		  bool unreadable)
{
	const TckptDispatched *dispatched = step->dispatched;

	if (!dispatched->has_event)
		return;
	if (dispatched->parked)
	{
		TckptFinding *finding = add_finding(findings, TCKPT_FINDING_PARKED, step,
											dispatched->deliveries,
											tckpt_max_deliveries);

		finding->severity = TCKPT_CRITICAL;
		finding->unreadable = unreadable;
		return;
	}
	if (dispatched->worker != NULL)
		(void) add_if_over(findings, TCKPT_FINDING_EXPIRED, step, times->idle,
						   tckpt_health_expired);
	else
		(void) add_if_over(findings, TCKPT_FINDING_UNCLAIMED, step, times->idle,
						   tckpt_health_unclaimed);
	find_ahead(findings, step);
}

/*
 * Paused or cancelled.  What is left of it on a step that is done or gone will
 * count again when the step is reset, or inserted again.
 */
static void
find_directive(TckptFindings *findings, const TckptSurveyed *step,
			   const Times *times)
{
	bool		paused = step->dispatched->directive == TCKPT_PAUSE;
	TckptFinding *finding;

	if (paused && step->found && !step->processed)
		finding = add_if_over(findings, TCKPT_FINDING_PAUSED, step, times->idle,
							  tckpt_health_paused);
	else
		finding = add_finding(findings, paused ? TCKPT_FINDING_PAUSED :
							  TCKPT_FINDING_CANCELLED, step, Max(times->idle, 0), 0);
	if (finding != NULL)
		finding->severity = TCKPT_INFO;
}

/*
 * A prepared transaction has its row, here or in the dispatch table: whatever
 * else is wrong, whoever mends it would wait for that.
 */
static void
find_prepared(TckptFindings *findings, const TckptSurveyed *step)
{
	double		age = Max(seconds_since(findings->now, step->holder->prepared_at), 0);
	TckptFinding *finding = add_finding(findings, TCKPT_FINDING_PREPARED, step, age, 0);

	finding->severity = tckpt_health_expired > 0 && age >= tckpt_health_expired ?
		TCKPT_CRITICAL : TCKPT_WARNING;
}

/* Whether no reader can take the checkpoint, where that makes a difference. */
static bool
is_unreadable(const TckptFindings *findings, const TckptSurveyed *step)
{
	return (findings->indexes != NIL ||
			(step->dispatched != NULL && step->dispatched->parked)) &&
		!tckpt_checkpoint_is_readable(step->checkpoint);
}

/* Adds what is wrong with a step. */
void
tckpt_findings_of_step(const TckptSurveyed *step, void *arg)
{
	TckptFindings *findings = arg;
	const TckptDispatched *dispatched = step->dispatched;
	TckptDocument doc = {0};
	Times		times = {0};
	bool		unreadable = false;
	bool		told = dispatched != NULL && dispatched->directive != TCKPT_CONTINUE;

	if (step->checkpoint != NULL)
	{
		(void) tckpt_document_read(step->checkpoint, &doc);
		unreadable = is_unreadable(findings, step);
	}
	if (dispatched != NULL)
		times = times_of(dispatched, findings->now);

	if (step->holder != NULL)
		find_prepared(findings, step);
	else if (told)
		find_directive(findings, step, &times);
	else if (step->found && !step->processed)
	{
		if (dispatched != NULL)
			find_idle(findings, step, &times, unreadable);
		if (tckpt_health_stale > 0 && (dispatched == NULL || !dispatched->parked))
			find_stale(findings, step, &times, &doc);
		if (tckpt_health_stalled > 0)
			find_stalled(findings, step, &doc);
	}
	if (step->checkpoint != NULL)
		find_sizes(findings, step, &doc, unreadable);
}
