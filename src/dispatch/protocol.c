/*-------------------------------------------------------------------------
 *
 * protocol.c
 *	  The protocol of a step's dispatch: replay, fence, and what a checkpoint
 *	  does to the event.
 *
 * The step's row is locked by the guard before anything here looks at its
 * dispatch row.  So two writers of one step meet at the step, and the one that
 * waited finds out here that it was superseded, or that its own first attempt
 * went through.
 *
 * A write that will change the dispatch row does not lock it before: it reads
 * the row, decides, and changes what it has read.  If somebody else did so
 * first (workers claim and release without the step's lock), it reads and
 * decides anew.  What will not change it locks it, so that nobody claims
 * the step before the checkpoint is there to be seen.  So does a write to which
 * superseded is an answer: no error would undo what the guard has archived.
 * Either way the row is nobody else's to change until the transaction ends.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "counters.h"
#include "dispatch/protocol.h"
#include "dispatch/transaction.h"
#include "guc.h"
#include "tasker_checkpoint.h"
#include "wakeup/pending.h"

/* Whether the call repeats what this receipt was given for. */
static bool
is_replay(const TckptRequest *request, const TckptReceipt *receipt)
{
	return receipt->is_set && tckpt_same_uuid(request->event_id, &receipt->event_id) &&
		request->digest == receipt->digest;
}

/* Whether the request's event is the step's own at this time. */
static bool
is_current(const TckptRequest *request, const TckptDispatch *dispatch)
{
	return dispatch->has_row && dispatch->event.has_event &&
		tckpt_same_uuid(request->event_id, &dispatch->event.event_id);
}

/* For one that gives no event.  Raises TC002 if it needs one. */
static void
require_unclaimed(const TckptRequest *request, const TckptDispatch *dispatch)
{
	tckpt_dispatch_require_no_claim(&request->step);

	if (dispatch->has_row &&
		tckpt_event_is_leased(&dispatch->event, GetCurrentTimestamp()))
		ereport(ERROR,
				(tckpt_refused(ERRCODE_TCKPT_CLAIM_SUPERSEDED),
				 errmsg("step \"%s\" is claimed", tckpt_step_name(&request->step)),
				 errdetail("Worker \"%s\" has it under a lease.",
						   dispatch->event.worker),
				 errhint("Pass the event_id that tasker_checkpoint_claim() returned.")));
}

/*
 * Reads the step's row; see above for when it is locked.  It is looked for by the
 * event, of which there are few versions, before the step, of which an old
 * snapshot keeps every version there was.
 */
static void
read_event(const TckptRequest *request, TckptDispatch *dispatch)
{
	bool		changes = request->kind == TCKPT_YIELD || request->event_id != NULL;
	TckptLocking locking = changes && !request->quiet ? TCKPT_UNLOCKED : TCKPT_LOCK;
	MemoryContext oldcontext;

	/* the guard's own context ends with its row */
	oldcontext = MemoryContextSwitchTo(dispatch->context);
	dispatch->has_row = request->event_id != NULL &&
		tckpt_event_find(request->function, TCKPT_BY_EVENT, request->event_id, locking,
						 &dispatch->event) &&
		tckpt_same_uuid(&dispatch->event.step, &request->step);
	if (!dispatch->has_row)
		dispatch->has_row = tckpt_event_find(request->function, TCKPT_BY_STEP,
											 &request->step, locking, &dispatch->event);
	MemoryContextSwitchTo(oldcontext);
}

/* Its event is not the step's own any more.  Raises TC002, or says so. */
static TckptVerdict
superseded(const TckptRequest *request)
{
	if (!request->quiet)
		ereport(ERROR,
				(tckpt_refused(ERRCODE_TCKPT_CLAIM_SUPERSEDED),
				 errmsg("claim of step \"%s\" was superseded",
						tckpt_step_name(&request->step)),
				 errhint("Stop without writing anything: the step goes on elsewhere.")));
	tckpt_stats_count_now(TCKPT_FENCED, 1);
	return TCKPT_SUPERSEDED;
}

/*
 * Whether the write goes on, by the row that was read.  A yield supersedes its
 * own event, so that its repetition is known by the receipt alone; a save that
 * is not the step's any more is refused, repeated or not, since whatever comes
 * after it would be.  Raises TC002.
 */
static TckptVerdict
decide(const TckptRequest *request, const TckptDispatch *dispatch)
{
	if (request->event_id == NULL)
	{
		require_unclaimed(request, dispatch);
		return TCKPT_ADMITTED;
	}
	if (request->kind == TCKPT_YIELD && is_replay(request, &dispatch->event.yielded))
		return TCKPT_REPEATED;
	if (!is_current(request, dispatch))
		return superseded(request);
	if (request->kind == TCKPT_SAVE && is_replay(request, &dispatch->event.saved))
		return TCKPT_REPEATED;
	return TCKPT_ADMITTED;
}

