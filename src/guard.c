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
#include "dispatch.h"
#include "guard.h"
#include "guc.h"
#include "rules.h"
#include "stats.h"
#include "tasker_checkpoint.h"

/* A stored time further ahead of the clock than this is not believed */
#define MAX_CLOCK_LEAD	(5 * SECS_PER_MINUTE * USECS_PER_SEC)

/* A jsonb of more bytes is no JSON null, whatever its header */
#define JSON_NULL_SIZE	(VARHDRSZ + sizeof(uint32) + sizeof(JEntry))

/* The UPDATE that a function of ours is executing; NULL if none is */
static TckptCall *current_call = NULL;

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

/* The announced call, if this row's UPDATE is the one that it announced. */
static TckptCall *
matching_call(Relation rel, const pg_uuid_t *step)
{
	if (current_call == NULL || current_call->guarded || step == NULL)
		return NULL;
	if (RelationGetRelid(rel) != current_call->relid &&
		!rel->rd_rel->relispartition)
		return NULL;
	if (memcmp(step, &current_call->step, sizeof(pg_uuid_t)) != 0)
		return NULL;
	return current_call;
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

/* The time of a new checkpoint, which never runs behind the stored one. */
static TimestampTz
checkpoint_time(const TckptDocument *old)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz stored;

	if (tckpt_value_to_timestamp(&old->timestamp, &stored) &&
		stored >= now && stored - now <= MAX_CLOCK_LEAD)
		return stored + 1;
	return now;
}

