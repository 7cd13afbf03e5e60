/*-------------------------------------------------------------------------
 *
 * forget.c
 *	  The trigger by which a deleted step takes its event along.
 *
 * AFTER DELETE FOR EACH ROW, beside the guard's.  What was dispatched, claimed,
 * paused or cancelled is the row's that was deleted, and not that of another
 * row that gets the key.  It runs when the row is certain to be deleted, which
 * no other trigger can undo then but by an error, and the row's lock is held,
 * so that the order is that of every writer: step, then event.
 *
 * Which table and which column it is about the guard's trigger says.  On a
 * table that is not the attached one, nor a partition of that, nothing is done.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

#include "dispatch/events.h"
#include "table/attached.h"
#include "table/forget.h"
#include "table/key.h"
#include "table/statement.h"
#include "tasker_checkpoint.h"

/* Whether a trigger is as tasker_checkpoint_attach() makes it. */
static bool
is_well_shaped(Form_pg_trigger form, bool has_condition)
{
	return form->tgtype == (TRIGGER_TYPE_ROW | TRIGGER_TYPE_AFTER | TRIGGER_TYPE_DELETE) &&
		form->tgnargs == 0 && !has_condition && !form->tgdeferrable;
}

/*
 * The triggers of a table that call it, a list of TckptForgetTrigger; but for
 * those that were cloned from a partitioned table's.
 */
static List *
find_triggers(Oid function, Oid relid)
{
	Oid			forget = tckpt_forget_of(function);
	Relation	rel = table_open(TriggerRelationId, AccessShareLock);
	List	   *triggers = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_trigger_tgrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(rel, TriggerRelidNameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);
		TckptForgetTrigger *trigger;

		if (form->tgfoid != forget || OidIsValid(form->tgparentid))
			continue;
		trigger = palloc(sizeof(TckptForgetTrigger));
		trigger->oid = form->oid;
		trigger->name = form->tgname;
		trigger->enabled = form->tgenabled;
		trigger->well_shaped =
			is_well_shaped(form, !heap_attisnull(tuple, Anum_pg_trigger_tgqual,
												 RelationGetDescr(rel)));
		triggers = lappend(triggers, trigger);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return triggers;
}

/* The one that is as attach makes it; NULL if there is none. */
const TckptForgetTrigger *
tckpt_forget_trigger(Oid function, Oid relid)
{
	ListCell   *lc;

	foreach(lc, find_triggers(function, relid))
	{
		const TckptForgetTrigger *trigger = lfirst(lc);

		if (trigger->well_shaped)
			return trigger;
	}
	return NULL;
}

/* Statements that drop them all, with a blank after each; "" if there are none. */
char *
tckpt_forget_drop_calls(Oid function, Oid relid)
{
	char	   *table = tckpt_table_name(relid);
	char	   *calls = "";
	ListCell   *lc;

	foreach(lc, find_triggers(function, relid))
	{
		const TckptForgetTrigger *trigger = lfirst(lc);

		if (table != NULL)
			calls = psprintf("%sDROP TRIGGER %s ON %s; ", calls,
							 quote_identifier(NameStr(trigger->name)), table);
	}
	return calls;
}

/* Drops them all, as the caller.  Raises 42501. */
void
tckpt_forget_drop(Oid function, Oid relid)
{
	ListCell   *lc;

	foreach(lc, find_triggers(function, relid))
	{
		const TckptForgetTrigger *trigger = lfirst(lc);
		char	   *table = tckpt_table_name(relid);

		if (table == NULL)
			return;
		tckpt_run_ddl(psprintf("DROP TRIGGER %s ON %s",
							   quote_identifier(NameStr(trigger->name)), table));
	}
}

static void
check_protocol(FunctionCallInfo fcinfo)
{
	const char *name = TCKPT_FORGET_NAME;
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	tckpt_require_protocol(CALLED_AS_TRIGGER(fcinfo), name, "as a trigger");
	tckpt_require_protocol(TRIGGER_FIRED_FOR_ROW(trigdata->tg_event), name, "for each row");
	tckpt_require_protocol(TRIGGER_FIRED_AFTER(trigdata->tg_event), name, "after the event");
	tckpt_require_protocol(TRIGGER_FIRED_BY_DELETE(trigdata->tg_event), name, "for DELETE");
	tckpt_require_protocol(trigdata->tg_trigger->tgnargs == 0, name, "without arguments");
}

/*
 * The key, as the guard's trigger on the same table names it; InvalidAttrNumber
 * if the table is not the attached one, nor a partition of that.
 */
static AttrNumber
find_key(Oid guard, Relation rel)
{
	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		/* the look at the catalogs may have the relation's own copy freed */
		Trigger		trigger = rel->trigdesc->triggers[i];
		AttrNumber	key = trigger.tgnattr > 0 ? trigger.tgattr[0] : InvalidAttrNumber;

		if (trigger.tgfoid == guard && key != InvalidAttrNumber &&
			TupleDescAttr(RelationGetDescr(rel), key - 1)->atttypid == UUIDOID &&
			tckpt_attached_covers(guard, rel, &trigger))
			return key;
	}
	return InvalidAttrNumber;
}

/*
 * Removes the event of a step whose row is deleted, in whatever state it is:
 * who has claimed the step has nothing to write any more.  Not if the key is
 * there all the same: the statement has made the row anew, and may have had the
 * new one dispatched.
 */
static void
forget_step(Oid function, Relation rel, AttrNumber attno, const pg_uuid_t *step)
{
	TckptEvent	event;

	/* what the statement itself has done to events is to be seen */
	CommandCounterIncrement();
	if (tckpt_event_find(function, TCKPT_BY_STEP, step, TCKPT_LOCK_NEWEST, &event) &&
		!tckpt_key_is_there(rel, attno, step))
		tckpt_event_delete(function, &event);
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_forget);
/*
 * Has a deleted step's event go with it.  A row that moves to another partition
 * keeps it.  Raises 39P01 if it is called otherwise than attach has it called.
 */
Datum
tasker_checkpoint_forget(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Oid			function = fcinfo->flinfo->fn_oid;
	Relation	rel;
	HeapTuple	row;
	AttrNumber	attno;
	bool		isnull;
	Datum		key;

	check_protocol(fcinfo);

	rel = trigdata->tg_relation;
	row = trigdata->tg_trigtuple;
	attno = find_key(tckpt_guard_of(function), rel);
	if (attno == InvalidAttrNumber ||
		HeapTupleHeaderIndicatesMovedPartitions(row->t_data))
		return PointerGetDatum(NULL);

	key = heap_getattr(row, attno, RelationGetDescr(rel), &isnull);
	if (!isnull)
		forget_step(function, rel, attno, DatumGetUUIDP(key));
	return PointerGetDatum(NULL);
}
