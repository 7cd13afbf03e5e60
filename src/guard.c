/*-------------------------------------------------------------------------
 *
 * guard.c
 *	  The trigger that owns the checkpoint column.
 *
 * BEFORE INSERT OR UPDATE OF key, checkpoint FOR EACH ROW.  By the time it
 * runs for an UPDATE the row is locked and OLD is its newest version, even if
 * the statement read an older one; so history comes from OLD and never from
 * what was sent.  The columns are those that the trigger names, by number:
 * they survive renames, dumps and partitions with another column order.
 *
 * A function of ours that updates a step announces it with
 * tckpt_guard_expect(), and learns there what came of it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "archive.h"
#include "attached.h"
#include "dispatch.h"
#include "guard.h"
#include "guc.h"
#include "readable.h"
#include "rules.h"
#include "stats.h"
#include "tasker_checkpoint.h"
#include "transaction.h"

/* A stored time further ahead of the clock than this is not believed */
#define MAX_CLOCK_LEAD	(5 * SECS_PER_MINUTE * USECS_PER_SEC)

/* A jsonb of more bytes is no JSON null, whatever its header */
#define JSON_NULL_SIZE	(VARHDRSZ + sizeof(uint32) + sizeof(JEntry))

/* One row's write */
typedef struct Write
{
	Oid			guard;			/* the trigger's function */
	Relation	rel;
	TupleDesc	tupdesc;
	const Trigger *trigger;
	int			attno;			/* of the checkpoint */
	const pg_uuid_t *step;		/* NULL if the row has no key yet */
	HeapTuple	old;			/* NULL for an INSERT */
	HeapTuple	new;
	Datum		oldvalue;		/* (Datum) 0: no checkpoint */
	Datum		newvalue;		/* (Datum) 0: NULL */
	TckptCall  *call;			/* NULL: a statement of others */
	bool		has_olddoc;		/* the stored checkpoint is an object */
	TckptDocument olddoc;		/* else empty */
} Write;

/* The UPDATE that a function of ours is executing; NULL if none is */
static TckptCall *current_call = NULL;

/* What the INSERT half of a statement has composed last; see is_fresh() */
static struct
{
	TimestampTz statement;
	TimestampTz timestamp;
	pg_uuid_t	step;
}			inserted;

/*
 * Announces an UPDATE, or its end.  Returns what was announced before, which
 * the caller must announce again in the end, also on error: a trigger of the
 * user's may call our functions while they run.
 */
TckptCall *
tckpt_guard_expect(TckptCall *call)
{
	TckptCall  *previous = current_call;

	current_call = call;
	return previous;
}

/*
 * Whether events and archive are those of this table.  On another the trigger
 * was made by hand: it composes, and leaves both alone.
 */
static bool
is_attached(const Write *write)
{
	return tckpt_attached_covers(write->guard, write->rel, write->trigger);
}

/* The announced call, if this row's UPDATE is the one that it announced. */
static TckptCall *
matching_call(const Write *write)
{
	if (current_call == NULL || current_call->guarded || write->step == NULL)
		return NULL;
	if (RelationGetRelid(write->rel) != current_call->relid &&
		!(write->rel->rd_rel->relispartition && is_attached(write)))
		return NULL;
	if (!tckpt_same_uuid(write->step, &current_call->step))
		return NULL;
	return current_call;
}

/* A step that is dispatched keeps its key. */
static void
require_same_key(const Write *write, const pg_uuid_t *new)
{
	if (write->step != NULL &&
		(new == NULL || !tckpt_same_uuid(write->step, new)) &&
		is_attached(write))
		tckpt_dispatch_require_no_event(write->guard, write->step);
}

static void
require_protocol(bool ok, const char *wanted)
{
	if (!ok)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called %s",
						TCKPT_GUARD_NAME, wanted),
				 errhint("Let tasker_checkpoint_attach() create the trigger.")));
}

