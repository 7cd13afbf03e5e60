/*-------------------------------------------------------------------------
 *
 * archive.c
 *	  What is archived when, and which of it belongs to a step's checkpoint.
 *
 * A row has many entries.  Before the first entry is cut that is not in the
 * archive, all that the stored checkpoint holds go there together, the present
 * one included; so the next row is due when that one is cut.  Each entry is in
 * one row.  The checkpoint that is being written is not stored yet, and a
 * trigger may keep it from that: it is never among them.
 *
 * A step's newest row says up to where its history is archived.  It is this
 * step's only if the checkpoint holds what the row says of its last entry, or
 * of the one after it, by number and time: the key may have been deleted and
 * inserted again, or a checkpoint cleared while nothing was archived.  A step
 * without a checkpoint holds nothing; what was cleared last is its own until its
 * key is given to another row, which the guard sees, and which ends it here.
 *
 * The step's row is locked by whoever writes here, or there is none.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "archive/archive.h"
#include "guc.h"
#include "tasker_checkpoint.h"

/* What comes after a clear whose row is gone: no checkpoint has this time */
#define NOTHING_NEXT	DT_NOBEGIN

/* The newest row of a step, whose own row is locked. */
static bool
find_newest(Oid function, const pg_uuid_t *step, TckptChunk *newest)
{
	TckptTrail *trail = tckpt_trail_begin(function, step, GetLatestSnapshot(),
										  BackwardScanDirection);
	const TckptChunk *chunk = tckpt_trail_next(trail);

	if (chunk != NULL)
		*newest = *chunk;
	tckpt_trail_end(trail);
	return chunk != NULL;
}

/*
 * The last entry of a row leaves the checkpoint, which is then known by the one
 * after it.  That may be another than was foreseen, and a clear may never have
 * come about: a trigger has kept them from being stored.
 */
static void
correct_next(Oid function, TckptChunk *chunk, TimestampTz next_at)
{
	if (next_at == 0 || (chunk->next_at == next_at && chunk->cleared_by == NULL))
		return;
	chunk->cleared_by = NULL;
	chunk->has_results = false;
	chunk->next_at = next_at;
	tckpt_chunk_update(function, chunk);
}

static void
correct_last(Oid function, TckptChunk *chunk, TimestampTz last_at)
{
	if (chunk->last_at == last_at)
		return;
	chunk->last_at = last_at;
	tckpt_chunk_update(function, chunk);
}

/* The time of an entry as a row keeps it; 0 if there is none. */
static TimestampTz
entry_time(const TckptHistory *history, int64 sequence)
{
	TckptDocument entry;
	TimestampTz at;

	if (!tckpt_history_entry(history, sequence, &entry) ||
		!tckpt_value_to_timestamp(&entry.timestamp, &at))
		return 0;
	return at;
}

static bool
has_entry(const TckptHistory *history, int64 sequence, TimestampTz at)
{
	return at != 0 && entry_time(history, sequence) == at;
}

/* Whether a row is of a clear after which its step may begin anew. */
static bool
is_open(const TckptChunk *chunk)
{
	return chunk->cleared_by != NULL && chunk->next_at != NOTHING_NEXT;
}

/*
 * Where a step's checkpoint stands, by the newest row of its key.  "present" is
 * all that the checkpoint holds; without one it is empty.
 */
TckptPosition
tckpt_chunk_position(const TckptChunk *newest, const TckptHistory *present)
{
	TckptPosition position = {
		.generation = newest->generation,
		.archived = newest->last
	};

	/* a clear that is followed by its own checkpoint never came about */
	position.goes_on = has_entry(present, newest->last, newest->last_at) ||
		(newest->cleared_by == NULL &&
		 has_entry(present, newest->last + 1, newest->next_at));
	if (position.goes_on)
		return position;

	position.generation++;
	position.archived = 0;
	position.is_cleared = newest->cleared_by != NULL;
	position.goes_on = is_open(newest) &&
		(tckpt_history_length(present) == 0 ||
		 has_entry(present, 1, newest->next_at));
	return position;
}

/* Whether the row that begins the next generation comes after this clear. */
bool
tckpt_chunk_precedes(const TckptChunk *clear, const TckptChunk *next)
{
	TckptHistory history;

	if (clear->cleared_by == NULL || next->first != 1)
		return false;
	tckpt_chunk_history(next, &history);
	return has_entry(&history, 1, clear->next_at);
}

static TckptPosition
find_position(Oid function, const pg_uuid_t *step, const TckptHistory *present,
			  TckptChunk *newest)
{
	TckptPosition position = {.generation = 1};

	if (find_newest(function, step, newest))
		position = tckpt_chunk_position(newest, present);
	return position;
}

/*
 * Writes a row.  A clear that had nothing to archive, and never came about, has
 * left one in this place.
 */
static void
write_chunk(Oid function, TckptChunk *chunk, const TckptPosition *position,
			const TckptChunk *newest)
{
	if (position->goes_on && newest->generation == chunk->generation &&
		newest->first == chunk->first)
	{
		chunk->tid = newest->tid;
		tckpt_chunk_update(function, chunk);
	}
	else
		tckpt_chunk_insert(function, chunk);
}

/* Whether anything is archived, or may have been.  Raises nothing. */
bool
tckpt_archive_is_used(Oid function)
{
	return tckpt_archive_history || tckpt_chunk_may_exist(function);
}