/*
 * Decides on a write whose step is locked.  What is to be done about one that
 * is repeated depends on what became of its checkpoint, which is the caller's
 * to find out.  Raises TC002, unless the caller wants that as an answer.
 */
TckptVerdict
tckpt_dispatch_admit(const TckptRequest *request, TckptDispatch *dispatch)
{
	/* it supersedes whoever has the step */
	if (request->kind == TCKPT_REWIND)
		return TCKPT_ADMITTED;

	read_event(request, dispatch);
	return decide(request, dispatch);
}

/* What was answered to the write that this request repeats. */
const TckptReceipt *
tckpt_dispatch_receipt(const TckptRequest *request, const TckptDispatch *dispatch)
{
	return request->kind == TCKPT_YIELD ? &dispatch->event.yielded :
		&dispatch->event.saved;
}

/* For a writer without a claim, while claims are required. */
void
tckpt_dispatch_require_no_claim(const pg_uuid_t *step)
{
	if (tckpt_require_claim)
		ereport(ERROR,
				(tckpt_refused(ERRCODE_TCKPT_CLAIM_SUPERSEDED),
				 errmsg("step \"%s\" must be claimed before a checkpoint is written",
						tckpt_step_name(step)),
				 errdetail("tasker_checkpoint.require_claim is on."),
				 errhint("Pass the event_id that tasker_checkpoint_claim() returned to tasker_checkpoint_yield() or tasker_checkpoint_save().")));
}

/*
 * For a statement that removes a checkpoint, or writes back a row that had none,
 * while claims are required.  The event stays locked, so that nobody claims the
 * step before that is to be seen.
 */
void
tckpt_dispatch_require_unclaimed(Oid function, const pg_uuid_t *step)
{
	TckptEvent	event;

	if (tckpt_require_claim &&
		tckpt_event_find(function, TCKPT_BY_STEP, step, TCKPT_LOCK, &event) &&
		tckpt_event_is_leased(&event, GetCurrentTimestamp()))
		ereport(ERROR,
				(tckpt_refused(ERRCODE_TCKPT_CLAIM_SUPERSEDED),
				 errmsg("checkpoint of step \"%s\" cannot be removed while the step is claimed",
						tckpt_step_name(step)),
				 errdetail("Worker \"%s\" has it under a lease, and tasker_checkpoint.require_claim is on.",
						   event.worker),
				 errhint("Remove it with tasker_checkpoint_clear(), which takes the step from the worker.")));
}

