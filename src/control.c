/*-------------------------------------------------------------------------
 *
 * control.c
 *	  The functions by which an operator controls a step, and the questions
 *	  which table is attached and which steps are dispatched.
 *
 * clear, reset_for_retry and rewind lock the step and supersede whoever has
 * it.  pause, resume and cancel only look at it: they change what the next
 * receipt says, and who holds the step keeps it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "archive.h"
#include "dispatch.h"
#include "read.h"
#include "rules.h"
#include "tasker_checkpoint.h"
#include "transaction.h"
#include "yield.h"

/* tasker_checkpoint_dispatched_step */
#define DISPATCHED_COLUMNS 10

PG_FUNCTION_INFO_V1(tasker_checkpoint_table);
/* The attached table, NULL if there is none.  Raises 55000 if there are two. */
Datum
tasker_checkpoint_table(PG_FUNCTION_ARGS)
{
	Oid			relid = tckpt_attached_find(fcinfo->flinfo->fn_oid);

	if (!OidIsValid(relid))
		PG_RETURN_NULL();
	PG_RETURN_OID(relid);
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
		bool		claimed = event.worker != NULL;
		Interval	lease = {.time = event.lease};
		Datum		values[DISPATCHED_COLUMNS] = {
			UUIDPGetDatum(&event.step),
			BoolGetDatum(event.has_event),
			CStringGetTextDatum(tckpt_directive_name(event.directive)),
			BoolGetDatum(event.parked),
			TimestampTzGetDatum(event.available_at),
			claimed ? CStringGetTextDatum(event.worker) : (Datum) 0,
			IntervalPGetDatum(&lease),
			TimestampTzGetDatum(event.lease_until),
			Int32GetDatum(event.deliveries),
			Int64GetDatum(event.sequence)
		};
		bool		nulls[DISPATCHED_COLUMNS] = {
			[5] = !claimed, [6] = !claimed, [7] = !claimed
		};

		CHECK_FOR_INTERRUPTS();
		if (!row_security || tckpt_steps_sees(steps, &event.step))
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	tckpt_event_scan_end(scan);
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_detach);
/*
 * Drops the guard trigger, as the caller, who must own the table.  Dispatched
 * steps are forgotten with it.
 */
Datum
tasker_checkpoint_detach(PG_FUNCTION_ARGS)
{
	Oid			function = fcinfo->flinfo->fn_oid;
	TckptSteps *steps;
	Oid			relid;
	int64		events;

	PreventCommandIfReadOnly("tasker_checkpoint_detach()");

	/* before anybody has to wait for a lock that leads to nothing */
	relid = tckpt_attached_find(function);
	if (OidIsValid(relid) && !tckpt_owns_table(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(relid));

	steps = tckpt_attached_open(function, AccessExclusiveLock);
	relid = steps->trigger.relid;
	tckpt_steps_drop_guard(steps);

	events = tckpt_event_delete_all(function);
	if (events > 0)
		ereport(NOTICE,
				(errmsg_plural("event of %lld dispatched step was removed",
							   "events of %lld dispatched steps were removed",
							   (unsigned long) events,
							   (long long) events),
				 errdetail("Steps that were paused or cancelled are counted too.")));
	PG_RETURN_OID(relid);
}

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
	TckptCall	call = {.kind = TCKPT_CALL_REWIND};
	TckptDocument entry;
	TckptValue	results;
	TckptStep	row;
	int64		items;
	bool		dispatched;

	(void) tckpt_begin_write("tasker_checkpoint_rewind()");
	tckpt_require_argument(fcinfo, 0, "step_uuid");
	tckpt_require_argument(fcinfo, 1, "to_sequence");
	call.step = *PG_GETARG_UUID_P(0);

	tckpt_steps_lock(tckpt_attached_open(function, RowExclusiveLock), &call.step, &row);
	tckpt_require_unprocessed(&call.step, row.processed);
	find_entry(function, &call.step, row.checkpoint, PG_GETARG_INT64(1), &entry, &items);

	if (!PG_ARGISNULL(2))
		results = tckpt_value_of_jsonb(PG_GETARG_JSONB_P(2));
	tckpt_write_checkpoint(fcinfo, &call,
						   tckpt_checkpoint_parts(&entry.cursor, items,
												  PG_ARGISNULL(2) ? NULL : &results));
	dispatched = tckpt_dispatch_supersede(function, &call.step, call.sequence,
										  &call.event);
	tckpt_end_write();
	return tckpt_make_receipt(fcinfo, &call,
							  dispatched ? &call.event.event_id : NULL);
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
lift(Oid function, const pg_uuid_t *step)
{
	TckptEvent	event;

	if (!tckpt_event_find(function, TCKPT_BY_STEP, step, TCKPT_UNLOCKED, &event) ||
		!is_held(&event))
		return false;
	if (!tckpt_event_find(function, TCKPT_BY_STEP, step, TCKPT_LOCK, &event) ||
		!is_held(&event))
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
		if (!tckpt_event_is_leased(&event, GetCurrentTimestamp()))
			tckpt_dispatch_wake(&event);
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
	changed = lift(fcinfo->flinfo->fn_oid, look_at_step(fcinfo));
	tckpt_end_write();
	PG_RETURN_BOOL(changed);
}
