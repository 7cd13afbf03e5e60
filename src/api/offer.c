/*-------------------------------------------------------------------------
 *
 * offer.c
 *	  The functions that offer steps to workers, and tell which are offered.
 *
 * dispatch locks the step and then its event.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "api/interval.h"
#include "api/offer.h"
#include "api/read.h"
#include "dispatch/protocol.h"
#include "dispatch/transaction.h"
#include "table/steps.h"
#include "tasker_checkpoint.h"

/* Queues that a call names */
#define MAX_QUEUES		1000

/* tasker_checkpoint_dispatched() */
enum
{
	DISPATCHED_STEP,
	DISPATCHED_HAS_EVENT,
	DISPATCHED_DIRECTIVE,
	DISPATCHED_PARKED,
	DISPATCHED_AVAILABLE_AT,
	DISPATCHED_WORKER,
	DISPATCHED_LEASE,
	DISPATCHED_LEASE_UNTIL,
	DISPATCHED_DELIVERIES,
	DISPATCHED_SEQUENCE,
	DISPATCHED_QUEUE,
	DISPATCHED_PRIORITY,
	DISPATCHED_NCOLUMNS
};

/* Whether workers find an event when they claim, now or later. */
static bool
is_offered(const TckptEvent *event)
{
	return event->has_event && event->worker == NULL && !event->parked &&
		event->directive == TCKPT_CONTINUE;
}

/*
 * Whether a dispatch can answer by an event that it has not locked: a worker
 * has it, or an operator holds it back.  One that workers may claim is not
 * like that.  Its id promises that whoever claims the step sees what this
 * transaction has written, which only the lock keeps until it commits: claims
 * pass over the event, and purges leave it.
 */
static bool
needs_no_lock(const TckptEvent *event)
{
	return event->has_event &&
		(tckpt_event_is_leased(event, GetCurrentTimestamp()) ||
		 event->parked || event->directive != TCKPT_CONTINUE);
}

/* Where a dispatch puts a step */
typedef struct Offer
{
	const char *queue;			/* NULL: where it is, or the default */
	bool		has_priority;
	int			priority;
	int64		delay;			/* in microseconds */
} Offer;

/* The name of a queue; raises 22023. */
static char *
require_queue(const text *name)
{
	char	   *queue = text_to_cstring(name);
	size_t		length = strlen(queue);

	if (length < 1 || length >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("queue must have 1 to %d bytes", NAMEDATALEN - 1),
				 errdetail("It has %zu.", length)));
	return queue;
}

/* The names of queues, each once; raises 22023. */
char	  **
tckpt_require_queues(ArrayType *array, int *nqueues)
{
	Datum	   *names;
	bool	   *nulls;
	char	  **queues;
	int			n;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls, &n);
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("queues must not be empty"),
				 errhint("Leave it NULL for all queues.")));
	if (n > MAX_QUEUES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("queues must have at most %d elements", MAX_QUEUES),
				 errdetail("There are %d.", n)));
	queues = palloc(n * sizeof(char *));
	*nqueues = 0;
	for (int i = 0; i < n; i++)
	{
		char	   *name;

		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("queues must not have a null element"),
					 errdetail("Element %d is null.", i + 1)));
		name = require_queue(DatumGetTextPP(names[i]));
		if (!tckpt_is_queue_among(queues, *nqueues, name))
			queues[(*nqueues)++] = name;
	}
	return queues;
}

static void
read_offer(FunctionCallInfo fcinfo, Offer *offer)
{
	tckpt_require_argument(fcinfo, 0, "step_uuid");
	tckpt_require_argument(fcinfo, 3, "delay");
	if (!PG_ARGISNULL(1))
		offer->queue = require_queue(PG_GETARG_TEXT_PP(1));
	offer->has_priority = !PG_ARGISNULL(2);
	if (offer->has_priority)
	{
		offer->priority = PG_GETARG_INT32(2);
		if (offer->priority < -TCKPT_MAX_PRIORITY || offer->priority > TCKPT_MAX_PRIORITY)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("priority must be from %d to %d",
							-TCKPT_MAX_PRIORITY, TCKPT_MAX_PRIORITY),
					 errdetail("It is %d.", offer->priority)));
	}
	offer->delay = tckpt_require_delay(PG_GETARG_INTERVAL_P(3));
}

/*
 * Puts an event where the offer says; true if that is another place than it had.
 * One that can be claimed already keeps its place in time.
 */
static bool
place_event(const Offer *offer, TckptEvent *event)
{
	TckptEvent	before = *event;
	TimestampTz now = GetCurrentTimestamp();

	if (offer->queue != NULL)
		strlcpy(event->queue, offer->queue, sizeof(event->queue));
	if (offer->has_priority)
		event->priority = offer->priority;
	if (offer->delay > 0 || event->available_at > now)
		event->available_at = now + offer->delay;
	return strcmp(event->queue, before.queue) != 0 ||
		event->priority != before.priority ||
		event->available_at != before.available_at;
}

/*
 * Offers a step to the workers; true if they can claim it, by this call or one
 * before.  Looks without a lock first, so that an orchestrator that dispatches
 * what a worker is at work on is not in its way.
 */
