/*-------------------------------------------------------------------------
 *
 * write.c
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

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "api/write.h"
#include "counters.h"
#include "dispatch/protocol.h"
#include "dispatch/transaction.h"
#include "document/build.h"
#include "result.h"
#include "tasker_checkpoint.h"

/* tasker_checkpoint_receipt */
enum
{
	RECEIPT_SEQUENCE,
	RECEIPT_EVENT,
	RECEIPT_DIRECTIVE,
	RECEIPT_REPLAYED,
	RECEIPT_NCOLUMNS
};

static const Oid receipt_types[RECEIPT_NCOLUMNS] = {
	INT8OID, UUIDOID, TEXTOID, BOOLOID
};

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

/*
 * Writes it to the step of a request, of which function and digest are filled in
 * here; "outcome" says what came of it.
 */
void
tckpt_write_checkpoint(FunctionCallInfo fcinfo, TckptRequest *request,
					   const Jsonb *parts, TckptOutcome *outcome)
{
	TckptSteps *steps;

	request->function = fcinfo->flinfo->fn_oid;
	request->digest = (int64) hash_bytes_extended((const unsigned char *) &parts->root,
												  VARSIZE(parts) - VARHDRSZ, 0);
	steps = tckpt_attached_open(request->function, RowExclusiveLock);
	tckpt_steps_write(steps, request, parts, outcome);

	if (OidIsValid(outcome->stored_in) && request->kind != TCKPT_REWIND &&
		tckpt_stats_hot_updates(outcome->stored_in) > outcome->hot_before)
		tckpt_stats_count(TCKPT_HOT_CHECKPOINTS, 1);
}

/* The event_id may be NULL. */
Datum
tckpt_make_receipt(FunctionCallInfo fcinfo, const TckptOutcome *outcome,
				   const pg_uuid_t *event_id)
{
	Datum		values[RECEIPT_NCOLUMNS];
	bool		nulls[RECEIPT_NCOLUMNS] = {[RECEIPT_EVENT] = event_id == NULL};

	values[RECEIPT_SEQUENCE] = Int64GetDatum(outcome->sequence);
	values[RECEIPT_EVENT] = event_id != NULL ? UUIDPGetDatum(event_id) : (Datum) 0;
	values[RECEIPT_DIRECTIVE] = CStringGetTextDatum(tckpt_directive_name(outcome->dispatch.event.directive));
	values[RECEIPT_REPLAYED] = BoolGetDatum(outcome->verdict == TCKPT_REPEATED);
	return tckpt_result_row(fcinfo, receipt_types, RECEIPT_NCOLUMNS, values, nulls);
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
write_arguments(FunctionCallInfo fcinfo, TckptRequest *request,
				TckptOutcome *outcome)
{
	TckptValue	cursor;
	TckptValue	results;

	check_arguments(fcinfo);
	request->step = *PG_GETARG_UUID_P(0);
	request->event_id = PG_ARGISNULL(4) ? NULL : PG_GETARG_UUID_P(4);
	cursor = tckpt_value_of_jsonb(PG_GETARG_JSONB_P(1));
	if (!PG_ARGISNULL(3))
		results = tckpt_value_of_jsonb(PG_GETARG_JSONB_P(3));
	tckpt_write_checkpoint(fcinfo, request,
						   tckpt_checkpoint_parts(&cursor, PG_GETARG_INT64(2),
												  PG_ARGISNULL(3) ? NULL : &results),
						   outcome);
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_yield);
/* Persists a checkpoint and re-dispatches the step. */
Datum
tasker_checkpoint_yield(PG_FUNCTION_ARGS)
{
	TckptRequest request = {.kind = TCKPT_YIELD};
	TckptOutcome outcome;

	request.has_written = tckpt_begin_write("tasker_checkpoint_yield()");
	write_arguments(fcinfo, &request, &outcome);
	tckpt_end_write();
	return tckpt_make_receipt(fcinfo, &outcome, &outcome.dispatch.event.continuation);
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_save);
/* Persists a checkpoint; the worker goes on. */
Datum
tasker_checkpoint_save(PG_FUNCTION_ARGS)
{
	TckptRequest request = {.kind = TCKPT_SAVE};
	TckptOutcome outcome;

	request.has_written = tckpt_begin_write("tasker_checkpoint_save()");
	write_arguments(fcinfo, &request, &outcome);
	tckpt_end_write();
	return tckpt_make_receipt(fcinfo, &outcome, request.event_id);
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
	char		written[sizeof(layout)];
	bool		ok;

	ok = value->type == JENTRY_ISSTRING && value->len == sizeof(layout) - 1;
	for (uint32 i = 0; ok && i < value->len; i++)
		ok = layout[i] == '-' ? value->data[i] == '-'
			: isxdigit((unsigned char) value->data[i]) != 0;
	if (!ok)
		raise_event_data("must have a UUID as \"step_uuid\"");

	/* the string does not end with a zero byte */
	memcpy(written, value->data, value->len);
	written[value->len] = '\0';
	*step = *DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(written)));
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
	TckptRequest request = {
		.kind = TCKPT_YIELD,
		.quiet = true
	};
	TckptOutcome outcome;
	TckptEvent	event;
	TckptDocument doc;
	int64		items;

	request.has_written = tckpt_begin_write("tasker_checkpoint_yield_step_event()");
	tckpt_require_argument(fcinfo, 0, "event_id");
	tckpt_require_argument(fcinfo, 1, "checkpoint_data");
	request.event_id = PG_GETARG_UUID_P(0);
	items = read_event_data(PG_GETARG_JSONB_P(1), &doc, &request.step);

	if (tckpt_event_find(fcinfo->flinfo->fn_oid, TCKPT_BY_EVENT,
						 request.event_id, TCKPT_UNLOCKED, &event) &&
		!tckpt_same_uuid(&event.step, &request.step))
		raise_event_data("must name the step of the event");

	tckpt_write_checkpoint(fcinfo, &request,
						   tckpt_checkpoint_parts(&doc.cursor, items,
												  doc.accumulated_results.data != NULL ?
												  &doc.accumulated_results : NULL),
						   &outcome);
	tckpt_end_write();
	PG_RETURN_BOOL(outcome.verdict != TCKPT_SUPERSEDED);
}
