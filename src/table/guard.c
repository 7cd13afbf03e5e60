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
 * A function of ours that updates a step announces its request with
 * tckpt_guard_expect(), and finds the outcome there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "archive/archive.h"
#include "counters.h"
#include "dispatch/protocol.h"
#include "dispatch/transaction.h"
#include "document/compress.h"
#include "table/compose.h"
#include "table/generated.h"
#include "table/guard.h"
#include "table/key.h"
#include "table/replay.h"
#include "table/rules.h"
#include "table/stale.h"
#include "tasker_checkpoint.h"

/* A jsonb of more bytes is no JSON null, whatever its header */
#define JSON_NULL_SIZE	(VARHDRSZ + sizeof(uint32) + sizeof(JEntry))

/* The UPDATE that a function of ours is executing; NULL if none is */
static const TckptAnnouncement *announced = NULL;

/*
 * Announces an UPDATE, or its end.  Returns what was announced before, which
 * the caller must announce again in the end, also on error: a trigger of the
 * user's may call our functions while they run.
 */
const TckptAnnouncement *
tckpt_guard_expect(const TckptAnnouncement *announcement)
{
	const TckptAnnouncement *previous = announced;

	announced = announcement;
	return previous;
}

/* Whether this row's UPDATE is the one that is announced. */
static bool
is_announced(const TckptWrite *write)
{
	if (announced == NULL || announced->outcome->guarded || write->step == NULL)
		return false;
	if (RelationGetRelid(write->rel) != announced->relid &&
		!(write->rel->rd_rel->relispartition && tckpt_write_is_attached(write)))
		return false;
	return tckpt_same_uuid(write->step, &announced->request->step);
}

/* The checkpoint that is sent; NULL if there is to be none. */
static const Jsonb *
sent_checkpoint(const TckptWrite *write)
{
	const Jsonb *new;

	if (write->newvalue == (Datum) 0)
		return NULL;
	new = DatumGetJsonbP(write->newvalue);
	return tckpt_is_json_null(new) ? NULL : new;
}

/*
 * A row gets a key.  Where no row has it, what was archived of one that had it
 * and is gone has nothing to do with this one.  This waits for whoever is at a
 * row with the key, as the INSERT will; so it comes after all that may refuse.
 */
static void
begin_key(const TckptWrite *write, const pg_uuid_t *key)
{
	TckptDocument doc = {0};
	const Jsonb *new;

	if (key == NULL || !tckpt_write_is_attached(write) ||
		!tckpt_archive_is_used(write->guard) ||
		tckpt_key_is_taken(write->rel, write->trigger->tgattr[0], key))
		return;
	new = sent_checkpoint(write);
	if (new != NULL)
		(void) tckpt_document_read(new, &doc);
	tckpt_archive_close(write->guard, key, &doc);
}

/* A step that is dispatched keeps its key. */
static void
leave_key(const TckptWrite *write)
{
	if (write->step != NULL && tckpt_write_is_attached(write))
		tckpt_dispatch_require_no_event(write->guard, write->step);
}