static void
check_protocol(FunctionCallInfo fcinfo)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Trigger    *trigger;
	TupleDesc	tupdesc;

	require_protocol(CALLED_AS_TRIGGER(fcinfo), "as a trigger");
	require_protocol(TRIGGER_FIRED_FOR_ROW(trigdata->tg_event), "for each row");
	require_protocol(TRIGGER_FIRED_BEFORE(trigdata->tg_event), "before the event");
	require_protocol(TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) ||
					 TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event),
					 "for INSERT or UPDATE");

	trigger = trigdata->tg_trigger;
	tupdesc = RelationGetDescr(trigdata->tg_relation);
	require_protocol(trigger->tgnargs == 0, "without arguments");
	require_protocol(trigger->tgnattr == 2 &&
					 TupleDescAttr(tupdesc, trigger->tgattr[0] - 1)->atttypid == UUIDOID &&
					 TupleDescAttr(tupdesc, trigger->tgattr[1] - 1)->atttypid == JSONBOID,
					 "for UPDATE OF a uuid and a jsonb column");
}

/* Same bytes as they are, toasted or not. */
static bool
same_stored(Datum a, Datum b)
{
	Size		size = VARSIZE_ANY(DatumGetPointer(a));

	return size == VARSIZE_ANY(DatumGetPointer(b)) &&
		memcmp(DatumGetPointer(a), DatumGetPointer(b), size) == 0;
}

/* The time that a document holds; false if it can't be read. */
static bool
stored_time(const TckptDocument *doc, TimestampTz *at)
{
	return tckpt_value_to_timestamp(&doc->timestamp, at);
}

/* The time of a new checkpoint, which never runs behind the stored one. */
static TimestampTz
checkpoint_time(const TckptDocument *old)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz stored;

	if (stored_time(old, &stored) &&
		stored >= now && stored - now <= MAX_CLOCK_LEAD)
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
archive_cut(const Write *write, const TckptHistory *history, TimestampTz at)
{
	if (write->old == NULL || write->step == NULL || !is_attached(write))
		return;
	if (write->has_olddoc)
		tckpt_archive_cut(write->guard, write->step, &write->olddoc,
						  history->sequence - tckpt_history_length(history), at);
	else
		tckpt_archive_begin(write->guard, write->step, at);
}

