/*-------------------------------------------------------------------------
 *
 * read.c
 *	  The functions that read a checkpoint.
 *
 * Each finds the step as the caller, and raises P0002 if it can't.  What was
 * stored without the guard is read as far as it makes sense: items that are no
 * count are 0, a time that is none is NULL.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "api/read.h"
#include "document/history.h"
#include "result.h"
#include "table/steps.h"
#include "tasker_checkpoint.h"

/* tasker_checkpoint_state, which begins with the columns to resume by */
enum
{
	STATE_CHECKPOINTED_AT = TCKPT_RESUME_NCOLUMNS,
	STATE_SEQUENCE,
	STATE_NCOLUMNS
};

static const Oid state_types[STATE_NCOLUMNS] = {
	BOOLOID, JSONBOID, INT8OID, JSONBOID, TIMESTAMPTZOID, INT8OID
};

/*
 * The step's checkpoint and what it holds; NULL and an empty document if it
 * has none.
 */
static Jsonb *
read_checkpoint(FunctionCallInfo fcinfo, TckptDocument *doc)
{
	TckptSteps *steps;
	Jsonb	   *checkpoint;

	memset(doc, 0, sizeof(*doc));
	tckpt_require_argument(fcinfo, 0, "step_uuid");
	steps = tckpt_attached_open(fcinfo->flinfo->fn_oid, AccessShareLock);
	checkpoint = tckpt_steps_read(steps, PG_GETARG_UUID_P(0));

	if (checkpoint != NULL)
		(void) tckpt_document_read(checkpoint, doc);
	return checkpoint;
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_get);
/* The whole document, or NULL. */
Datum
tasker_checkpoint_get(PG_FUNCTION_ARGS)
{
	TckptDocument doc;
	Jsonb	   *checkpoint = read_checkpoint(fcinfo, &doc);

	if (checkpoint == NULL)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(checkpoint);
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_exists);
Datum
tasker_checkpoint_exists(PG_FUNCTION_ARGS)
{
	TckptDocument doc;

	PG_RETURN_BOOL(read_checkpoint(fcinfo, &doc) != NULL);
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_cursor);
/* The cursor, a JSON null included; NULL without a checkpoint. */
Datum
tasker_checkpoint_cursor(PG_FUNCTION_ARGS)
{
	TckptDocument doc;

	(void) read_checkpoint(fcinfo, &doc);
	if (doc.cursor.data == NULL)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(tckpt_value_to_jsonb(&doc.cursor));
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_items_processed);
Datum
tasker_checkpoint_items_processed(PG_FUNCTION_ARGS)
{
	TckptDocument doc;

	(void) read_checkpoint(fcinfo, &doc);
	PG_RETURN_INT64(tckpt_document_items(&doc));
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_accumulated_results);
/* The accumulated results; NULL if they are a JSON null. */
Datum
tasker_checkpoint_accumulated_results(PG_FUNCTION_ARGS)
{
	TckptDocument doc;

	(void) read_checkpoint(fcinfo, &doc);
	if (tckpt_value_is_null(&doc.accumulated_results))
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(tckpt_value_to_jsonb(&doc.accumulated_results));
}

/* The number of a checkpoint, which may be NULL. */
int64
tckpt_sequence(const Jsonb *checkpoint)
{
	TckptDocument doc = {0};

	if (checkpoint != NULL)
		(void) tckpt_document_read(checkpoint, &doc);
	return tckpt_document_sequence(&doc);
}

/*
 * The columns by which a worker resumes; "checkpoint" may be NULL.  Returns
 * the sequence.
 */
int64
tckpt_resume_columns(const Jsonb *checkpoint, Datum *values, bool *nulls)
{
	TckptDocument doc = {0};

	if (checkpoint != NULL)
		(void) tckpt_document_read(checkpoint, &doc);

	values[TCKPT_RESUME_HAS_CHECKPOINT] = BoolGetDatum(checkpoint != NULL);
	nulls[TCKPT_RESUME_CURSOR] = doc.cursor.data == NULL;
	if (!nulls[TCKPT_RESUME_CURSOR])
		values[TCKPT_RESUME_CURSOR] = JsonbPGetDatum(tckpt_value_to_jsonb(&doc.cursor));
	values[TCKPT_RESUME_ITEMS] = Int64GetDatum(tckpt_document_items(&doc));
	nulls[TCKPT_RESUME_RESULTS] = tckpt_value_is_null(&doc.accumulated_results);
	if (!nulls[TCKPT_RESUME_RESULTS])
		values[TCKPT_RESUME_RESULTS] = JsonbPGetDatum(tckpt_value_to_jsonb(&doc.accumulated_results));
	return tckpt_document_sequence(&doc);
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_load);
/* All that a handler needs to resume. */
Datum
tasker_checkpoint_load(PG_FUNCTION_ARGS)
{
	TckptDocument doc;
	TimestampTz checkpointed_at = 0;
	Datum		values[STATE_NCOLUMNS] = {0};
	bool		nulls[STATE_NCOLUMNS] = {false};
	Jsonb	   *checkpoint = read_checkpoint(fcinfo, &doc);

	values[STATE_SEQUENCE] = Int64GetDatum(tckpt_resume_columns(checkpoint, values, nulls));
	nulls[STATE_CHECKPOINTED_AT] = !tckpt_value_to_timestamp(&doc.timestamp, &checkpointed_at);
	values[STATE_CHECKPOINTED_AT] = TimestampTzGetDatum(checkpointed_at);
	return tckpt_result_row(fcinfo, state_types, STATE_NCOLUMNS, values, nulls);
}
