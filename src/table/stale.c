/*-------------------------------------------------------------------------
 *
 * stale.c
 *	  Whether a document that is sent was stored before.
 *
 * Clients that write all columns of a row back send the checkpoint that they
 * have read: the present one, which is an edit that changes nothing, or an
 * earlier one, which must not undo what was stored meanwhile.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/timestamp.h"

#include "document/history.h"
#include "table/compose.h"
#include "table/stale.h"
#include "tasker_checkpoint.h"

/* What the INSERT half of a statement has composed last; see is_fresh() */
static struct
{
	TimestampTz statement;
	TimestampTz timestamp;
	pg_uuid_t	step;
}			inserted;

/*
 * Remembers a new checkpoint that an INSERT has composed, for the UPDATE half of
 * its statement.  What comes next is another write.
 */
void
tckpt_stale_note(const TckptWrite *write, TimestampTz at)
{
	inserted.statement = 0;
	if (write->old == NULL && write->step != NULL)
	{
		inserted.statement = GetCurrentStatementStartTimestamp();
		inserted.timestamp = at;
		inserted.step = *write->step;
	}
}

/* The time in a document that a client may have read and printed again. */
static bool
printed_time(const TckptDocument *doc, TimestampTz *at)
{
	return tckpt_value_to_printed_timestamp(&doc->timestamp, at);
}

/* Whether the time is the stored one, in whatever way a client prints it. */
static bool
has_time_of(const TckptDocument *doc, const TckptDocument *old)
{
	TimestampTz at;
	TimestampTz old_at;

	return tckpt_value_equal(&doc->timestamp, &old->timestamp) ||
		(printed_time(doc, &at) && printed_time(old, &old_at) && at == old_at);
}

/* Whether a write leaves cursor, items, results and time as they are stored. */
bool
tckpt_is_edit(const TckptDocument *doc, const TckptDocument *old)
{
	bool		same_results;

	/* absent results are null ones */
	same_results = tckpt_value_equal(&doc->accumulated_results,
									 &old->accumulated_results) ||
		(tckpt_value_is_null(&doc->accumulated_results) &&
		 tckpt_value_is_null(&old->accumulated_results));

	return doc->timestamp.data != NULL && same_results &&
		!tckpt_has_progressed(doc, old) && has_time_of(doc, old);
}

/* Whether an entry says what the document does, but for the time. */
static bool
is_entry_of(const TckptDocument *entry, const TckptDocument *doc)
{
	return tckpt_value_equal(&entry->cursor, &doc->cursor) &&
		(entry->items_processed.data == NULL ||
		 tckpt_value_equal(&entry->items_processed, &doc->items_processed));
}

/*
 * Whether a document has been a checkpoint once, as the guard composes it: its
 * newest entry is itself, or it has none any more and says so.
 */
static bool
was_composed(const TckptDocument *doc, TimestampTz at)
{
	TckptHistory history;
	TckptDocument newest;
	TimestampTz entry_at;
	int64		truncated;

	tckpt_history_read(doc, &history);
	if (tckpt_history_length(&history) == 0)
		return (tckpt_value_is_null(&doc->history) || tckpt_value_is_array(&doc->history)) &&
			tckpt_value_to_count(&doc->history_truncated, &truncated) &&
			truncated >= 1;

	return tckpt_history_entry(&history, history.sequence, &newest) &&
		is_entry_of(&newest, doc) &&
		printed_time(&newest, &entry_at) && at == entry_at;
}

/*
 * Whether a document of that time was made by this very statement: it is now(),
 * as Tasker's own may, or the INSERT half of an INSERT ... ON CONFLICT DO UPDATE
 * has composed it.
 */
static bool
is_fresh(const TckptWrite *write, TimestampTz at)
{
	TimestampTz statement = GetCurrentStatementStartTimestamp();

	if (at == GetCurrentTransactionStartTimestamp() || at == statement)
		return true;
	return inserted.statement == statement && inserted.timestamp == at &&
		write->step != NULL && tckpt_same_uuid(&inserted.step, write->step);
}

/*
 * Whether a history has this checkpoint, of which a client may have kept no
 * fractions of a second.
 */
static bool
has_checkpoint(const TckptHistory *history, const TckptDocument *doc,
			   TimestampTz at)
{
	int64		first = history->sequence - tckpt_history_length(history) + 1;

	for (int64 sequence = first; sequence <= history->sequence; sequence++)
	{
		TckptDocument entry;
		TimestampTz entry_at;

		if (tckpt_history_entry(history, sequence, &entry) &&
			tckpt_document_time(&entry, &entry_at) &&
			(at == entry_at ||
			 (is_entry_of(&entry, doc) && at / USECS_PER_SEC == entry_at / USECS_PER_SEC)))
			return true;
	}
	return false;
}

/* Whether all entries of a history are of that time or later. */
static bool
begins_at(const TckptHistory *history, TimestampTz at)
{
	int64		first = history->sequence - tckpt_history_length(history) + 1;

	for (int64 sequence = first; sequence <= history->sequence; sequence++)
	{
		TckptDocument entry;
		TimestampTz entry_at;

		if (tckpt_history_entry(history, sequence, &entry) &&
			tckpt_document_time(&entry, &entry_at) && entry_at < at)
			return false;
	}
	return true;
}

/*
 * Whether a composed document of that time is older than the stored one.  What
 * the stored history has is.  What was composed on top of an entry of it, and is
 * not there, is new, by whatever clock: writers compose like us, also at once.
 * Then a lower number decides, and else an earlier time, if it is not one that
 * the stored history goes back to: that would have the document.
 *
 * A history of the document alone may be that of a first checkpoint, or of a
 * writer who keeps none: its number says nothing where the times can be believed.
 */
static bool
is_older(const TckptWrite *write, const TckptDocument *doc, TimestampTz at)
{
	TimestampTz now = GetCurrentTimestamp();
	TckptHistory sent;
	TckptHistory stored;
	TckptDocument before;
	TimestampTz before_at;
	TimestampTz stored_at;
	bool		has_before;
	bool		has_time = tckpt_document_time(&write->olddoc, &stored_at);
	bool		is_alone;

	if (has_time && at == stored_at)
		return false;

	tckpt_history_read(doc, &sent);
	tckpt_history_read(&write->olddoc, &stored);
	if (has_checkpoint(&stored, doc, at))
		return true;
	has_before = tckpt_history_entry(&sent, sent.sequence - 1, &before);
	if (has_before && printed_time(&before, &before_at) &&
		has_checkpoint(&stored, &before, before_at))
		return false;

	has_time = has_time && tckpt_is_believed(stored_at, now);
	is_alone = has_time && tckpt_is_believed(at, now) &&
		tckpt_history_length(&sent) == 1 && sent.sequence == 1;
	if (sent.sequence < stored.sequence && !is_alone)
		return true;
	if (sent.sequence == stored.sequence + 1 && !has_before)
		return false;
	return has_time && at < stored_at && begins_at(&stored, at);
}

/*
 * Whether an earlier checkpoint of the step is written back, as a client does
 * that writes all columns of a row it read a while ago.
 */
bool
tckpt_is_stale(const TckptWrite *write, const TckptDocument *doc)
{
	TimestampTz at;

	/* without a time it was not composed, or is meant to be new */
	return write->has_olddoc && printed_time(doc, &at) &&
		was_composed(doc, at) && !is_fresh(write, at) &&
		is_older(write, doc, at);
}