static bool
items_must_not_fall(const TckptCall *call)
{
	if (call != NULL && call->kind == TCKPT_CALL_REWIND)
		return false;
	return tckpt_require_monotonic_items == TCKPT_MONOTONIC_ALL ||
		(tckpt_require_monotonic_items == TCKPT_MONOTONIC_FUNCTIONS &&
		 call != NULL);
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
static bool
has_progressed(const TckptDocument *doc, const TckptDocument *old)
{
	return !(tckpt_value_equal(&doc->cursor, &old->cursor) &&
			 tckpt_value_equal(&doc->items_processed, &old->items_processed));
}

/* A new checkpoint, on top of what the row holds. */
static Jsonb *
new_checkpoint(const Write *write, TckptDocument *doc)
{
	TckptCall  *call = write->call;
	bool		insert = write->old == NULL;
	TimestampTz at;
	TckptHistory history;
	Jsonb	   *checkpoint;
	int64		items;

	items = tckpt_require_keys(write->step, doc);
	tckpt_check_readable(write->step, doc, NULL, insert);
	tckpt_check_cursor(write->step, doc, insert);
	tckpt_check_results(write->step, doc, &write->olddoc, insert);
	if (items_must_not_fall(call))
		tckpt_check_items(write->step, items, &write->olddoc);

	at = checkpoint_time(&write->olddoc);
	doc->timestamp = tckpt_value_of_timestamp(at);
	tckpt_history_read(&write->olddoc, &history);
	tckpt_history_cut_unreadable(&history);
	tckpt_history_append(&history, doc);
	cut_history(&history, tckpt_history_limit, tckpt_history_size);
	archive_cut(write, &history, at);

	/* what comes next is another write */
	inserted.statement = 0;
	if (call != NULL)
	{
		call->guarded = true;
		call->sequence = history.sequence;
		call->checkpointed_at = at;
		call->progressed = has_progressed(doc, &write->olddoc);
		call->stored_in = RelationGetRelid(write->rel);
		call->hot_before = tckpt_stats_hot_updates(call->stored_in);
	}
	else if (insert && write->step != NULL)
	{
		inserted.statement = GetCurrentStatementStartTimestamp();
		inserted.timestamp = at;
		inserted.step = *write->step;
	}
	checkpoint = tckpt_document_compose(doc, &history);
	log_checkpoint(write->step, items, &history, checkpoint);
	return checkpoint;
}

/*
 * An edit, which leaves cursor, items, results and time alone.  It can shorten
 * the stored history by its oldest entries, but neither change nor add any.
 */
static Jsonb *
edit_checkpoint(const Write *write, const TckptDocument *doc)
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

static bool
is_edit(const TckptDocument *doc, const TckptDocument *old)
{
	bool		same_results;

	/* absent results are null ones */
	same_results = tckpt_value_equal(&doc->accumulated_results,
									 &old->accumulated_results) ||
		(tckpt_value_is_null(&doc->accumulated_results) &&
		 tckpt_value_is_null(&old->accumulated_results));

	return doc->timestamp.data != NULL && same_results &&
		!has_progressed(doc, old) && has_time_of(doc, old);
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
is_fresh(const Write *write, TimestampTz at)
{
	TimestampTz statement = GetCurrentStatementStartTimestamp();

	if (at == GetCurrentTransactionStartTimestamp() || at == statement)
		return true;
	return inserted.statement == statement && inserted.timestamp == at &&
		write->step != NULL && tckpt_same_uuid(&inserted.step, write->step);
}

/*
 * Whether a composed document of that time is older than the stored one.  As
 * long as the stored history goes back to that time it knows: an earlier
 * checkpoint has an entry, of which a client may have kept no fractions of a
 * second.  What has none there is new, by the clock of a writer who composes
 * like us.
 */
static bool
is_older(const Write *write, const TckptDocument *doc, TimestampTz at)
{
	TckptHistory sent;
	TckptHistory stored;
	TimestampTz stored_at;
	int64		first;
	bool		goes_back = false;

	tckpt_history_read(&write->olddoc, &stored);
	if (!stored_time(&write->olddoc, &stored_at))
	{
		tckpt_history_read(doc, &sent);
		return sent.sequence < stored.sequence;
	}
	if (at == stored_at)
		return false;

	first = stored.sequence - tckpt_history_length(&stored) + 1;
	for (int64 sequence = first; sequence <= stored.sequence; sequence++)
	{
		TckptDocument entry;
		TimestampTz entry_at;

		if (!tckpt_history_entry(&stored, sequence, &entry) ||
			!stored_time(&entry, &entry_at))
			continue;
		if (at == entry_at ||
			(is_entry_of(&entry, doc) && at / USECS_PER_SEC == entry_at / USECS_PER_SEC))
			return true;
		goes_back = goes_back || entry_at < at;
	}
	return at < stored_at && !goes_back;
}

/*
 * Whether an earlier checkpoint of the step is written back, as a client does
 * that writes all columns of a row it read a while ago.
 */
static bool
is_stale(const Write *write, const TckptDocument *doc)
{
	TimestampTz at;

	/* without a time it was not composed, or is meant to be new */
	return write->has_olddoc && printed_time(doc, &at) &&
		was_composed(doc, at) && !is_fresh(write, at) &&
		is_older(write, doc, at);
}

static void
warn_stale(const Write *write)
{
	tckpt_stats_count(TCKPT_STALE_WRITES, 1);
	if (!tckpt_transaction_first_warning())
		return;
	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 errmsg("an earlier checkpoint of step \"%s\" was not written back",
					tckpt_step_name(write->step)),
			 errdetail("The statement has a checkpoint that the step had before; the present one stays, other columns are stored."),
			 errhint("To go back call tasker_checkpoint_rewind(), or write the checkpoint without \"timestamp\".")));
}

/* The row with another checkpoint; (Datum) 0 is none. */
static HeapTuple
with_checkpoint(const Write *write, Datum checkpoint)
{
	int			attno = write->attno;
	bool		isnull = checkpoint == (Datum) 0;

	return heap_modify_tuple_by_cols(write->new, write->tupdesc, 1, &attno,
									 &checkpoint, &isnull);
}

/* What a statement stores that is an UPDATE. */
static HeapTuple
guard_update(const Write *write, const Jsonb *new)
{
	TckptDocument doc;

	tckpt_require_object(write->step, tckpt_document_read(new, &doc));
	if (write->call == NULL)
	{
		if (is_edit(&doc, &write->olddoc))
			return with_checkpoint(write, JsonbPGetDatum(edit_checkpoint(write, &doc)));
		if (is_stale(write, &doc))
		{
			warn_stale(write);
			return with_checkpoint(write, write->oldvalue);
		}
		if (is_attached(write))
			tckpt_dispatch_require_no_claim(write->step);
	}
	return with_checkpoint(write, JsonbPGetDatum(new_checkpoint(write, &doc)));
}

