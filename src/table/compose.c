/*-------------------------------------------------------------------------
 *
 * compose.c
 *	  The checkpoint that a write stores, composed from what was sent and what
 *	  the row holds.
 *
 * History comes from OLD, and never from what was sent.  What it loses is
 * archived here, as long as it is stored.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "archive/archive.h"
#include "counters.h"
#include "document/build.h"
#include "document/readable.h"
#include "guc.h"
#include "table/compose.h"
#include "table/rules.h"
#include "tasker_checkpoint.h"

/* A time further ahead of the clock than this is not believed */
#define MAX_CLOCK_LEAD	(5 * SECS_PER_MINUTE * USECS_PER_SEC)

bool
tckpt_is_believed(TimestampTz at, TimestampTz now)
{
	return at <= now || at - now <= MAX_CLOCK_LEAD;
}

/* The time of a new checkpoint, which never runs behind the stored one. */
static TimestampTz
checkpoint_time(const TckptDocument *old)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz stored;

	if (tckpt_document_time(old, &stored) &&
		stored >= now && tckpt_is_believed(stored, now))
		return stored + 1;
	return now;
}

/* Shortens a history; what it loses is counted. */
static void
cut_history(TckptHistory *history, int64 entries, int64 size)
{
	uint32		length = tckpt_history_length(history);

	tckpt_history_cut(history, entries, size);
	tckpt_stats_count(TCKPT_TRUNCATED_ENTRIES,
					  length - tckpt_history_length(history));
}

/*
 * Archives what an UPDATE takes from the stored checkpoint, whose new history
 * this is; "at" is the time of a new checkpoint, 0 if there is none.
 */
static void
archive_cut(const TckptWrite *write, const TckptHistory *history, TimestampTz at)
{
	if (write->old == NULL || write->step == NULL || !tckpt_write_is_attached(write))
		return;
	if (write->has_olddoc)
		tckpt_archive_cut(write->guard, write->step, &write->olddoc,
						  history->sequence - tckpt_history_length(history), at);
	else
		tckpt_archive_begin(write->guard, write->step, at);
}

static bool
items_must_not_fall(const TckptWrite *write)
{
	if (write->own != NULL && write->own->request->kind == TCKPT_REWIND)
		return false;
	return tckpt_require_monotonic_items == TCKPT_MONOTONIC_ALL ||
		(tckpt_require_monotonic_items == TCKPT_MONOTONIC_FUNCTIONS &&
		 write->own != NULL);
}

/*
 * One line for those who follow the steps in the server's log: figures only,
 * and not the statement, which has cursor and results.
 */
static void
log_checkpoint(const pg_uuid_t *step, int64 items, const TckptHistory *history,
			   const Jsonb *checkpoint)
{
	if (message_level_is_interesting(DEBUG1))
		ereport(DEBUG1,
				(errmsg_internal("checkpoint step=%s items=" INT64_FORMAT " sequence=" INT64_FORMAT " history=%u bytes=%u",
								 tckpt_step_name(step), items, history->sequence,
								 tckpt_history_length(history),
								 (unsigned) VARSIZE(checkpoint)),
				 errhidestmt(true), errhidecontext(true)));
}

/* Whether a new checkpoint gets the step on: not if it says what the old did. */
bool
tckpt_has_progressed(const TckptDocument *doc, const TckptDocument *old)
{
	return !(tckpt_value_equal(&doc->cursor, &old->cursor) &&
			 tckpt_value_equal(&doc->items_processed, &old->items_processed));
}

/*
 * A new checkpoint, on top of what the row holds; the document is completed.
 * Raises 23514, 54000 and TC001.
 */
Jsonb *
tckpt_compose_new(const TckptWrite *write, TckptDocument *doc,
				  TckptComposed *composed)
{
	bool		insert = write->old == NULL;
	TimestampTz at;
	TckptHistory history;
	Jsonb	   *checkpoint;
	int64		items;

	items = tckpt_require_keys(write->step, doc);
	tckpt_check_readable(write->step, doc, NULL, insert);
	tckpt_check_cursor(write->step, doc, insert);
	tckpt_check_results(write->step, doc, &write->olddoc, insert);
	if (items_must_not_fall(write))
		tckpt_check_items(write->step, items, &write->olddoc);

	at = checkpoint_time(&write->olddoc);
	doc->timestamp = tckpt_value_of_timestamp(at);
	tckpt_history_read(&write->olddoc, &history);
	tckpt_history_cut_unreadable(&history);
	tckpt_history_append(&history, doc);
	cut_history(&history, tckpt_history_limit, tckpt_history_size);
	archive_cut(write, &history, at);

	composed->sequence = history.sequence;
	composed->checkpointed_at = at;
	composed->progressed = tckpt_has_progressed(doc, &write->olddoc);
	checkpoint = tckpt_document_compose(doc, &history);
	log_checkpoint(write->step, items, &history, checkpoint);
	return checkpoint;
}

/*
 * An edit, which leaves cursor, items, results and time alone.  It can shorten
 * the stored history by its oldest entries, but neither change nor add any.
 * Raises 23514 and 54000.
 */
Jsonb *
tckpt_compose_edit(const TckptWrite *write, const TckptDocument *doc)
{
	TckptDocument edited = *doc;
	TckptHistory history;

	(void) tckpt_require_keys(write->step, doc);
	tckpt_require_history(write->step, doc, &write->olddoc);
	tckpt_check_readable(write->step, doc, &write->olddoc, false);
	if (doc->extra_size > write->olddoc.extra_size)
		tckpt_check_results(write->step, doc, &write->olddoc, false);

	tckpt_history_read(&write->olddoc, &history);
	if (tckpt_value_is_array(&doc->history))
		cut_history(&history,
					JsonContainerSize((const JsonbContainer *) doc->history.data),
					-1);
	archive_cut(write, &history, 0);
	edited.timestamp = write->olddoc.timestamp;
	return tckpt_document_compose(&edited, &history);
}