/* Shortens a history; what it loses is counted, and archived. */
static void
cut_history(Oid guard, const pg_uuid_t *step, TckptHistory *history,
			int64 entries, int64 size)
{
	TckptHistory before = *history;

	tckpt_history_cut(history, entries, size);
	tckpt_stats_count(TCKPT_TRUNCATED_ENTRIES,
					  tckpt_history_length(&before) - tckpt_history_length(history));
	if (step != NULL)
		tckpt_archive_cut(guard, step, &before, history);
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

/* A new checkpoint, on top of what "old" holds. */
static Jsonb *
new_checkpoint(Oid guard, const pg_uuid_t *step, TckptDocument *doc,
			   const TckptDocument *old, bool insert, TckptCall *call)
{
	TckptHistory history;
	Jsonb	   *checkpoint;
	int64		items;

	items = tckpt_require_keys(step, doc);
	tckpt_check_cursor(step, doc, insert);
	tckpt_check_results(step, doc, old, insert);
	if (items_must_not_fall(call))
		tckpt_check_items(step, items, old);

	doc->timestamp = tckpt_value_of_timestamp(checkpoint_time(old));
	tckpt_history_read(old, &history);
	tckpt_history_append(&history, doc);
	cut_history(guard, step, &history, tckpt_history_limit, tckpt_history_size);

	if (call != NULL)
	{
		call->guarded = true;
		call->sequence = history.sequence;
	}
	checkpoint = tckpt_document_compose(doc, &history);
	log_checkpoint(step, items, &history, checkpoint);
	return checkpoint;
}

/*
 * An edit, which leaves cursor, items, results and time alone.  It can shorten
 * the stored history by its oldest entries, but neither change nor add any.
 */
static Jsonb *
edit_checkpoint(Oid guard, const pg_uuid_t *step, const TckptDocument *doc,
				const TckptDocument *old)
{
	TckptHistory history;

	(void) tckpt_require_keys(step, doc);
	tckpt_require_array(step, doc);
	if (doc->extra_size > old->extra_size)
		tckpt_check_results(step, doc, old, false);

	tckpt_history_read(old, &history);
	if (doc->history.data != NULL)
		cut_history(guard, step, &history,
					JsonContainerSize((const JsonbContainer *) doc->history.data),
					-1);
	return tckpt_document_compose(doc, &history);
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
		tckpt_value_equal(&doc->timestamp, &old->timestamp) &&
		tckpt_value_equal(&doc->cursor, &old->cursor) &&
		tckpt_value_equal(&doc->items_processed, &old->items_processed);
}

/*
 * What an UPDATE stores, NULL if it changes nothing.  "old" is NULL if there
 * was no checkpoint.
 */
static Jsonb *
guard_update(Oid guard, const pg_uuid_t *step, const Jsonb *new,
			 const Jsonb *old, TckptCall *call)
{
	TckptDocument doc;
	TckptDocument olddoc = {0};

	if (call == NULL && old != NULL &&
		same_stored(JsonbPGetDatum(new), JsonbPGetDatum(old)))
		return NULL;

	tckpt_require_object(step, tckpt_document_read(new, &doc));
	if (old != NULL)
		(void) tckpt_document_read(old, &olddoc);

	if (call == NULL && is_edit(&doc, &olddoc))
		return edit_checkpoint(guard, step, &doc, &olddoc);
	if (call == NULL)
		tckpt_dispatch_require_no_claim(step);
	return new_checkpoint(guard, step, &doc, &olddoc, false, call);
}

/*
 * What an INSERT stores.  A document that has a history already was a
 * checkpoint elsewhere, in a dump or another partition: NULL, it stays as it
 * is.
 */
static Jsonb *
guard_insert(Oid guard, const pg_uuid_t *step, const Jsonb *new)
{
	TckptDocument doc;
	TckptDocument none = {0};

	tckpt_require_object(step, tckpt_document_read(new, &doc));
	(void) tckpt_require_keys(step, &doc);
	tckpt_require_array(step, &doc);

	if (doc.history_truncated.data == NULL &&
		(doc.history.data == NULL ||
		 JsonContainerSize((const JsonbContainer *) doc.history.data) == 0))
		return new_checkpoint(guard, step, &doc, &none, true, NULL);

	tckpt_require_truncated(step, &doc);
	tckpt_check_cursor(step, &doc, true);
	tckpt_check_results(step, &doc, &doc, true);
	return NULL;
}

/* A step that is done takes no more checkpoints from our functions. */
static void
check_unprocessed(const TckptCall *call, Relation rel, HeapTuple row)
{
	AttrNumber	attno = call->processed;
	bool		isnull;
	Datum		processed;

	/* a partition may number its columns otherwise */
	if (attno != InvalidAttrNumber && RelationGetRelid(rel) != call->relid)
		attno = get_attnum(RelationGetRelid(rel), "processed");
	if (attno == InvalidAttrNumber)
		return;

	processed = heap_getattr(row, attno, RelationGetDescr(rel), &isnull);
	tckpt_require_unprocessed(&call->step, !isnull && DatumGetBool(processed));
}

/* For a step whose checkpoint is about to be removed. */
static void
archive_cleared(Oid guard, const pg_uuid_t *step, const Jsonb *old)
{
	TckptDocument doc;

	if (step != NULL && tckpt_document_read(old, &doc))
		tckpt_archive_clear(guard, step, &doc);
}

/* The row with another checkpoint; NULL clears it. */
static HeapTuple
with_checkpoint(HeapTuple row, TupleDesc tupdesc, int attno, Jsonb *checkpoint)
{
	Datum		value = JsonbPGetDatum(checkpoint);
	bool		isnull = checkpoint == NULL;

	return heap_modify_tuple_by_cols(row, tupdesc, 1, &attno, &value, &isnull);
}

/* A step's key, NULL if the row has none yet. */
static const pg_uuid_t *
row_key(HeapTuple row, TupleDesc tupdesc, const Trigger *trigger)
{
	bool		isnull;
	Datum		key = heap_getattr(row, trigger->tgattr[0], tupdesc, &isnull);

	return isnull ? NULL : DatumGetUUIDP(key);
}

static void
require_same_key(FunctionCallInfo fcinfo, const pg_uuid_t *old,
				 const pg_uuid_t *new)
{
	if (old != NULL &&
		(new == NULL || memcmp(old, new, sizeof(pg_uuid_t)) != 0))
		tckpt_dispatch_require_no_event(fcinfo->flinfo->fn_oid, old);
}

/*
 * The row to be stored, NULL if none is.  "old" is NULL for an INSERT.
 */
static HeapTuple
guard_row(FunctionCallInfo fcinfo, HeapTuple old, HeapTuple new)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Oid			guard = fcinfo->flinfo->fn_oid;
	Relation	rel = trigdata->tg_relation;
	const Trigger *trigger = trigdata->tg_trigger;
	TupleDesc	tupdesc = RelationGetDescr(rel);
	int			attno = trigger->tgattr[1];
	TckptCall  *call = NULL;
	const pg_uuid_t *step;
	Jsonb	   *checkpoint;
	Datum		newvalue;
	Datum		oldvalue = (Datum) 0;
	bool		isnull;
	bool		oldnull = true;
	bool		same;

	step = row_key(old != NULL ? old : new, tupdesc, trigger);
	if (old != NULL)
	{
		oldvalue = heap_getattr(old, attno, tupdesc, &oldnull);
		require_same_key(fcinfo, step, row_key(new, tupdesc, trigger));
		call = matching_call(rel, step);
	}
	if (call != NULL)
	{
		if (!tckpt_dispatch_admit(call))
		{
			if (call->replayed)
				(void) tckpt_dispatch_record(call);
			call->guarded = true;
			return NULL;
		}
		check_unprocessed(call, rel, old);
	}

	newvalue = heap_getattr(new, attno, tupdesc, &isnull);
	if (isnull)
	{
		if (!oldnull)
			archive_cleared(guard, step, DatumGetJsonbP(oldvalue));
		return new;
	}
	same = call == NULL && !oldnull && same_stored(newvalue, oldvalue);
	if (same && VARSIZE_ANY(DatumGetPointer(newvalue)) > JSON_NULL_SIZE)
		return new;

	checkpoint = DatumGetJsonbP(newvalue);
	if (tckpt_is_json_null(checkpoint))
	{
		if (!oldnull)
			archive_cleared(guard, step, DatumGetJsonbP(oldvalue));
		return with_checkpoint(new, tupdesc, attno, NULL);
	}
	if (same)
		return new;

	if (old != NULL)
		checkpoint = guard_update(guard, step, checkpoint,
								  oldnull ? NULL : DatumGetJsonbP(oldvalue),
								  call);
	else
		checkpoint = guard_insert(guard, step, checkpoint);
	if (checkpoint == NULL)
		return new;
	if (call != NULL && !tckpt_dispatch_record(call))
		return NULL;
	return with_checkpoint(new, tupdesc, attno, checkpoint);
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_guard);
/*
 * The guard.  For our own functions raises TC002 and, on a processed step,
 * 55000; then, for every writer, 23514 for what is no checkpoint, 54000 and
 * TC001 as the settings say, and 55000 if a dispatched step changes its key.
 */
Datum
tasker_checkpoint_guard(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	HeapTuple	old = NULL;
	HeapTuple	new;

	check_protocol(fcinfo);

	new = trigdata->tg_trigtuple;
	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
	{
		old = new;
		new = trigdata->tg_newtuple;
	}
	return PointerGetDatum(guard_row(fcinfo, old, new));
}
