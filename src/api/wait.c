/*-------------------------------------------------------------------------
 *
 * wait.c
 *	  The procedure by which a worker waits until there is something to claim.
 *
 * It looks as a claim does, but locks nothing; then it ends its transaction, and
 * sleeps with no snapshot, lock or transaction id, until it is woken
 * (wakeup/waiting.c).  It is among those who wait before it looks: what commits
 * after the look wakes it, and what did before was seen.
 *
 * Where nobody can be woken it looks again and again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/objectaccess.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_proc.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "portability/instr_time.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "tcop/pquery.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "api/interval.h"
#include "api/offer.h"
#include "api/wait.h"
#include "dispatch/claimable.h"
#include "dispatch/due.h"
#include "table/steps.h"
#include "tasker_checkpoint.h"
#include "wakeup/pending.h"
#include "wakeup/sleep.h"
#include "wakeup/waiting.h"

/* Candidates that a look examines, beside those that others have locked */
#define MAX_CANDIDATES		100

/*
 * Nobody sleeps longer without a look; where nobody is woken, pauses between looks
 * grow from the first to the last.  In milliseconds.
 */
#define LOOK_INTERVAL		5000
#define FIRST_PAUSE			10
#define LAST_PAUSE			1000

/* One call of wait */
typedef struct Wait
{
	Oid			function;
	char	  **queues;			/* NULL: all */
	int			nqueues;
	instr_time	began;
	int64		timeout;		/* these in milliseconds since then */
	int64		look_at;
	bool		is_woken;		/* there is shared memory */
	int			pause;			/* if not */
} Wait;

static object_access_hook_type previous_object_access = NULL;

/* Whether a session that ends while it waits leaves those who do */
static bool leaves_at_exit = false;

/* Those who wait hold no lock: they are told that there is nothing to wait for. */
static void
object_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id,
			  void *arg)
{
	if (previous_object_access)
		previous_object_access(access, class_id, object_id, sub_id, arg);

	if (access == OAT_DROP && class_id == ExtensionRelationId)
	{
		char	   *name = get_extension_name(object_id);

		if (name != NULL && strcmp(name, "tasker_checkpoint") == 0)
			tckpt_wake_all_at_commit();
	}
}

void
tckpt_wait_init(void)
{
	previous_object_access = object_access_hook;
	object_access_hook = object_access;
}

/* Raises 25001 where no transaction can be ended. */
static void
require_no_transaction(FunctionCallInfo fcinfo)
{
	if (fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
		castNode(CallContext, fcinfo->context)->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("tasker_checkpoint_wait() must not be called in a transaction block"),
				 errdetail("It ends its transaction before it sleeps, which it can't in a transaction block, a function, an EXCEPTION block or a procedure with SET."),
				 errhint("Make the CALL a statement of its own, outside of BEGIN and COMMIT.")));
}

/*
 * The procedure must still be there.  Whoever drops it has it locked until that is
 * to be seen; nothing else is locked meanwhile, lest this be in its way.
 */
static void
require_procedure(Oid function)
{
	bool		found;

	LockDatabaseObject(ProcedureRelationId, function, 0, AccessShareLock);
	found = SearchSysCacheExists1(PROCOID, ObjectIdGetDatum(function));
	UnlockDatabaseObject(ProcedureRelationId, function, 0, AccessShareLock);
	if (!found)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("the extension has been dropped"),
				 errdetail("There is nothing any more that tasker_checkpoint_wait() could wait for.")));
}

static int64
elapsed(const Wait *wait)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, wait->began);
	return (int64) INSTR_TIME_GET_MILLISEC(now);
}

/*
 * Whether a claim would deliver a step, or remove it.  Raises 42501 if the caller
 * has no right to read steps.
 */
static bool
is_for_caller(TckptSteps *steps, bool row_security, const TckptEvent *event)
{
	bool		processed;

	return tckpt_steps_state(steps, &event->step, &processed) || !row_security;
}

static bool
is_awaited(const Wait *wait, const TckptEvent *event)
{
	return wait->queues == NULL ||
		tckpt_is_queue_among(wait->queues, wait->nqueues, event->queue);
}

/*
 * Finds the first event that a claim would deliver, or remove, or park; false if
 * there is none.
 */
static bool
find_work(const Wait *wait, TckptSteps *steps, bool row_security, TckptEvent *event)
{
	TimestampTz now = GetCurrentTimestamp();
	TckptClaimable *walk = tckpt_claimable_begin(wait->function, now, wait->queues,
												 wait->nqueues);
	int			passed = 0;
	int			candidates = 0;
	bool		found = false;

	while (!found && passed < TCKPT_MAX_PASSED && candidates < MAX_CANDIDATES &&
		   tckpt_claimable_next(walk, event))
	{
		CHECK_FOR_INTERRUPTS();
		if (tckpt_claimable_is_taken(walk, event))
			continue;
		passed++;
		if (!tckpt_event_is_claimable(event, now))
			continue;
		candidates++;
		found = is_for_caller(steps, row_security, event);
	}
	tckpt_claimable_end(walk);
	return found;
}

