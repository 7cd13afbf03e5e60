/*-------------------------------------------------------------------------
 *
 * claim.c
 *	  The functions by which workers take and give back dispatched steps.
 *
 * They start from an event and lock no step, so they cannot deadlock with a
 * writer that does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "api/interval.h"
#include "api/offer.h"
#include "api/read.h"
#include "counters.h"
#include "dispatch/claimable.h"
#include "dispatch/protocol.h"
#include "dispatch/transaction.h"
#include "document/readable.h"
#include "guc.h"
#include "result.h"
#include "table/steps.h"
#include "tasker_checkpoint.h"

#define MAX_STEPS			1000

/* Events of gone and processed steps that one claim removes */
#define MAX_REMOVED			100

/* tasker_checkpoint_delivery */
enum
{
	DELIVERY_EVENT,
	DELIVERY_STEP,
	DELIVERY_RESUME,			/* the first of the columns to resume by */
	DELIVERY_SEQUENCE = DELIVERY_RESUME + TCKPT_RESUME_NCOLUMNS,
	DELIVERY_DELIVERIES,
	DELIVERY_QUEUE,
	DELIVERY_NCOLUMNS
};

static const Oid delivery_types[DELIVERY_NCOLUMNS] = {
	UUIDOID, UUIDOID, BOOLOID, JSONBOID, INT8OID, JSONBOID, INT8OID, INT4OID, TEXTOID
};

/* One call of claim */
typedef struct Claim
{
	FunctionCallInfo fcinfo;
	Oid			function;
	TckptSteps *steps;
	bool		row_security;	/* a step not seen may exist all the same */
	char	   *worker;
	int64		lease;
	int			wanted;
	char	  **queues;			/* NULL: all */
	int			nqueues;
	int			delivered;
	int			removed;
	int			passed;
} Claim;

static int64
require_lease(const Interval *lease)
{
	int64		usecs = tckpt_interval_usecs(lease);

	if (usecs <= 0 || usecs > tckpt_max_lease * USECS_PER_SEC)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("lease is out of range"),
				 errdetail("It is \"%s\", and must be positive and at most tasker_checkpoint.max_lease, which is %d s.",
						   tckpt_interval_text(lease), tckpt_max_lease)));
	return usecs;
}

static void
check_claim_arguments(FunctionCallInfo fcinfo, Claim *claim)
{
	size_t		length;

	tckpt_require_argument(fcinfo, 0, "worker");
	tckpt_require_argument(fcinfo, 1, "lease");
	tckpt_require_argument(fcinfo, 2, "max_steps");

	claim->worker = text_to_cstring(PG_GETARG_TEXT_PP(0));
	length = strlen(claim->worker);
	if (length < 1 || length > TCKPT_MAX_WORKER_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("worker must have 1 to %d bytes", TCKPT_MAX_WORKER_LENGTH),
				 errdetail("It has %zu.", length)));
	claim->lease = require_lease(PG_GETARG_INTERVAL_P(1));
	claim->wanted = PG_GETARG_INT32(2);
	if (claim->wanted < 1 || claim->wanted > MAX_STEPS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_steps must be from 1 to %d", MAX_STEPS),
				 errdetail("It is %d.", claim->wanted)));

	if (!PG_ARGISNULL(4))
		claim->queues = tckpt_require_queues(PG_GETARG_ARRAYTYPE_P(4), &claim->nqueues);

	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("steps must be claimed in a READ COMMITTED transaction"),
				 errdetail("A claim locks an event first and reads its checkpoint with a later snapshot."),
				 errhint("Begin the transaction with BEGIN ISOLATION LEVEL READ COMMITTED.")));
}

/* Hands the step to the worker, under an event id that only it knows. */
static void
deliver(Claim *claim, TckptEvent *event, const TckptStep *row)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) claim->fcinfo->resultinfo;
	Datum		values[DELIVERY_NCOLUMNS] = {0};
	bool		nulls[DELIVERY_NCOLUMNS] = {false};

	event->sequence = tckpt_resume_columns(row->checkpoint, values + DELIVERY_RESUME,
										   nulls + DELIVERY_RESUME);
	tckpt_stats_count(TCKPT_CLAIMS, 1);
	if (event->worker != NULL)
		tckpt_stats_count(TCKPT_EXPIRED_CLAIMS, 1);
	tckpt_dispatch_hold(event, true);
	tckpt_event_new_id(event);
	event->worker = claim->worker;
	event->lease = claim->lease;
	event->lease_until = GetCurrentTimestamp() + claim->lease;
	event->available_at = event->lease_until;
	if (event->deliveries < PG_INT32_MAX)
		event->deliveries++;
	(void) tckpt_event_update(claim->function, event);
	tckpt_dispatch_wake(event, false);

	values[DELIVERY_EVENT] = UUIDPGetDatum(&event->event_id);
	values[DELIVERY_STEP] = UUIDPGetDatum(&event->step);
	values[DELIVERY_SEQUENCE] = Int64GetDatum(event->sequence);
	values[DELIVERY_DELIVERIES] = Int32GetDatum(event->deliveries);
	values[DELIVERY_QUEUE] = CStringGetTextDatum(event->queue);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	claim->delivered++;
}

