/*-------------------------------------------------------------------------
 *
 * yield.c
 *	  The functions by which a worker writes a checkpoint.
 *
 * Order of the checks: arguments, attached table, visible step; the rest is
 * the guard's, with the row locked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "document.h"
#include "steps.h"
#include "tasker_checkpoint.h"
#include "wakeup.h"

/* The checkpoint that the arguments (step, cursor, items, results) describe. */
static Jsonb *
checkpoint_parts(FunctionCallInfo fcinfo)
{
	TckptValue	cursor = tckpt_value_of_jsonb(PG_GETARG_JSONB_P(1));
	TckptValue	items = tckpt_value_of_int64(PG_GETARG_INT64(2));
	TckptValue	results = {JENTRY_ISNULL, 0, ""};

	if (!PG_ARGISNULL(3))
		results = tckpt_value_of_jsonb(PG_GETARG_JSONB_P(3));
	return tckpt_document_parts(&cursor, &items, &results);
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
	if (!PG_ARGISNULL(4))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("event_id is not supported yet"),
				 errhint("Leave event_id out.")));
}

/* Writes a checkpoint and returns the receipt's sequence. */
static int64
write_checkpoint(FunctionCallInfo fcinfo)
{
	TckptSteps *steps;
	TckptCall	call;

	check_arguments(fcinfo);
	steps = tckpt_steps_open(fcinfo->flinfo->fn_oid, RowExclusiveLock);
	tckpt_steps_announce(steps, PG_GETARG_UUID_P(0), &call);
	tckpt_steps_write(steps, &call, checkpoint_parts(fcinfo));
	return call.sequence;
}

static Datum
receipt(FunctionCallInfo fcinfo, int64 sequence)
{
	TupleDesc	tupdesc;
	Datum		values[3];
	bool		nulls[3] = {false, true, false};

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	values[0] = Int64GetDatum(sequence);
	values[1] = (Datum) 0;
	values[2] = CStringGetTextDatum("continue");
	return HeapTupleGetDatum(heap_form_tuple(tupdesc, values, nulls));
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_yield);
/* Persists a checkpoint and re-dispatches the step. */
Datum
tasker_checkpoint_yield(PG_FUNCTION_ARGS)
{
	int64		sequence;

	PreventCommandIfReadOnly("tasker_checkpoint_yield()");
	sequence = write_checkpoint(fcinfo);
	tckpt_wakeup_at_commit(PG_GETARG_UUID_P(0), sequence);
	return receipt(fcinfo, sequence);
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_save);
/* Persists a checkpoint; the worker goes on. */
Datum
tasker_checkpoint_save(PG_FUNCTION_ARGS)
{
	PreventCommandIfReadOnly("tasker_checkpoint_save()");
	return receipt(fcinfo, write_checkpoint(fcinfo));
}