static bool
dispatch_step(Oid function, const pg_uuid_t *step, const Offer *offer,
			  TckptEvent *event)
{
	TckptSteps *steps = tckpt_attached_open(function, RowExclusiveLock);
	TckptStep	row;
	bool		processed;

	if (!tckpt_steps_state(steps, step, &processed))
		tckpt_steps_raise_missing(steps, step);
	tckpt_require_unprocessed(step, processed);
	if (tckpt_event_find(function, TCKPT_BY_STEP, step, TCKPT_UNLOCKED, event) &&
		needs_no_lock(event))
		return is_offered(event);

	tckpt_steps_lock(steps, step, &row);
	tckpt_require_unprocessed(step, row.processed);
	for (;;)
	{
		bool		found = tckpt_event_find(function, TCKPT_BY_STEP, step, TCKPT_LOCK, event);

		if (event->has_event)
		{
			TckptEvent	held = *event;
			bool		offered = is_offered(event);
			bool		changes = offered && place_event(offer, event);

			/* also one whose lease ran out, which workers claim, too */
			tckpt_dispatch_hold(&held, changes);
			if (changes)
			{
				(void) tckpt_event_update(function, event);
				tckpt_dispatch_wake(event, false);
			}
			return offered;
		}

		event->step = *step;
		event->sequence = tckpt_sequence(row.checkpoint);
		tckpt_dispatch_offer(event, GetCurrentTimestamp());
		(void) place_event(offer, event);
		if (found)
			(void) tckpt_event_update(function, event);
		if (found || tckpt_event_insert(function, event))
		{
			tckpt_dispatch_wake(event, false);
			return is_offered(event);
		}
		/* an operator has paused or cancelled the step meanwhile */
	}
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_dispatch);
/* Offers a step; the id of its event, NULL if nobody can claim it. */
Datum
tasker_checkpoint_dispatch(PG_FUNCTION_ARGS)
{
	Offer		offer = {0};
	TckptEvent	event;
	bool		offered;

	(void) tckpt_begin_write("tasker_checkpoint_dispatch()");
	read_offer(fcinfo, &offer);
	offered = dispatch_step(fcinfo->flinfo->fn_oid, PG_GETARG_UUID_P(0), &offer, &event);
	tckpt_end_write();
	if (!offered)
		PG_RETURN_NULL();
	PG_RETURN_UUID_P(memcpy(palloc(sizeof(pg_uuid_t)), &event.event_id,
							sizeof(pg_uuid_t)));
}

static void
put_dispatched(ReturnSetInfo *rsinfo, const TckptEvent *event)
{
	Interval	lease = {.time = event->lease};
	Datum		values[DISPATCHED_NCOLUMNS] = {0};
	bool		nulls[DISPATCHED_NCOLUMNS] = {false};

	values[DISPATCHED_STEP] = UUIDPGetDatum(&event->step);
	values[DISPATCHED_HAS_EVENT] = BoolGetDatum(event->has_event);
	values[DISPATCHED_DIRECTIVE] = CStringGetTextDatum(tckpt_directive_name(event->directive));
	values[DISPATCHED_PARKED] = BoolGetDatum(event->parked);
	values[DISPATCHED_AVAILABLE_AT] = TimestampTzGetDatum(event->available_at);
	if (event->worker != NULL)
	{
		values[DISPATCHED_WORKER] = CStringGetTextDatum(event->worker);
		values[DISPATCHED_LEASE] = IntervalPGetDatum(&lease);
		values[DISPATCHED_LEASE_UNTIL] = TimestampTzGetDatum(event->lease_until);
	}
	else
		nulls[DISPATCHED_WORKER] = nulls[DISPATCHED_LEASE] = nulls[DISPATCHED_LEASE_UNTIL] = true;
	values[DISPATCHED_DELIVERIES] = Int32GetDatum(event->deliveries);
	values[DISPATCHED_SEQUENCE] = Int64GetDatum(event->sequence);
	values[DISPATCHED_QUEUE] = CStringGetTextDatum(event->queue);
	values[DISPATCHED_PRIORITY] = Int32GetDatum(event->priority);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_dispatched);
/*
 * What the dispatch table says of the steps that the caller sees, or of one,
 * but for the ids of events.
 */
Datum
tasker_checkpoint_dispatched(PG_FUNCTION_ARGS)
{
	static const pg_uuid_t no_step = {0};
	const pg_uuid_t *step = PG_ARGISNULL(0) ? NULL : PG_GETARG_UUID_P(0);
	Oid			function = fcinfo->flinfo->fn_oid;
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	TckptSteps *steps;
	TckptEventScan *scan;
	TckptEvent	event;
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context;
	bool		row_security;

	InitMaterializedSRF(fcinfo, 0);
	steps = tckpt_attached_open(function, AccessShareLock);

	/* without row security who sees one step sees all; raises 42501 */
	if (!tckpt_steps_sees(steps, step != NULL ? step : &no_step) && step != NULL)
		tckpt_steps_raise_missing(steps, step);
	row_security = step == NULL && tckpt_steps_has_row_security(steps);

	/* reset after each row */
	context = AllocSetContextCreate(caller, "tasker_checkpoint dispatched",
									ALLOCSET_DEFAULT_SIZES);
	scan = tckpt_event_scan_steps(function, step, false);
	MemoryContextSwitchTo(context);
	while (tckpt_event_scan_next(scan, &event))
	{
		CHECK_FOR_INTERRUPTS();
		if (!row_security || tckpt_steps_sees(steps, &event.step))
			put_dispatched(rsinfo, &event);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	tckpt_event_scan_end(scan);
	return (Datum) 0;
}
