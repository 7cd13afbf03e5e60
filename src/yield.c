/*-------------------------------------------------------------------------
 *
 * yield.c
 *	  The functions by which a worker writes a checkpoint.
 *
 * Order of the checks: arguments, attached table, visible step; then, with the
 * row locked and in the guard, replay, fence and what the checkpoint must
 * satisfy.  The guard changes the step's event last, which then stays locked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "access/htup_details.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "dispatch.h"
#include "stats.h"
#include "tasker_checkpoint.h"
#include "transaction.h"
#include "yield.h"

/* The part of a checkpoint that a worker decides; results may be NULL. */
Jsonb *
tckpt_checkpoint_parts(const TckptValue *cursor, int64 items,
					   const TckptValue *results)
{
	TckptValue	items_value = tckpt_value_of_int64(items);
	TckptValue	null_results = tckpt_value_null();

	return tckpt_document_parts(cursor, &items_value,
								results != NULL ? results : &null_results);
}

/* Writes it to the step that "call" names, as that says. */
void
tckpt_write_checkpoint(FunctionCallInfo fcinfo, TckptCall *call,
					   const Jsonb *parts)
{
	TckptSteps *steps;

	call->function = fcinfo->flinfo->fn_oid;
	call->context = CurrentMemoryContext;
	call->digest = (int64) hash_bytes_extended((const unsigned char *) &parts->root,
											   VARSIZE(parts) - VARHDRSZ, 0);
	steps = tckpt_attached_open(call->function, RowExclusiveLock);
	tckpt_steps_write(steps, call, parts);

	if (OidIsValid(call->stored_in) && call->kind != TCKPT_CALL_REWIND &&
		tckpt_stats_hot_updates(call->stored_in) > call->hot_before)
		tckpt_stats_count(TCKPT_HOT_CHECKPOINTS, 1);
}

Datum
tckpt_make_receipt(FunctionCallInfo fcinfo, const TckptCall *call,
				   const pg_uuid_t *event_id)
{
	TupleDesc	tupdesc;
	Datum		values[4];
	bool		nulls[4] = {false, event_id == NULL, false, false};

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	values[0] = Int64GetDatum(call->sequence);
	values[1] = event_id != NULL ? UUIDPGetDatum(event_id) : (Datum) 0;
	values[2] = CStringGetTextDatum(tckpt_directive_name(call->event.directive));
	values[3] = BoolGetDatum(call->replayed);
	return HeapTupleGetDatum(heap_form_tuple(tupdesc, values, nulls));
}

static void
check_arguments(FunctionCallInfo fcinfo)
{
	tckpt_require_argument(fcinfo, 0, "step_uuid");
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("cursor must not be null"),
				 errhint("Pass 'null'::jsonb for a cursor that is a JSON null.")));
	tckpt_require_argument(fcinfo, 2, "items");
	if (PG_GETARG_INT64(2) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("items must not be negative"),
				 errdetail("It is " INT64_FORMAT ".", PG_GETARG_INT64(2))));
}

/* yield and save, which have the same arguments. */
static void
write_arguments(FunctionCallInfo fcinfo, TckptCall *call)
{
	TckptValue	cursor;
	TckptValue	results;

	check_arguments(fcinfo);
	call->step = *PG_GETARG_UUID_P(0);
	call->event_id = PG_ARGISNULL(4) ? NULL : PG_GETARG_UUID_P(4);
	cursor = tckpt_value_of_jsonb(PG_GETARG_JSONB_P(1));
	if (!PG_ARGISNULL(3))
		results = tckpt_value_of_jsonb(PG_GETARG_JSONB_P(3));
	tckpt_write_checkpoint(fcinfo, call,
						   tckpt_checkpoint_parts(&cursor, PG_GETARG_INT64(2),
												  PG_ARGISNULL(3) ? NULL : &results));
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_yield);
/* Persists a checkpoint and re-dispatches the step. */
Datum
tasker_checkpoint_yield(PG_FUNCTION_ARGS)
{
	TckptCall	call = {.kind = TCKPT_CALL_YIELD};

	call.has_written = tckpt_begin_write("tasker_checkpoint_yield()");
	write_arguments(fcinfo, &call);
	tckpt_end_write();
	return tckpt_make_receipt(fcinfo, &call, &call.event.continuation);
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_save);
/* Persists a checkpoint; the worker goes on. */
Datum
tasker_checkpoint_save(PG_FUNCTION_ARGS)
{
	TckptCall	call = {.kind = TCKPT_CALL_SAVE};

	call.has_written = tckpt_begin_write("tasker_checkpoint_save()");
	write_arguments(fcinfo, &call);
	tckpt_end_write();
	return tckpt_make_receipt(fcinfo, &call, call.event_id);
}

