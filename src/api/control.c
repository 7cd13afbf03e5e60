/*-------------------------------------------------------------------------
 *
 * control.c
 *	  The functions by which an operator controls a step.
 *
 * clear, reset_for_retry and rewind lock the step and supersede whoever has
 * it.  pause, resume and cancel only look at it: they change what the next
 * receipt says, and who holds the step keeps it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "api/read.h"
#include "api/write.h"
#include "archive/archive.h"
#include "dispatch/protocol.h"
#include "dispatch/transaction.h"
#include "tasker_checkpoint.h"

PG_FUNCTION_INFO_V1(tasker_checkpoint_clear);
/* Removes a step's checkpoint; true if there was one. */
Datum
tasker_checkpoint_clear(PG_FUNCTION_ARGS)
{
	TckptSteps *steps;
	TckptStep	row;
	TckptEvent	event;

	(void) tckpt_begin_write("tasker_checkpoint_clear()");
	tckpt_require_argument(fcinfo, 0, "step_uuid");
	steps = tckpt_attached_open(fcinfo->flinfo->fn_oid, RowExclusiveLock);
	tckpt_steps_lock(steps, PG_GETARG_UUID_P(0), &row);
	if (row.checkpoint != NULL)
		tckpt_steps_clear(steps, PG_GETARG_UUID_P(0));
	(void) tckpt_dispatch_supersede(fcinfo->flinfo->fn_oid,
									PG_GETARG_UUID_P(0), 0, &event);
	tckpt_end_write();
	PG_RETURN_BOOL(row.checkpoint != NULL);
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_reset_for_retry);
/* Makes a step ready for another run; it keeps its checkpoint unless told. */
Datum
tasker_checkpoint_reset_for_retry(PG_FUNCTION_ARGS)
{
	TckptSteps *steps;
	TckptStep	row;
	TckptEvent	event;

	(void) tckpt_begin_write("tasker_checkpoint_reset_for_retry()");
	tckpt_require_argument(fcinfo, 0, "step_uuid");
	tckpt_require_argument(fcinfo, 1, "reset_checkpoint");
	steps = tckpt_attached_open(fcinfo->flinfo->fn_oid, RowExclusiveLock);
	tckpt_steps_lock(steps, PG_GETARG_UUID_P(0), &row);
	tckpt_steps_reset(steps, PG_GETARG_UUID_P(0));
	if (PG_GETARG_BOOL(1) && row.checkpoint != NULL)
	{
		tckpt_steps_clear(steps, PG_GETARG_UUID_P(0));
		row.checkpoint = NULL;
	}
	(void) tckpt_dispatch_supersede(fcinfo->flinfo->fn_oid, PG_GETARG_UUID_P(0),
									tckpt_sequence(row.checkpoint), &event);
	tckpt_end_write();
	PG_RETURN_VOID();
}

/*
 * The entry of a history, or of the archive, that was the checkpoint with this
 * sequence; raises 22023 if it is not there any more, or says nothing to
 * resume at.
 */
static void
find_entry(Oid function, const pg_uuid_t *step, const Jsonb *checkpoint,
		   int64 sequence, TckptDocument *entry, int64 *items)
{
	TckptDocument doc = {0};
	TckptHistory history;

	if (checkpoint != NULL)
		(void) tckpt_document_read(checkpoint, &doc);
	tckpt_history_read_present(&doc, &history);

	if (!tckpt_history_entry(&history, sequence, entry) &&
		!tckpt_archive_entry(function, step, &history, sequence, entry))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("checkpoint " INT64_FORMAT " of step \"%s\" is not in its history",
						sequence, tckpt_step_name(step)),
				 tckpt_history_length(&history) == 0 ?
				 errdetail("The history is empty.") :
				 errdetail("The history has " INT64_FORMAT " to " INT64_FORMAT ".",
						   history.sequence - tckpt_history_length(&history) + 1,
						   history.sequence)));
	if (entry->cursor.data == NULL ||
		!tckpt_value_to_count(&entry->items_processed, items))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("checkpoint " INT64_FORMAT " of step \"%s\" has no items to go back to",
						sequence, tckpt_step_name(step)),
				 errdetail("It was written before the guard kept history.")));
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_rewind);
/* Makes an earlier checkpoint the current one, and re-dispatches the step. */
Datum
tasker_checkpoint_rewind(PG_FUNCTION_ARGS)
{
	Oid			function = fcinfo->flinfo->fn_oid;
	TckptRequest request = {.kind = TCKPT_REWIND};
	TckptOutcome outcome;
	TckptDocument entry;
	TckptValue	results;
	TckptStep	row;
	int64		items;
	TckptEvent *event = &outcome.dispatch.event;
	bool		dispatched;

	(void) tckpt_begin_write("tasker_checkpoint_rewind()");
	tckpt_require_argument(fcinfo, 0, "step_uuid");
	tckpt_require_argument(fcinfo, 1, "to_sequence");
	request.step = *PG_GETARG_UUID_P(0);

	tckpt_steps_lock(tckpt_attached_open(function, RowExclusiveLock), &request.step, &row);
	tckpt_require_unprocessed(&request.step, row.processed);
	find_entry(function, &request.step, row.checkpoint, PG_GETARG_INT64(1), &entry, &items);

	if (!PG_ARGISNULL(2))
		results = tckpt_value_of_jsonb(PG_GETARG_JSONB_P(2));
	tckpt_write_checkpoint(fcinfo, &request,
						   tckpt_checkpoint_parts(&entry.cursor, items,
												  PG_ARGISNULL(2) ? NULL : &results),
						   &outcome);
	dispatched = tckpt_dispatch_supersede(function, &request.step, outcome.sequence,
										  event);
	tckpt_end_write();
	return tckpt_make_receipt(fcinfo, &outcome, dispatched ? &event->event_id : NULL);
}