/* A step that is dispatched keeps its key. */
void
tckpt_dispatch_require_no_event(Oid function, const pg_uuid_t *step)
{
	TckptEvent	event;

	if (tckpt_event_find(function, TCKPT_BY_STEP, step, TCKPT_LOCK, &event))
		ereport(ERROR,
				(tckpt_refused(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("key of step \"%s\" cannot be changed while the step is dispatched",
						tckpt_step_name(step)),
				 errhint("Complete the step's event first, or resume it if it is only paused or cancelled.")));
}

/* Makes the event a new one, which anybody may claim from that time on. */
void
tckpt_dispatch_offer(TckptEvent *event, TimestampTz available_at)
{
	tckpt_event_new_id(event);
	event->worker = NULL;
	event->available_at = available_at;
}

/*
 * Removes a locked event.  An operator's directive outlives it: a step that
 * was cancelled stays so.
 */
void
tckpt_dispatch_forget(Oid function, const TckptEvent *event)
{
	TckptEvent	rest = {
		.tid = event->tid,
		.locked = event->locked
	};

	if (event->directive == TCKPT_CONTINUE)
	{
		tckpt_event_delete(function, event);
		return;
	}
	rest.step = event->step;
	strlcpy(rest.queue, event->queue, sizeof(rest.queue));
	rest.priority = event->priority;
	rest.directive = event->directive;
	rest.available_at = event->available_at;
	rest.sequence = event->sequence;
	(void) tckpt_event_update(function, &rest);
}

static const char *
queue_of(const TckptEvent *event)
{
	return event->queue[0] != '\0' ? event->queue : TCKPT_DEFAULT_QUEUE;
}

/*
 * Those who wait pass over an event, as it is, while it is locked.  If that is
 * rolled back they are told, and if nothing "changes", at commit, too.
 */
void
tckpt_dispatch_hold(const TckptEvent *event, bool changes)
{
	tckpt_offer_at_end(&event->step, &event->event_id, queue_of(event), !changes);
}

/*
 * At commit, tells those who wait from when on it can be claimed, and those who
 * listen if it can be by now, or "anyway".  A lease is not told, however short it is.
 */
void
tckpt_dispatch_wake(const TckptEvent *event, bool anyway)
{
	TimestampTz due = tckpt_event_due(event);
	bool		later = event->worker != NULL || due > GetCurrentTimestamp();

	if (!event->has_event || event->directive != TCKPT_CONTINUE || event->parked)
		return;
	if (later)
		tckpt_expect_at_commit(due);
	if (!later || anyway)
		tckpt_wakeup_at_commit(&event->step, &event->event_id, event->sequence,
							   queue_of(event));
}

/*
 * Extends the lease to a whole one from now on; it never gets shorter.  The event's
 * place among those that can be claimed, which an index has, is moved only now and
 * then: no claim meets it before its time, and most heartbeats are HOT.
 */
void
tckpt_dispatch_extend(TckptEvent *event)
{
	TimestampTz now = GetCurrentTimestamp();

	if (event->worker == NULL)
		return;
	event->lease_until = Max(event->lease_until, now + event->lease);
	if (event->available_at < now + event->lease / 2)
		event->available_at = event->lease_until;
}

static void
write_receipt(const TckptRequest *request, const TckptComposed *composed,
			  TckptReceipt *receipt)
{
	receipt->is_set = request->event_id != NULL;
	if (receipt->is_set)
	{
		receipt->event_id = *request->event_id;
		receipt->digest = request->digest;
		receipt->sequence = composed->sequence;
		receipt->checkpointed_at = composed->checkpointed_at;
	}
}

/*
 * What a new checkpoint does to any event.  One that stands still does not
 * begin the count of deliveries anew: a step that runs and gets nowhere is to
 * be parked like one that fails.
 */
static void
write_progress(const TckptComposed *composed, TckptEvent *event)
{
	if (composed->progressed)
		event->deliveries = 0;
	event->parked = false;
	event->sequence = composed->sequence;
}

/* These two: false if somebody else has changed the row since it was read. */
static bool
record_save(const TckptRequest *request, const TckptComposed *composed,
			TckptEvent *event)
{
	/* an unfenced one has no claim */
	if (request->event_id == NULL)
		return true;

	tckpt_dispatch_extend(event);
	write_progress(composed, event);
	write_receipt(request, composed, &event->saved);
	return tckpt_event_update(request->function, event);
}

static bool
record_yield(const TckptRequest *request, const TckptComposed *composed,
			 bool has_row, TckptEvent *event)
{
	event->step = request->step;
	tckpt_dispatch_offer(event, GetCurrentTimestamp());
	write_progress(composed, event);
	write_receipt(request, composed, &event->yielded);
	event->continuation = event->event_id;
	if (!(has_row ? tckpt_event_update(request->function, event) :
		  tckpt_event_insert(request->function, event)))
		return false;
	tckpt_dispatch_wake(event, false);
	return true;
}

/*
 * Does to the event what the checkpoint that is about to be stored means for
 * it.  False if it was superseded after all: by a claim, since other writers
 * wait for the step.  Raises TC002.
 */
bool
tckpt_dispatch_record(const TckptRequest *request, const TckptComposed *composed,
					  TckptDispatch *dispatch)
{
	if (request->kind == TCKPT_REWIND)
		return true;

	while (!(request->kind == TCKPT_YIELD ?
			 record_yield(request, composed, dispatch->has_row, &dispatch->event) :
			 record_save(request, composed, &dispatch->event)))
	{
		CHECK_FOR_INTERRUPTS();
		read_event(request, dispatch);
		if (decide(request, dispatch) == TCKPT_SUPERSEDED)
			return false;
	}
	tckpt_stats_count(request->kind == TCKPT_YIELD ? TCKPT_YIELDS : TCKPT_SAVES, 1);
	if (request->event_id != NULL)
		tckpt_transaction_accept(request->event_id, composed->sequence);
	return true;
}

/*
 * The same for a repeated one that is answered by its receipt: a save extends
 * the lease all the same.  One that is superseded meanwhile is a replay still.
 */
void
tckpt_dispatch_record_replay(const TckptRequest *request, TckptDispatch *dispatch)
{
	while (request->kind == TCKPT_SAVE)
	{
		tckpt_dispatch_extend(&dispatch->event);
		if (tckpt_event_update(request->function, &dispatch->event))
			break;
		CHECK_FOR_INTERRUPTS();
		read_event(request, dispatch);
		if (decide(request, dispatch) == TCKPT_SUPERSEDED)
			return;
	}
	tckpt_stats_count(TCKPT_REPLAYS, 1);
}

/*
 * Takes the step, whose row is locked, from whoever has it, and offers it
 * anew.  False if it was not dispatched; then nothing changes.
 */
bool
tckpt_dispatch_supersede(Oid function, const pg_uuid_t *step, int64 sequence,
						 TckptEvent *event)
{
	if (!tckpt_event_find(function, TCKPT_BY_STEP, step, TCKPT_LOCK, event) ||
		!event->has_event)
		return false;

	tckpt_dispatch_offer(event, GetCurrentTimestamp());
	event->deliveries = 0;
	event->parked = false;
	event->sequence = sequence;
	(void) tckpt_event_update(function, event);
	tckpt_dispatch_wake(event, false);
	return true;
}