static void
raise_event_data(const char *problem)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("checkpoint_data %s", problem),
			 errhint("Pass an object with step_uuid, cursor, items_processed and accumulated_results.")));
}

/* A UUID as JSON has it, 36 characters; raises 22023. */
static void
read_step_uuid(const TckptValue *value, pg_uuid_t *step)
{
	static const char layout[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	char		text[sizeof(layout)];
	bool		ok;

	ok = value->type == JENTRY_ISSTRING && value->len == sizeof(layout) - 1;
	for (uint32 i = 0; ok && i < value->len; i++)
		ok = layout[i] == '-' ? value->data[i] == '-'
			: isxdigit((unsigned char) value->data[i]) != 0;
	if (!ok)
		raise_event_data("must have a UUID as \"step_uuid\"");

	/* the string does not end with a zero byte */
	memcpy(text, value->data, value->len);
	text[value->len] = '\0';
	*step = *DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(text)));
}

/* Takes event data apart; raises 22023.  Returns the items. */
static int64
read_event_data(const Jsonb *data, TckptDocument *doc, pg_uuid_t *step)
{
	int64		items;
	const TckptValue *step_uuid = NULL;

	if (!tckpt_document_read(data, doc))
		raise_event_data("must be a JSON object");
	for (int i = 0; i < doc->nextra; i++)
		if (doc->extra[i].keylen == strlen("step_uuid") &&
			strncmp(doc->extra[i].key, "step_uuid", doc->extra[i].keylen) == 0)
			step_uuid = &doc->extra[i].value;
	if (step_uuid == NULL)
		raise_event_data("must have the key \"step_uuid\"");
	read_step_uuid(step_uuid, step);
	if (doc->cursor.data == NULL)
		raise_event_data("must have the key \"cursor\"");
	if (!tckpt_value_to_count(&doc->items_processed, &items))
		raise_event_data("must have a non-negative integer as \"items_processed\"");
	return items;
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_yield_step_event);
/* yield as Tasker's workers call it; false if the event is not the step's. */
Datum
tasker_checkpoint_yield_step_event(PG_FUNCTION_ARGS)
{
	TckptCall	call = {.kind = TCKPT_CALL_YIELD, .quiet = true};
	TckptEvent	event;
	TckptDocument doc;
	int64		items;

	call.has_written = tckpt_begin_write("tasker_checkpoint_yield_step_event()");
	tckpt_require_argument(fcinfo, 0, "event_id");
	tckpt_require_argument(fcinfo, 1, "checkpoint_data");
	call.event_id = PG_GETARG_UUID_P(0);
	items = read_event_data(PG_GETARG_JSONB_P(1), &doc, &call.step);

	if (tckpt_event_find(fcinfo->flinfo->fn_oid, TCKPT_BY_EVENT,
						 call.event_id, TCKPT_UNLOCKED, &event) &&
		!tckpt_same_uuid(&event.step, &call.step))
		raise_event_data("must name the step of the event");

	tckpt_write_checkpoint(fcinfo, &call,
						   tckpt_checkpoint_parts(&doc.cursor, items,
												  doc.accumulated_results.data != NULL ?
												  &doc.accumulated_results : NULL));
	tckpt_end_write();
	PG_RETURN_BOOL(!call.superseded);
}