static void
require_protocol(bool ok, const char *wanted)
{
	tckpt_require_protocol(ok, TCKPT_GUARD_NAME, wanted);
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

static void
warn_stale(const TckptWrite *write)
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

/* A new checkpoint as it is stored. */
static Datum
as_stored(const TckptWrite *write, const Jsonb *checkpoint)
{
	return tckpt_compress(JsonbPGetDatum(checkpoint),
						  TupleDescAttr(write->tupdesc, write->attno - 1));
}

/* The row with another checkpoint; (Datum) 0 is none. */
static HeapTuple
with_checkpoint(const TckptWrite *write, Datum checkpoint)
{
	int			attno = write->attno;
	bool		isnull = checkpoint == (Datum) 0;

	return heap_modify_tuple_by_cols(write->new, write->tupdesc, 1, &attno,
									 &checkpoint, &isnull);
}

/* What a statement of others stores that is an UPDATE. */
static HeapTuple
guard_update(const TckptWrite *write, const Jsonb *new)
{
	TckptDocument doc;
	TckptComposed composed;
	Jsonb	   *checkpoint;

	tckpt_require_object(write->step, tckpt_document_read(new, &doc));
	if (tckpt_is_edit(&doc, &write->olddoc))
		return with_checkpoint(write, as_stored(write, tckpt_compose_edit(write, &doc)));
	if (tckpt_is_stale(write, &doc))
	{
		warn_stale(write);
		return with_checkpoint(write, write->oldvalue);
	}
	if (tckpt_write_is_attached(write))
		tckpt_dispatch_require_no_claim(write->step);

	checkpoint = tckpt_compose_new(write, &doc, &composed);
	tckpt_stale_note(write, composed.checkpointed_at);
	return with_checkpoint(write, as_stored(write, checkpoint));
}

/* What a function of ours stores; NULL if it was superseded after all. */
static HeapTuple
guard_own(const TckptWrite *write, const Jsonb *new)
{
	const TckptRequest *request = write->own->request;
	TckptOutcome *outcome = write->own->outcome;
	TckptDocument doc;
	TckptComposed composed;
	Jsonb	   *checkpoint;

	tckpt_require_object(write->step, tckpt_document_read(new, &doc));
	checkpoint = tckpt_compose_new(write, &doc, &composed);
	tckpt_stale_note(write, composed.checkpointed_at);

	outcome->guarded = true;
	outcome->sequence = composed.sequence;
	outcome->stored_in = RelationGetRelid(write->rel);
	outcome->hot_before = tckpt_stats_hot_updates(outcome->stored_in);
	if (!tckpt_dispatch_record(request, &composed, &outcome->dispatch))
	{
		outcome->verdict = TCKPT_SUPERSEDED;
		return NULL;
	}
	return with_checkpoint(write, as_stored(write, checkpoint));
}

/*
 * What an INSERT stores.  A document that has a history already was a
 * checkpoint elsewhere, in a dump or another partition: it stays as it is.
 */
static HeapTuple
guard_insert(const TckptWrite *write, const Jsonb *new)
{
	TckptDocument doc;

	tckpt_require_object(write->step, tckpt_document_read(new, &doc));
	(void) tckpt_require_keys(write->step, &doc);
	tckpt_require_history(write->step, &doc, &write->olddoc);

	if (doc.history_truncated.data == NULL &&
		(doc.history.data == NULL ||
		 JsonContainerSize((const JsonbContainer *) doc.history.data) == 0))
	{
		TckptComposed composed;
		Jsonb	   *checkpoint = tckpt_compose_new(write, &doc, &composed);

		tckpt_stale_note(write, composed.checkpointed_at);
		return with_checkpoint(write, as_stored(write, checkpoint));
	}

	tckpt_check_restored(write->step, &doc);
	tckpt_check_cursor(write->step, &doc, true);
	tckpt_check_results(write->step, &doc, &doc, true);
	return write->new;
}

/* A step that is done takes no more checkpoints from our functions. */
static void
check_unprocessed(const TckptWrite *write)
{
	AttrNumber	attno = write->own->processed;
	bool		isnull;
	Datum		processed;

	/* a partition may number its columns otherwise */
	if (attno != InvalidAttrNumber && RelationGetRelid(write->rel) != write->own->relid)
		attno = get_attnum(RelationGetRelid(write->rel), "processed");
	if (attno <= 0 || attno > write->tupdesc->natts ||
		TupleDescAttr(write->tupdesc, attno - 1)->atttypid != BOOLOID)
		return;

	processed = tckpt_stored_value(write->rel, attno, write->old, &isnull);
	tckpt_require_unprocessed(write->step, !isnull && DatumGetBool(processed));
}

/*
 * Whether the write of a function of ours goes on; if not, it has its answer.
 * Raises as the protocol does, and 55000 on a processed step.
 */
static bool
admit(const TckptWrite *write)
{
	const TckptRequest *request = write->own->request;
	TckptOutcome *outcome = write->own->outcome;
	const TckptReceipt *receipt = tckpt_dispatch_receipt(request, &outcome->dispatch);

	outcome->verdict = tckpt_dispatch_admit(request, &outcome->dispatch);
	if (outcome->verdict == TCKPT_REPEATED && !tckpt_replay_is_answered(write, receipt))
		outcome->verdict = TCKPT_ADMITTED;
	if (outcome->verdict == TCKPT_ADMITTED)
	{
		check_unprocessed(write);
		return true;
	}

	if (outcome->verdict == TCKPT_REPEATED)
	{
		outcome->sequence = receipt->sequence;
		tckpt_dispatch_record_replay(request, &outcome->dispatch);
	}
	outcome->guarded = true;
	return false;
}

/* A checkpoint is removed: the row to be stored. */
static HeapTuple
guard_clear(const TckptWrite *write)
{
	if (write->oldvalue != (Datum) 0 && write->step != NULL && tckpt_write_is_attached(write))
	{
		if (write->own == NULL)
			tckpt_dispatch_require_unclaimed(write->guard, write->step);
		if (write->has_olddoc)
			tckpt_archive_clear(write->guard, write->step, &write->olddoc);
	}
	return write->newvalue == (Datum) 0 ? write->new : with_checkpoint(write, (Datum) 0);
}

static bool
is_same_key(const pg_uuid_t *a, const pg_uuid_t *b)
{
	return a == NULL || b == NULL ? a == b : tckpt_same_uuid(a, b);
}

/* These two: a step's key, NULL if the row has none. */
static const pg_uuid_t *
old_key(const TckptWrite *write)
{
	bool		isnull;
	Datum		key = tckpt_stored_value(write->rel, write->trigger->tgattr[0], write->old, &isnull);

	return isnull ? NULL : DatumGetUUIDP(key);
}

static const pg_uuid_t *
new_key(const TckptWrite *write, const Bitmapset *updated)
{
	AttrNumber	attno = write->trigger->tgattr[0];
	bool		isnull;
	Datum		key;

	/* a generated one is as it was, unless what it is computed from is set */
	if (write->old != NULL &&
		TupleDescAttr(write->tupdesc, attno - 1)->attgenerated != '\0' &&
		!bms_is_member(attno - FirstLowInvalidHeapAttributeNumber, updated))
		return write->step;
	key = tckpt_new_value(write->rel, attno, write->new, &isnull);
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
read_old(TckptWrite *write)
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

/*
 * Whether a statement of others sets the checkpoint to the very bytes it has.
 * A JSON null is none.
 */
static bool
is_same(const TckptWrite *write)
{
	if (write->own != NULL || write->oldvalue == (Datum) 0 ||
		write->newvalue == (Datum) 0 ||
		!same_stored(write->newvalue, write->oldvalue))
		return false;
	/* a large one is no JSON null, and need not be read */
	return VARSIZE_ANY(DatumGetPointer(write->newvalue)) > JSON_NULL_SIZE ||
		!tckpt_is_json_null(DatumGetJsonbP(write->newvalue));
}

/* The row to be stored, NULL if none is. */
static HeapTuple
guard_row(TckptWrite *write)
{
	bool		own_checkpoint = write->own != NULL &&
		write->own->request->kind != TCKPT_CLEAR;
	const Jsonb *new;

	if (is_same(write))
		return write->new;
	read_old(write);
	if (own_checkpoint && !admit(write))
		return NULL;

	new = sent_checkpoint(write);
	if (new == NULL)
		return guard_clear(write);
	if (write->old == NULL)
		return guard_insert(write, new);
	return own_checkpoint ? guard_own(write, new) : guard_update(write, new);
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
	TckptWrite	write = {.guard = fcinfo->flinfo->fn_oid};
	const pg_uuid_t *key;
	bool		has_new_key = true;
	HeapTuple	row;

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
	if (write.old != NULL)
		write.step = old_key(&write);
	key = new_key(&write, trigdata->tg_updatedcols);
	if (write.old == NULL)
		write.step = key;
	else
	{
		has_new_key = !is_same_key(write.step, key);
		if (has_new_key)
			leave_key(&write);
		if (is_announced(&write))
			write.own = announced;
	}
	row = guard_row(&write);
	if (has_new_key)
	{
		/* a yield has dispatched it by now */
		if (write.own != NULL)
			leave_key(&write);
		begin_key(&write, key);
	}
	return PointerGetDatum(row);
}