/* A row of what the checkpoint holds and is not yet archived. */
static void
make_chunk(TckptChunk *chunk, const pg_uuid_t *step,
		   const TckptHistory *present, const TckptPosition *position)
{
	memset(chunk, 0, sizeof(*chunk));
	chunk->step = *step;
	chunk->generation = position->generation;
	chunk->first = Max(position->archived,
					   present->sequence - tckpt_history_length(present)) + 1;
	chunk->last = present->sequence;
	chunk->last_at = entry_time(present, chunk->last);
	chunk->archived_at = GetCurrentTimestamp();
	chunk->entries = JsonbPGetDatum(tckpt_history_since(present, chunk->first));
}

/*
 * Archives what a write takes from the stored checkpoint "old", if that is
 * wanted and was not done before: its entries up to the number "cut".  The
 * checkpoint that comes next has the time "next_at"; 0 if none does.
 */
void
tckpt_archive_cut(Oid function, const pg_uuid_t *step,
				  const TckptDocument *old, int64 cut, TimestampTz next_at)
{
	TckptHistory present;
	TckptPosition position;
	TckptChunk	newest;
	TckptChunk	chunk;
	TimestampTz own_at;

	if (!tckpt_archive_history)
		return;
	tckpt_history_read_present(old, &present);
	cut = Min(cut, present.sequence);
	if (cut <= present.sequence - tckpt_history_length(&present))
		return;
	/* so where a step has no row yet, there is something to archive */
	Assert(cut > 0);

	/*
	 * after an edit that leaves no entry a checkpoint is known by its own
	 * time
	 */
	own_at = 0;
	if (cut == present.sequence && next_at == 0)
		(void) tckpt_document_time(old, &own_at);

	position = find_position(function, step, &present, &newest);
	if (position.archived < cut)
	{
		make_chunk(&chunk, step, &present, &position);
		chunk.next_at = next_at;
		if (own_at != 0)
			chunk.last_at = own_at;
		write_chunk(function, &chunk, &position, &newest);
	}
	else if (position.archived == cut && own_at != 0)
		correct_last(function, &newest, own_at);
	else if (position.archived == cut)
		correct_next(function, &newest,
					 cut == present.sequence ? next_at : entry_time(&present, cut + 1));
}

/*
 * A step without a checkpoint gets its first one: what was cleared is its own.
 * If that one is not stored after all, the next first one comes here, too.
 */
void
tckpt_archive_begin(Oid function, const pg_uuid_t *step, TimestampTz at)
{
	TckptChunk	newest;

	if (tckpt_archive_history && find_newest(function, step, &newest) &&
		is_open(&newest))
	{
		newest.next_at = at;
		tckpt_chunk_update(function, &newest);
	}
}

/*
 * A row is about to get a key that no row has: what was cleared under it was
 * another's, unless the checkpoint that it brings goes on from there.  That is
 * so whether or not the row is stored in the end, and whether or not anything is
 * archived now.
 */
void
tckpt_archive_close(Oid function, const pg_uuid_t *step,
					const TckptDocument *doc)
{
	TckptHistory present;
	TckptChunk	newest;

	if (!find_newest(function, step, &newest) || !is_open(&newest))
		return;
	tckpt_history_read_present(doc, &present);
	if (tckpt_history_length(&present) == 0 ||
		!tckpt_chunk_position(&newest, &present).goes_on)
	{
		newest.next_at = NOTHING_NEXT;
		tckpt_chunk_update(function, &newest);
	}
}

/*
 * Archives a checkpoint that is about to be cleared, if that is wanted: the
 * rest of its history, its results, when, and by whom.
 */
void
tckpt_archive_clear(Oid function, const pg_uuid_t *step,
					const TckptDocument *old)
{
	TckptHistory present;
	TckptPosition position;
	TckptChunk	newest;
	TckptChunk	chunk;

	if (!tckpt_archive_history)
		return;

	tckpt_history_read_present(old, &present);
	position = find_position(function, step, &present, &newest);
	make_chunk(&chunk, step, &present, &position);
	chunk.cleared_by = GetUserNameFromId(GetSessionUserId(), true);
	if (chunk.cleared_by == NULL)
		chunk.cleared_by = psprintf("%u", GetSessionUserId());
	chunk.has_results = !tckpt_value_is_null(&old->accumulated_results);
	if (chunk.has_results)
		chunk.results = JsonbPGetDatum(tckpt_value_to_jsonb(&old->accumulated_results));
	write_chunk(function, &chunk, &position, &newest);
}

/* The archived entry with this sequence, of the generation of "present". */
bool
tckpt_archive_entry(Oid function, const pg_uuid_t *step,
					const TckptHistory *present, int64 sequence,
					TckptDocument *entry)
{
	TckptTrail *trail = tckpt_trail_begin(function, step, GetLatestSnapshot(),
										  BackwardScanDirection);
	const TckptChunk *chunk = tckpt_trail_next(trail);
	TckptPosition position = {0};
	bool		found = false;

	if (chunk != NULL)
		position = tckpt_chunk_position(chunk, present);
	if (position.goes_on)
		while (chunk != NULL && chunk->generation == position.generation &&
			   chunk->first > sequence)
			chunk = tckpt_trail_next(trail);
	if (position.goes_on && chunk != NULL &&
		chunk->generation == position.generation && chunk->last >= sequence)
	{
		TckptHistory history;

		tckpt_chunk_history(chunk, &history);
		found = tckpt_history_entry(&history, sequence, entry);
	}
	tckpt_trail_end(trail);
	return found;
}