/* Delivers a locked event, or finds out why it must not be. */
static void
try_deliver(Claim *claim, TckptEvent *event)
{
	TckptStep	row;
	bool		seen = tckpt_steps_peek(claim->steps, &event->step, &row);

	if (!seen || row.processed)
	{
		if ((seen || !claim->row_security) && claim->removed < MAX_REMOVED)
		{
			tckpt_event_delete(claim->function, event);
			claim->removed++;
		}
		return;
	}

	if ((tckpt_max_deliveries > 0 && event->deliveries >= tckpt_max_deliveries) ||
		!tckpt_checkpoint_is_readable(row.checkpoint))
	{
		event->parked = true;
		(void) tckpt_event_update(claim->function, event);
		tckpt_stats_count(TCKPT_PARKED, 1);
		return;
	}
	deliver(claim, event, &row);
}

/*
 * Whether to try to lock an event.  Its step is looked at before: under row security,
 * lest a worker block the others' steps, which it passes over; and when enough
 * were removed, lest it lock all that is left to remove.
 */
static bool
is_worth_locking(Claim *claim, const TckptEvent *event)
{
	bool		may_remove = claim->removed < MAX_REMOVED;
	TckptStep	row;

	if (may_remove && !claim->row_security)
		return true;
	return tckpt_steps_peek(claim->steps, &event->step, &row) &&
		(may_remove || !row.processed);
}

/*
 * Locks an event of the walk, if it can be claimed, and delivers it.  False if others
 * have it: however many they have, what comes behind is for this one.
 */
static bool
claim_next(Claim *claim, TckptClaimable *walk, TckptEvent *event, TimestampTz now)
{
	if (!tckpt_event_is_claimable(event, now) || !is_worth_locking(claim, event))
		return true;
	if (!tckpt_claimable_lock(walk, event))
		return false;
	if (tckpt_event_is_claimable(event, now) &&
		tckpt_event_is_in(event, claim->queues, claim->nqueues))
		try_deliver(claim, event);
	return true;
}