/*
 * What an INSERT stores.  A document that has a history already was a
 * checkpoint elsewhere, in a dump or another partition: it stays as it is.
 */
static HeapTuple
guard_insert(const Write *write, const Jsonb *new)
{
	TckptDocument doc;

	tckpt_require_object(write->step, tckpt_document_read(new, &doc));
	(void) tckpt_require_keys(write->step, &doc);
	tckpt_require_history(write->step, &doc, &write->olddoc);

	if (doc.history_truncated.data == NULL &&
		(doc.history.data == NULL ||
		 JsonContainerSize((const JsonbContainer *) doc.history.data) == 0))
		return with_checkpoint(write, JsonbPGetDatum(new_checkpoint(write, &doc)));

	tckpt_check_restored(write->step, &doc);
	tckpt_check_cursor(write->step, &doc, true);
	tckpt_check_results(write->step, &doc, &doc, true);
	return write->new;
}

/* A step that is done takes no more checkpoints from our functions. */
static void
check_unprocessed(const Write *write)
{
	const TckptCall *call = write->call;
	AttrNumber	attno = call->processed;
	bool		isnull;
	Datum		processed;

	/* a partition may number its columns otherwise */
	if (attno != InvalidAttrNumber && RelationGetRelid(write->rel) != call->relid)
		attno = get_attnum(RelationGetRelid(write->rel), "processed");
	if (attno <= 0 || attno > write->tupdesc->natts ||
		TupleDescAttr(write->tupdesc, attno - 1)->atttypid != BOOLOID)
		return;

	processed = heap_getattr(write->old, attno, write->tupdesc, &isnull);
	tckpt_require_unprocessed(&call->step, !isnull && DatumGetBool(processed));
}

/* Whether a checkpoint, or an entry of a history, is the one of a receipt. */
static bool
is_of_receipt(const TckptReceipt *receipt, int64 sequence,
			  const TckptDocument *doc)
{
	TimestampTz at;

	return sequence == receipt->sequence &&
		stored_time(doc, &at) && at == receipt->checkpointed_at;
}

static void
raise_stored_before(const TckptCall *call, const TckptReceipt *receipt)
{
	ereport(ERROR,
			(errcode(tckpt_refused(ERRCODE_TCKPT_STORED_BEFORE)),
			 errmsg("checkpoint of step \"%s\" was stored before",
					tckpt_step_name(&call->step)),
			 errdetail("It has the sequence " INT64_FORMAT ". Before this call the transaction has written what the first one may have written, too.",
					   receipt->sequence),
			 errhint("Roll back, then call tasker_checkpoint_load(): a sequence above that of your last receipt says that the reply was lost, and the step goes on from there.")));
}

/*
 * Whether a repeated call is answered by the receipt.  If not, it is a new
 * checkpoint: one that was cleared since, or that others have written upon, is
 * not the step's any more.  Raises TC003 if the first attempt's rows would be
 * there twice.
 */
static bool
is_answered(const Write *write)
{
	const TckptCall *call = write->call;
	const TckptReceipt *receipt = tckpt_dispatch_receipt(call);
	bool		is_present = true;

	/* a yield has handed the step on: what others make of it is theirs */
	if (call->kind == TCKPT_CALL_SAVE)
	{
		TckptHistory history;
		TckptDocument entry;

		tckpt_history_read(&write->olddoc, &history);
		is_present = is_of_receipt(receipt, history.sequence, &write->olddoc);

		/* what is cut from the history may have been there */
		if (!is_present &&
			receipt->sequence > history.sequence - tckpt_history_length(&history) &&
			!(tckpt_history_entry(&history, receipt->sequence, &entry) &&
			  is_of_receipt(receipt, receipt->sequence, &entry)))
			return false;
	}

	if (call->has_written &&
		!(is_present && tckpt_transaction_accepted(call->event_id, receipt->sequence)))
		raise_stored_before(call, receipt);
	return is_present;
}

/* Whether a call's write goes on; if not, the call has its answer. */
static bool
admit(const Write *write)
{
	TckptCall  *call = write->call;

	switch (tckpt_dispatch_admit(call))
	{
		case TCKPT_ADMITTED:
			return true;
		case TCKPT_REPEATED:
			if (!is_answered(write))
				return true;
			call->replayed = true;
			call->sequence = tckpt_dispatch_receipt(call)->sequence;
			(void) tckpt_dispatch_record(call);
			break;
		case TCKPT_SUPERSEDED:
			break;
	}
	call->guarded = true;
	return false;
}