/*
 * Looks for something to claim, first for what it was woken for: walks meet that from
 * then on.  If it is not for it, or the claim which follows might leave it for what
 * is in another queue, somebody else is woken for that.  What is first in the same
 * queue has woken one as well, who can take this one.
 */
static bool
look(const Wait *wait, const TckptOffer *offer)
{
	TckptSteps *steps = tckpt_attached_open(wait->function, AccessShareLock);
	bool		row_security = tckpt_steps_has_row_security(steps);
	TckptEvent	event;
	TckptEvent	offered;
	bool		is_there = offer != NULL &&
		tckpt_event_is_offered(wait->function, &offer->event_id, &offered);
	bool		found = find_work(wait, steps, row_security, &event);
	bool		is_ours;

	if (offer == NULL)
		return found;
	is_ours = is_there && is_awaited(wait, &offered) &&
		is_for_caller(steps, row_security, &offered);
	if (!is_there ||
		(is_ours && (!found || tckpt_same_uuid(&event.event_id, &offered.event_id) ||
					 (!row_security && strcmp(event.queue, offered.queue) == 0))))
		tckpt_waiting_served();
	else
		tckpt_waiting_hand_on();
	return found || is_ours;
}

/*
 * Looks, and at the clock, if that is due, in a transaction that ends with it if
 * nothing is found.
 */
static bool
look_in_transaction(Wait *wait, bool is_due, const TckptOffer *offer)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context;
	TimestampTz due;
	bool		found = false;

	context = AllocSetContextCreate(caller, "tasker_checkpoint wait",
									ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	EnsurePortalSnapshotExists();
	require_procedure(wait->function);
	if (is_due)
		found = look(wait, offer);
	if (!found && wait->is_woken && tckpt_waiting_keeps_clock(&due) &&
		due <= GetCurrentTimestamp())
		tckpt_offer_due(wait->function);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	if (!found)
		SPI_commit();
	return found;
}

/* Milliseconds until something is to be done; 0 if it is now. */
static long
time_to_sleep(const Wait *wait)
{
	int64		msecs = Min(wait->look_at, wait->timeout) - elapsed(wait);
	TimestampTz due;

	if (wait->is_woken && tckpt_waiting_keeps_clock(&due))
		msecs = Min(msecs, TimestampDifferenceMilliseconds(GetCurrentTimestamp(), due));
	return (long) Max(msecs, 0);
}

/* When to look again, if nothing is said. */
static void
set_look_at(Wait *wait)
{
	wait->look_at = elapsed(wait) + (wait->is_woken ? LOOK_INTERVAL : wait->pause);
	wait->pause = Min(wait->pause * 2, LAST_PAUSE);
}

/*
 * What the caller's transaction has left to do is done before it is among those
 * who wait, or who keep the clock: that may take long.
 */
static void
wait_for_work(Wait *wait)
{
	if (look_in_transaction(wait, true, NULL) || elapsed(wait) >= wait->timeout)
		return;
	wait->is_woken = wait->is_woken && tckpt_waiting_enter(wait->queues, wait->nqueues);
	for (;;)
	{
		TckptOffer	offer;
		bool		woken = wait->is_woken && tckpt_waiting_take(&offer);
		bool		is_due = woken || wait->look_at <= elapsed(wait);
		long		msecs = time_to_sleep(wait);

		if (is_due || msecs == 0)
		{
			if (look_in_transaction(wait, is_due, woken ? &offer : NULL))
				break;
			if (is_due)
				set_look_at(wait);
			msecs = time_to_sleep(wait);
		}
		if (elapsed(wait) >= wait->timeout)
			break;
		if (msecs > 0)
			tckpt_sleep(msecs);
	}
}

static void
leave(int code, Datum arg)
{
	tckpt_waiting_leave();
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_wait);
/* Returns when there is something to claim, or the time is over. */
Datum
tasker_checkpoint_wait(PG_FUNCTION_ARGS)
{
	Wait		wait = {
		.function = fcinfo->flinfo->fn_oid,
		.pause = FIRST_PAUSE
	};

	PreventCommandIfReadOnly("tasker_checkpoint_wait()");
	require_no_transaction(fcinfo);
	if (!PG_ARGISNULL(0))
		wait.queues = tckpt_require_queues(PG_GETARG_ARRAYTYPE_P(0), &wait.nqueues);
	tckpt_require_argument(fcinfo, 1, "timeout");
	wait.timeout = tckpt_require_timeout(PG_GETARG_INTERVAL_P(1)) / 1000;
	INSTR_TIME_SET_CURRENT(wait.began);
	wait.is_woken = tckpt_waiting_attach();

	/*
	 * not each time: what is committed may have others registered on top of
	 * it
	 */
	if (wait.is_woken && !leaves_at_exit)
	{
		before_shmem_exit(leave, (Datum) 0);
		leaves_at_exit = true;
	}
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	PG_TRY();
	{
		wait_for_work(&wait);
	}
	PG_FINALLY();
	{
		tckpt_waiting_leave();
	}
	PG_END_TRY();
	SPI_finish();
	PG_RETURN_VOID();
}
