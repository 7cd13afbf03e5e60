/*-------------------------------------------------------------------------
 *
 * history.c
 *	  The whole trail of a step: what is archived, and what its checkpoint
 *	  still has.
 *
 * Who sees the step sees its trail: the archive is read below the executor.
 * Step and archive are read as of the same snapshot, and an entry that is in
 * both is returned once.
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

#include "archive.h"
#include "steps.h"
#include "tasker_checkpoint.h"

/* tasker_checkpoint_history_entry */
#define ENTRY_COLUMNS	9

/* How a generation ended */
typedef struct Clear
{
	int32		generation;
	int64		last;
	TimestampTz at;
	char	   *by;
	Jsonb	   *results;		/* NULL: none */
} Clear;

/* One call */
typedef struct Trail
{
	FunctionCallInfo fcinfo;
	const pg_uuid_t *step;
	TckptDocument doc;			/* the present checkpoint */
	TckptHistory history;		/* its own */
	TckptPosition position;		/* of that */
	List	   *clears;			/* of Clear */
	int32		generation;		/* of the last entry returned */
	int64		sequence;
	MemoryContext context;		/* reset after each row of the archive */
} Trail;

static Clear *
find_clear(const Trail *trail, int32 generation)
{
	ListCell   *lc;

	foreach(lc, trail->clears)
	{
		Clear	   *clear = lfirst(lc);

		if (clear->generation == generation)
			return clear;
	}
	return NULL;
}

/* What is kept beside the history, of the last entry of each generation. */
static Jsonb *
entry_results(const Trail *trail, const Clear *clear, int32 generation,
			  int64 sequence)
{
	if (clear != NULL)
		return clear->last == sequence ? clear->results : NULL;
	if (generation == trail->position.generation &&
		sequence == trail->history.sequence &&
		!tckpt_value_is_null(&trail->doc.accumulated_results))
		return tckpt_value_to_jsonb(&trail->doc.accumulated_results);
	return NULL;
}

static void
put_entry(Trail *trail, int32 generation, int64 sequence,
		  const TckptDocument *entry, bool archived)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) trail->fcinfo->resultinfo;
	Clear	   *clear = find_clear(trail, generation);
	Jsonb	   *results = entry_results(trail, clear, generation, sequence);
	TimestampTz at = 0;
	int64		items = 0;
	Datum		values[ENTRY_COLUMNS] = {0};
	bool		nulls[ENTRY_COLUMNS] = {false};

	values[0] = Int32GetDatum(generation);
	values[1] = Int64GetDatum(sequence);
	nulls[2] = entry->cursor.data == NULL;
	if (!nulls[2])
		values[2] = JsonbPGetDatum(tckpt_value_to_jsonb(&entry->cursor));
	nulls[3] = !tckpt_value_to_count(&entry->items_processed, &items);
	values[3] = Int64GetDatum(items);
	nulls[4] = !tckpt_value_to_timestamp(&entry->timestamp, &at);
	values[4] = TimestampTzGetDatum(at);
	nulls[5] = results == NULL;
	values[5] = JsonbPGetDatum(results);
	values[6] = BoolGetDatum(archived);
	nulls[7] = nulls[8] = clear == NULL;
	if (clear != NULL)
	{
		values[7] = TimestampTzGetDatum(clear->at);
		values[8] = CStringGetTextDatum(clear->by);
	}
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	trail->generation = generation;
	trail->sequence = sequence;
}

/* Returns the entries of a history that were not returned before. */
static void
put_history(Trail *trail, int32 generation, const TckptHistory *history,
			bool archived)
{
	int64		first = history->sequence - tckpt_history_length(history) + 1;
	TckptDocument entry;

	if (generation == trail->generation && first <= trail->sequence)
		first = trail->sequence + 1;
	for (int64 sequence = first; sequence <= history->sequence; sequence++)
	{
		CHECK_FOR_INTERRUPTS();
		if (tckpt_history_entry(history, sequence, &entry))
			put_entry(trail, generation, sequence, &entry, archived);
	}
}

/* Finds out how each generation ended: an entry says so. */
static void
read_clears(Trail *trail)
{
	TckptTrail *rows = tckpt_trail_begin(trail->fcinfo->flinfo->fn_oid, trail->step);
	const TckptChunk *chunk;

	while ((chunk = tckpt_trail_next(rows)) != NULL)
	{
		Clear	   *clear;

		CHECK_FOR_INTERRUPTS();
		if (chunk->cleared_by == NULL)
			continue;
		clear = palloc0(sizeof(Clear));
		clear->generation = chunk->generation;
		clear->last = chunk->last;
		clear->at = chunk->archived_at;
		clear->by = pstrdup(chunk->cleared_by);
		if (chunk->has_results)
			clear->results = DatumGetJsonbPCopy(chunk->results);
		trail->clears = lappend(trail->clears, clear);
	}
	tckpt_trail_end(rows);
}

static void
put_archived(Trail *trail)
{
	TckptTrail *rows = tckpt_trail_begin(trail->fcinfo->flinfo->fn_oid, trail->step);
	const TckptChunk *chunk;

	while ((chunk = tckpt_trail_next(rows)) != NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(trail->context);
		TckptHistory history;

		tckpt_chunk_history(chunk, &history);
		put_history(trail, chunk->generation, &history, true);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(trail->context);
	}
	tckpt_trail_end(rows);
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_history);
/* Every checkpoint that a step had, as far as it is still known. */
Datum
tasker_checkpoint_history(PG_FUNCTION_ARGS)
{
	Trail		trail = {.fcinfo = fcinfo};
	Jsonb	   *checkpoint;

	tckpt_require_argument(fcinfo, 0, "step_uuid");
	trail.step = PG_GETARG_UUID_P(0);
	InitMaterializedSRF(fcinfo, 0);
	checkpoint = tckpt_steps_read(tckpt_attached_open(fcinfo->flinfo->fn_oid, AccessShareLock),
								  trail.step);
	if (checkpoint != NULL)
		(void) tckpt_document_read(checkpoint, &trail.doc);
	tckpt_history_read(&trail.doc, &trail.history);
	trail.position = tckpt_archive_position(fcinfo->flinfo->fn_oid, trail.step,
											&trail.history);
	trail.context = AllocSetContextCreate(CurrentMemoryContext,
										  "tasker_checkpoint history",
										  ALLOCSET_DEFAULT_SIZES);

	read_clears(&trail);
	put_archived(&trail);
	put_history(&trail, trail.position.generation, &trail.history, false);
	MemoryContextDelete(trail.context);
	return (Datum) 0;
}