/* A checkpoint is removed: the row to be stored. */
static HeapTuple
guard_clear(const Write *write)
{
	if (write->oldvalue != (Datum) 0 && write->step != NULL && is_attached(write))
	{
		if (write->call == NULL)
			tckpt_dispatch_require_unclaimed(write->guard, write->step);
		if (write->has_olddoc)
			tckpt_archive_clear(write->guard, write->step, &write->olddoc);
	}
	return write->newvalue == (Datum) 0 ? write->new : with_checkpoint(write, (Datum) 0);
}

/* A step's key, NULL if the row has none. */
static const pg_uuid_t *
row_key(HeapTuple row, TupleDesc tupdesc, const Trigger *trigger)
{
	bool		isnull;
	Datum		key = heap_getattr(row, trigger->tgattr[0], tupdesc, &isnull);

	return isnull ? NULL : DatumGetUUIDP(key);
}

static Datum
row_checkpoint(HeapTuple row, TupleDesc tupdesc, const Trigger *trigger)
{
	bool		isnull;
	Datum		value = heap_getattr(row, trigger->tgattr[1], tupdesc, &isnull);

	return isnull ? (Datum) 0 : value;
}

/* Takes the stored checkpoint apart, for those writes that depend on it. */
static void
read_old(Write *write)
{
	const Jsonb *old;

	if (write->oldvalue == (Datum) 0)
		return;
	old = DatumGetJsonbP(write->oldvalue);
	if (tckpt_is_json_null(old))
		write->oldvalue = (Datum) 0;
	else
		write->has_olddoc = tckpt_document_read(old, &write->olddoc);
}

/* The row to be stored, NULL if none is. */
static HeapTuple
guard_row(Write *write)
{
	bool		is_same;
	const Jsonb *new = NULL;
	HeapTuple	row;

	is_same = write->call == NULL && write->oldvalue != (Datum) 0 &&
		write->newvalue != (Datum) 0 &&
		same_stored(write->newvalue, write->oldvalue);
	if (is_same && VARSIZE_ANY(DatumGetPointer(write->newvalue)) > JSON_NULL_SIZE)
		return write->new;

	read_old(write);
	if (write->call != NULL && write->call->kind != TCKPT_CALL_CLEAR)
	{
		if (!admit(write))
			return NULL;
		check_unprocessed(write);
	}

	if (write->newvalue != (Datum) 0)
		new = DatumGetJsonbP(write->newvalue);
	if (new == NULL || tckpt_is_json_null(new))
		return guard_clear(write);
	if (is_same)
		return write->new;
	if (write->old == NULL)
		return guard_insert(write, new);

	row = guard_update(write, new);
	if (write->call != NULL && !tckpt_dispatch_record(write->call))
		return NULL;
	return row;
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_guard);
/*
 * The guard.  For our own functions raises TC002, TC003 and, on a processed
 * step, 55000; then, for every writer, 23514 for what is no checkpoint, 54000
 * and TC001 as the settings say, and 55000 if a dispatched step changes its key.
 */
Datum
tasker_checkpoint_guard(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	const Trigger *trigger;
	Write		write = {.guard = fcinfo->flinfo->fn_oid};

	check_protocol(fcinfo);

	trigger = trigdata->tg_trigger;
	write.trigger = trigger;
	write.rel = trigdata->tg_relation;
	write.tupdesc = RelationGetDescr(write.rel);
	write.attno = trigger->tgattr[1];
	write.new = trigdata->tg_trigtuple;
	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
	{
		write.old = write.new;
		write.new = trigdata->tg_newtuple;
		write.oldvalue = row_checkpoint(write.old, write.tupdesc, trigger);
	}
	write.newvalue = row_checkpoint(write.new, write.tupdesc, trigger);
	write.step = row_key(write.old != NULL ? write.old : write.new,
						 write.tupdesc, trigger);
	if (write.old != NULL)
	{
		require_same_key(&write, row_key(write.new, write.tupdesc, trigger));
		write.call = matching_call(&write);
	}
	return PointerGetDatum(guard_row(&write));
}