/* Claims what comes first. */
static void
claim_first(Claim *claim)
{
	TimestampTz now = GetCurrentTimestamp();
	TckptClaimable *walk = tckpt_claimable_begin(claim->function, now,
												 claim->queues, claim->nqueues);
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context;
	TckptEvent	event;

	/* reset after each event */
	context = AllocSetContextCreate(caller, "tasker_checkpoint claim",
									ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	while (claim->delivered < claim->wanted && claim->passed < TCKPT_MAX_PASSED &&
		   tckpt_claimable_next(walk, &event))
	{
		int			delivered = claim->delivered;

		CHECK_FOR_INTERRUPTS();
		if (claim_next(claim, walk, &event, now) && claim->delivered == delivered)
			claim->passed++;
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	tckpt_claimable_end(walk);
}

/* Claims the one that is asked for, if it is in one of the queues. */
static void
claim_step(Claim *claim, const pg_uuid_t *step)
{
	TimestampTz now = GetCurrentTimestamp();
	TckptEvent	event;
	TckptStep	row;

	if (!tckpt_steps_peek(claim->steps, step, &row))
		tckpt_steps_raise_missing(claim->steps, step);

	/* one that can't be claimed is not locked: its worker may be at work */
	if (tckpt_event_find(claim->function, TCKPT_BY_STEP, step, TCKPT_UNLOCKED, &event) &&
		tckpt_event_is_claimable(&event, now) && tckpt_event_is_in(&event, claim->queues, claim->nqueues) &&
		tckpt_event_find(claim->function, TCKPT_BY_STEP, step, TCKPT_LOCK_NOWAIT, &event) &&
		tckpt_event_is_claimable(&event, now) && tckpt_event_is_in(&event, claim->queues, claim->nqueues))
		try_deliver(claim, &event);
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_claim);
/* Takes dispatched steps for a worker, each with where to resume. */
Datum
tasker_checkpoint_claim(PG_FUNCTION_ARGS)
{
	Claim		claim = {
		.fcinfo = fcinfo,
		.function = fcinfo->flinfo->fn_oid
	};

	(void) tckpt_begin_write("tasker_checkpoint_claim()");
	check_claim_arguments(fcinfo, &claim);
	tckpt_result_rows(fcinfo, delivery_types, lengthof(delivery_types));
	claim.steps = tckpt_attached_open(claim.function, AccessShareLock);
	claim.row_security = tckpt_steps_has_row_security(claim.steps);

	if (PG_ARGISNULL(3))
		claim_first(&claim);
	else
		claim_step(&claim, PG_GETARG_UUID_P(3));
	tckpt_end_write();
	return (Datum) 0;
}

/* Extends the lease of a claim; false if there is nothing to extend. */
static bool
extend_claim(Oid function, const pg_uuid_t *event_id, int64 lease)
{
	TckptEvent	event;

	/* locked, by an open save say: that one extends the lease */
	if (!tckpt_event_find(function, TCKPT_BY_EVENT, event_id, TCKPT_LOCK_NOWAIT, &event))
		return tckpt_event_find(function, TCKPT_BY_EVENT, event_id, TCKPT_UNLOCKED, &event) &&
			event.worker != NULL;
	if (event.worker == NULL)
		return false;

	if (lease > 0)
		event.lease = lease;
	tckpt_dispatch_extend(&event);
	(void) tckpt_event_update(function, &event);
	return true;
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_heartbeat);
/* The worker lives. */
Datum
tasker_checkpoint_heartbeat(PG_FUNCTION_ARGS)
{
	int64		lease = 0;
	bool		extended;

	(void) tckpt_begin_write("tasker_checkpoint_heartbeat()");
	tckpt_require_argument(fcinfo, 0, "event_id");
	if (!PG_ARGISNULL(1))
		lease = require_lease(PG_GETARG_INTERVAL_P(1));
	extended = extend_claim(fcinfo->flinfo->fn_oid, PG_GETARG_UUID_P(0), lease);
	tckpt_end_write();
	PG_RETURN_BOOL(extended);
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_complete);
/* The handler is done with the step: its event goes. */
Datum
tasker_checkpoint_complete(PG_FUNCTION_ARGS)
{
	Oid			function = fcinfo->flinfo->fn_oid;
	TckptEvent	event;
	bool		found;

	(void) tckpt_begin_write("tasker_checkpoint_complete()");
	tckpt_require_argument(fcinfo, 0, "event_id");
	found = tckpt_event_find(function, TCKPT_BY_EVENT, PG_GETARG_UUID_P(0),
							 TCKPT_LOCK, &event);
	if (found)
		tckpt_dispatch_forget(function, &event);
	tckpt_end_write();
	PG_RETURN_BOOL(found);
}

/*
 * Hands a step back.  The delivery that its claim has counted is taken back if
 * the worker was interrupted, which says nothing of the step; and so it is not
 * parked for it, should somebody have found its lease run out.
 */
static bool
release_claim(Oid function, const pg_uuid_t *event_id, int64 delay,
			  bool interrupted)
{
	TckptEvent	event;

	if (!tckpt_event_find(function, TCKPT_BY_EVENT, event_id, TCKPT_LOCK, &event))
		return false;

	if (interrupted && event.worker != NULL && event.deliveries > 0)
	{
		event.deliveries--;
		if (tckpt_max_deliveries == 0 || event.deliveries < tckpt_max_deliveries)
			event.parked = false;
	}
	tckpt_dispatch_offer(&event, GetCurrentTimestamp() + delay);
	(void) tckpt_event_update(function, &event);
	tckpt_dispatch_wake(&event, false);
	return true;
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_release);
/* Hands a step back, now or after a while. */
Datum
tasker_checkpoint_release(PG_FUNCTION_ARGS)
{
	bool		released;

	(void) tckpt_begin_write("tasker_checkpoint_release()");
	tckpt_require_argument(fcinfo, 0, "event_id");
	tckpt_require_argument(fcinfo, 1, "delay");
	tckpt_require_argument(fcinfo, 2, "interrupted");
	released = release_claim(fcinfo->flinfo->fn_oid, PG_GETARG_UUID_P(0),
							 tckpt_require_delay(PG_GETARG_INTERVAL_P(1)),
							 PG_GETARG_BOOL(2));
	tckpt_end_write();
	PG_RETURN_BOOL(released);
}