/*
 * Finds the step of a call that changes what its event says, as the caller, who
 * need only see it.
 */
static pg_uuid_t *
look_at_step(FunctionCallInfo fcinfo)
{
	pg_uuid_t  *step;

	tckpt_require_argument(fcinfo, 0, "step_uuid");
	step = PG_GETARG_UUID_P(0);
	(void) tckpt_steps_read(tckpt_attached_open(fcinfo->flinfo->fn_oid, AccessShareLock),
							step);
	return step;
}

/* An event that was waited for may have gone with its step.  Raises P0002. */
static void
look_again(FunctionCallInfo fcinfo)
{
	tckpt_steps_look_again(tckpt_attached_open(fcinfo->flinfo->fn_oid, AccessShareLock),
						   PG_GETARG_UUID_P(0));
}

/*
 * Gives the step a directive, if it has a weaker one.  A row that is made for
 * it holds nothing else.  While it cannot be claimed, its time says since when.
 * Nothing is locked, and nobody waited for, where there is nothing to change.
 */
static bool
set_directive(FunctionCallInfo fcinfo, TckptDirective directive)
{
	Oid			function = fcinfo->flinfo->fn_oid;
	pg_uuid_t  *step = look_at_step(fcinfo);
	TckptEvent	event;

	if (tckpt_event_find(function, TCKPT_BY_STEP, step, TCKPT_UNLOCKED, &event) &&
		event.directive >= directive)
		return false;

	for (;;)
	{
		bool		found = tckpt_event_find(function, TCKPT_BY_STEP, step, TCKPT_LOCK, &event);

		if (event.directive >= directive)
			return false;
		if (!found)
			look_again(fcinfo);
		event.directive = directive;
		event.available_at = Max(event.available_at, GetCurrentTimestamp());
		if (found)
		{
			(void) tckpt_event_update(function, &event);
			return true;
		}
		event.step = *step;
		if (tckpt_event_insert(function, &event))
			return true;
	}
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_pause);
Datum
tasker_checkpoint_pause(PG_FUNCTION_ARGS)
{
	bool		changed;

	(void) tckpt_begin_write("tasker_checkpoint_pause()");
	changed = set_directive(fcinfo, TCKPT_PAUSE);
	tckpt_end_write();
	PG_RETURN_BOOL(changed);
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_cancel);
Datum
tasker_checkpoint_cancel(PG_FUNCTION_ARGS)
{
	bool		changed;

	(void) tckpt_begin_write("tasker_checkpoint_cancel()");
	changed = set_directive(fcinfo, TCKPT_CANCEL);
	tckpt_end_write();
	PG_RETURN_BOOL(changed);
}

/* Whether anything keeps a step from being claimed that resume() lifts. */
static bool
is_held(const TckptEvent *event)
{
	return event->directive != TCKPT_CONTINUE || event->parked;
}

/* Lifts what is held back; false if nothing is. */
static bool
lift(FunctionCallInfo fcinfo)
{
	Oid			function = fcinfo->flinfo->fn_oid;
	pg_uuid_t  *step = look_at_step(fcinfo);
	TckptEvent	event;

	if (!tckpt_event_find(function, TCKPT_BY_STEP, step, TCKPT_UNLOCKED, &event) ||
		!is_held(&event))
		return false;
	if (!tckpt_event_find(function, TCKPT_BY_STEP, step, TCKPT_LOCK, &event))
		look_again(fcinfo);
	if (!is_held(&event))
		return false;

	/* parked again at once, if it kept its count */
	if (event.parked)
		event.deliveries = 0;
	event.parked = false;
	event.directive = TCKPT_CONTINUE;
	if (event.has_event)
	{
		/* it has waited for nobody meanwhile */
		event.available_at = Max(event.available_at, GetCurrentTimestamp());
		(void) tckpt_event_update(function, &event);
		tckpt_dispatch_wake(&event, !tckpt_event_is_leased(&event, GetCurrentTimestamp()));
	}
	else
		tckpt_event_delete(function, &event);
	return true;
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_resume);
/* Lifts pause, cancel and parking. */
Datum
tasker_checkpoint_resume(PG_FUNCTION_ARGS)
{
	bool		changed;

	(void) tckpt_begin_write("tasker_checkpoint_resume()");
	changed = lift(fcinfo);
	tckpt_end_write();
	PG_RETURN_BOOL(changed);
}
