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
 * The archive's rows are walked through twice: from the newest back, to find
 * out how far the trail is this step's and how each generation ended, and then
 * from there on, a row at a time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "archive/archive.h"
#include "table/steps.h"
#include "tasker_checkpoint.h"

/* tasker_checkpoint_history() */
#define ENTRY_COLUMNS	9

/* How a generation ended */
typedef struct Clear
{
	int32		generation;
	int64		last;
	TimestampTz at;
	char	   *by;
	bool		has_results;
	Datum		results;		/* toasted as it was */
} Clear;

/* One call */
typedef struct Listing
{
	FunctionCallInfo fcinfo;
	const pg_uuid_t *step;
	TckptDocument doc;			/* the present checkpoint */
	TckptHistory present;		/* all that it holds */
	int32		generation;		/* its own */
	int32		oldest;			/* generation that is the step's; 0: none */
	List	   *clears;			/* of Clear, newest first */
	int32		last_generation;	/* of the last entry returned */
	int64		last_sequence;
	MemoryContext context;		/* reset after each row of the archive */
} Listing;

/*
 * How a generation ended, if it did.  Generations are asked for from the oldest on,
 * so those before it are dropped.
 */
static Clear *
find_clear(Listing *listing, int32 generation)
{
	while (listing->clears != NIL)
	{
		Clear	   *oldest = llast(listing->clears);

		if (oldest->generation >= generation)
			return oldest->generation == generation ? oldest : NULL;
		listing->clears = list_delete_last(listing->clears);
	}
	return NULL;
}

/* What is kept beside the history, of the last entry of each generation. */
static bool
entry_results(const Listing *listing, const Clear *clear, int64 sequence,
			  Datum *results)
{
	if (clear != NULL)
	{
		*results = clear->results;
		return clear->has_results && clear->last == sequence;
	}
	if (sequence != listing->present.sequence ||
		tckpt_value_is_null(&listing->doc.accumulated_results))
		return false;
	*results = JsonbPGetDatum(tckpt_value_to_jsonb(&listing->doc.accumulated_results));
	return true;
}

static void
put_entry(Listing *listing, int32 generation, int64 sequence,
		  const TckptDocument *entry, bool archived)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) listing->fcinfo->resultinfo;
	Clear	   *clear = find_clear(listing, generation);
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
	nulls[5] = !entry_results(listing, clear, sequence, &values[5]);
	values[6] = BoolGetDatum(archived);
	nulls[7] = nulls[8] = clear == NULL;
	if (clear != NULL)
	{
		values[7] = TimestampTzGetDatum(clear->at);
		values[8] = CStringGetTextDatum(clear->by);
	}
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	listing->last_generation = generation;
	listing->last_sequence = sequence;
}

/* Returns the entries of a history that were not returned before. */
static void
put_history(Listing *listing, int32 generation, const TckptHistory *history,
			bool archived)
{
	uint32		length = tckpt_history_length(history);
	MemoryContext caller = MemoryContextSwitchTo(listing->context);

	for (uint32 i = 0; i < length; i++)
	{
		int64		sequence = history->sequence - (length - 1 - i);
		TckptDocument entry;

		CHECK_FOR_INTERRUPTS();
		if (generation == listing->last_generation && sequence <= listing->last_sequence)
			continue;
		if (tckpt_history_entry(history, sequence, &entry))
			put_entry(listing, generation, sequence, &entry, archived);
	}
	MemoryContextSwitchTo(caller);
}

static void
add_clear(Listing *listing, const TckptChunk *chunk)
{
	Clear	   *clear = palloc0(sizeof(Clear));

	clear->generation = chunk->generation;
	clear->last = chunk->last;
	clear->at = chunk->archived_at;
	clear->by = pstrdup(chunk->cleared_by);
	clear->has_results = chunk->has_results;
	if (chunk->has_results)
		clear->results = datumCopy(chunk->results, false, -1);
	listing->clears = lappend(listing->clears, clear);
}

static TckptTrail *
begin_rows(const Listing *listing, ScanDirection direction)
{
	return tckpt_trail_begin(listing->fcinfo->flinfo->fn_oid, listing->step,
							 GetActiveSnapshot(), direction);
}

/*
 * Finds out how far back the trail is the step's: its newest row must go with
 * the checkpoint, and each generation with the one before.
 */
static void
look_back(Listing *listing)
{
	TckptTrail *rows = begin_rows(listing, BackwardScanDirection);
	const TckptChunk *newer = NULL;
	const TckptChunk *chunk;

	listing->generation = 1;
	while ((chunk = tckpt_trail_next(rows)) != NULL)
	{
		bool		ends = false;

		if (newer == NULL)
		{
			TckptPosition position = tckpt_chunk_position(chunk, &listing->present);

			listing->generation = position.generation;
			if (!position.goes_on)
				break;
			ends = position.is_cleared;
		}
		else if (chunk->generation != newer->generation)
		{
			if (!tckpt_chunk_precedes(chunk, newer))
				break;
			ends = true;
		}
		if (ends)
			add_clear(listing, chunk);
		listing->oldest = chunk->generation;
		newer = chunk;
	}
	tckpt_trail_end(rows);
}

static void
put_archived(Listing *listing)
{
	TckptTrail *rows;
	const TckptChunk *chunk;

	if (listing->oldest == 0)
		return;
	rows = begin_rows(listing, ForwardScanDirection);
	while ((chunk = tckpt_trail_next(rows)) != NULL)
	{
		MemoryContext caller;
		TckptHistory history;

		if (chunk->generation < listing->oldest)
			continue;
		caller = MemoryContextSwitchTo(listing->context);
		tckpt_chunk_history(chunk, &history);
		put_history(listing, chunk->generation, &history, true);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(listing->context);
	}
	tckpt_trail_end(rows);
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_history);
/* Every checkpoint that a step had, as far as it is still known. */
Datum
tasker_checkpoint_history(PG_FUNCTION_ARGS)
{
	Listing		listing = {.fcinfo = fcinfo};
	Jsonb	   *checkpoint;

	tckpt_require_argument(fcinfo, 0, "step_uuid");
	listing.step = PG_GETARG_UUID_P(0);
	InitMaterializedSRF(fcinfo, 0);
	checkpoint = tckpt_steps_read(tckpt_attached_open(fcinfo->flinfo->fn_oid, AccessShareLock),
								  listing.step);
	if (checkpoint != NULL)
		(void) tckpt_document_read(checkpoint, &listing.doc);
	tckpt_history_read_present(&listing.doc, &listing.present);
	listing.context = AllocSetContextCreate(CurrentMemoryContext,
											"tasker_checkpoint history",
											ALLOCSET_DEFAULT_SIZES);

	look_back(&listing);
	put_archived(&listing);
	put_history(&listing, listing.generation, &listing.present, false);
	MemoryContextDelete(listing.context);
	return (Datum) 0;
}
