/*-------------------------------------------------------------------------
 *
 * write.c
 *	  Rows of the extension's own tables, written below the executor.
 *
 * What is written reaches every index and fires every AFTER ROW trigger, as the
 * caller, at the end of the write, as it does where a change is replicated:
 * tools that copy a table while it is written go by such triggers.  All others
 * can't be served here, and nothing is written while there are any.  Nor is
 * anything changed that is published and could not be found on the other side:
 * the executor refuses that, too.  Rules, policies and CHECK constraints do not
 * apply.
 *
 * Each write ends with a new command, so that the next look in this
 * transaction sees it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "rows/write.h"
#include "tasker_checkpoint.h"

/* What the executor wants to know of a table that is written */
typedef struct Writer
{
	EState	   *estate;
	ResultRelInfo *target;
} Writer;

/* Whether a trigger fires in this session for what is done here. */
static bool
is_enabled(const Trigger *trigger)
{
	if ((trigger->tgtype & (TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE |
							TRIGGER_TYPE_DELETE)) == 0)
		return false;
	if (trigger->tgenabled == TRIGGER_DISABLED)
		return false;
	return trigger->tgenabled !=
		(SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA ?
		 TRIGGER_FIRES_ON_ORIGIN : TRIGGER_FIRES_ON_REPLICA);
}

static void
raise_trigger(Relation rel, const Trigger *trigger)
{
	char	   *table = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
												   RelationGetRelationName(rel));
	bool		constraint = trigger->tgisinternal && OidIsValid(trigger->tgconstraint);
	char	   *name = constraint ? get_constraint_name(trigger->tgconstraint) : NULL;

	if (name == NULL)
		name = trigger->tgname;
	ereport(ERROR,
			(tckpt_refused(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 constraint ?
			 errmsg("constraint \"%s\" on table \"%s\" must not be deferrable",
					name, RelationGetRelationName(rel)) :
			 errmsg("trigger \"%s\" on table \"%s\" must be AFTER, FOR EACH ROW, not deferrable and without transition tables",
					name, RelationGetRelationName(rel)),
			 errdetail("The extension writes this table below the executor, where others can't fire."),
			 constraint ?
			 errhint("Make it NOT DEFERRABLE, or drop it.") :
			 errhint("DROP TRIGGER %s ON %s; or make it such a one.",
					 quote_identifier(name), table)));
}

/* Raises 55000 for a trigger that would not fire here. */
static void
check_triggers(Relation rel)
{
	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &rel->trigdesc->triggers[i];

		if (is_enabled(trigger) &&
			!(TRIGGER_FOR_ROW(trigger->tgtype) &&
			  TRIGGER_FOR_AFTER(trigger->tgtype) &&
			  !trigger->tgdeferrable &&
			  trigger->tgoldtable == NULL && trigger->tgnewtable == NULL))
			raise_trigger(rel, trigger);
	}
}

/*
 * Raises 55000 for a NULL where somebody has forbidden it, as the executor refuses
 * it: whoever reads a row takes it for granted that there is none.
 */
static void
check_not_null(Relation rel, TupleTableSlot *slot)
{
	TupleDesc	tupdesc = RelationGetDescr(rel);

	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(tupdesc, i);

		if (att->attnotnull && slot_attisnull(slot, i + 1))
			ereport(ERROR,
					(tckpt_refused(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("column \"%s\" of table \"%s\" must not be NOT NULL",
							NameStr(att->attname), RelationGetRelationName(rel)),
					 errdetail("It is to be NULL in a row that is written."),
					 errhint("Run ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL.",
							 quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
														RelationGetRelationName(rel)),
							 quote_identifier(NameStr(att->attname)))));
	}
}

/* The table as a range table, where triggers ask which columns are set: all. */
static void
init_range_table(EState *estate, Relation rel)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	Bitmapset  *columns = NULL;

	rte->rtekind = RTE_RELATION;
	rte->relid = RelationGetRelid(rel);
	rte->relkind = rel->rd_rel->relkind;
	rte->rellockmode = RowExclusiveLock;
	for (int i = 1; i <= RelationGetNumberOfAttributes(rel); i++)
		columns = bms_add_member(columns, i - FirstLowInvalidHeapAttributeNumber);
	tckpt_init_range_table(estate, rte, columns);
}

static void
begin_write(Writer *writer, Relation rel)
{
	EState	   *estate = CreateExecutorState();
	MemoryContext oldcontext = MemoryContextSwitchTo(estate->es_query_cxt);
	ResultRelInfo *target = makeNode(ResultRelInfo);
	bool		fires = rel->trigdesc != NULL;

	if (fires)
		init_range_table(estate, rel);
	InitResultRelInfo(target, rel, fires ? 1 : 0, NULL, 0);

	/* so that triggers find it, and its indexes are closed in the end */
	estate->es_opened_result_relations = list_make1(target);
	MemoryContextSwitchTo(oldcontext);

	writer->estate = estate;
	writer->target = target;
	if (fires)
		AfterTriggerBeginQuery();
}

static void
open_indexes(Writer *writer, bool speculative)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(writer->estate->es_query_cxt);

	ExecOpenIndices(writer->target, speculative);
	MemoryContextSwitchTo(oldcontext);
}

static void
end_write(Writer *writer)
{
	EState	   *estate = writer->estate;

	if (writer->target->ri_TrigDesc != NULL)
		AfterTriggerEndQuery(estate);
	ExecResetTupleTable(estate->es_tupleTable, false);
	ExecCloseResultRelations(estate);
	FreeExecutorState(estate);
}

void
tckpt_own_insert(Relation rel, TupleTableSlot *slot)
{
	Writer		writer;
	List	   *recheck;

	check_triggers(rel);
	check_not_null(rel, slot);
	begin_write(&writer, rel);
	open_indexes(&writer, false);
	slot->tts_tableOid = RelationGetRelid(rel);
	table_tuple_insert(rel, slot, GetCurrentCommandId(true), 0, NULL);
	recheck = tckpt_insert_indexes(writer.target, slot, writer.estate);
	ExecARInsertTriggers(writer.estate, writer.target, slot, recheck, NULL);
	end_write(&writer);
	CommandCounterIncrement();
}

/*
 * The indexes that tell whether a row is new.  One that is only being built is
 * among them, since it may refuse a row already; one that is complete must be.
 */
static List *
find_arbiters(Relation rel, const Writer *writer, const TckptOwnIndex *key)
{
	ResultRelInfo *target = writer->target;
	List	   *arbiters = NIL;
	bool		complete = false;

	for (int i = 0; i < target->ri_NumIndices; i++)
	{
		Relation	index = target->ri_IndexRelationDescs[i];

		if (!tckpt_own_is_key(rel, index, key) || !index->rd_index->indisready)
			continue;
		arbiters = lappend_oid(arbiters, RelationGetRelid(index));
		complete = complete || index->rd_index->indisvalid;
	}
	if (!complete)
		tckpt_own_raise_no_index(rel, key);
	return arbiters;
}

/*
 * As INSERT ... ON CONFLICT DO NOTHING does it: false if somebody else has made
 * a row with this key.
 */
bool
tckpt_own_insert_new(Relation rel, TupleTableSlot *slot,
					 const TckptOwnIndex *key)
{
	Writer		writer;
	List	   *arbiters;
	ItemPointerData conflict;
	ItemPointerData none;
	bool		inserted = false;

	check_triggers(rel);
	check_not_null(rel, slot);
	begin_write(&writer, rel);
	open_indexes(&writer, true);
	arbiters = find_arbiters(rel, &writer, key);
	slot->tts_tableOid = RelationGetRelid(rel);
	ItemPointerSetInvalid(&none);

	/* waits for those that are about to make one */
	while (!inserted &&
		   tckpt_check_indexes(writer.target, slot, writer.estate, &conflict,
							   &none, arbiters))
	{
		bool		lost = false;
		uint32		token = SpeculativeInsertionLockAcquire(GetCurrentTransactionId());

		table_tuple_insert_speculative(rel, slot, GetCurrentCommandId(true), 0,
									   NULL, token);
		(void) tckpt_try_indexes(writer.target, slot, writer.estate, &lost, arbiters);
		inserted = !lost;
		table_tuple_complete_speculative(rel, slot, token, inserted);
		SpeculativeInsertionLockRelease(GetCurrentTransactionId());
	}

	if (inserted)
		ExecARInsertTriggers(writer.estate, writer.target, slot, NIL, NULL);
	end_write(&writer);
	CommandCounterIncrement();
	return inserted;
}

/*
 * Gives the key's index its entry without a look whether the key is taken: the
 * version before has it.  The look would meet each version of the row that this
 * transaction has made.
 */
static void
insert_kept_key(Writer *writer, Relation rel, TupleTableSlot *slot,
				const TckptOwnIndex *key)
{
	ResultRelInfo *target = writer->target;

	for (int i = 0; i < target->ri_NumIndices; i++)
	{
		Relation	index = target->ri_IndexRelationDescs[i];
		IndexInfo  *info = target->ri_IndexRelationInfo[i];
		Datum		values[INDEX_MAX_KEYS];
		bool		nulls[INDEX_MAX_KEYS];

		if (!index->rd_index->indisvalid || !tckpt_own_is_key(rel, index, key))
			continue;
		FormIndexDatum(info, slot, writer->estate, values, nulls);
		(void) index_insert(index, values, nulls, &slot->tts_tid, rel,
							UNIQUE_CHECK_NO, true, info);

		/* it has what it is to get */
		info->ii_ReadyForInserts = false;
	}
}

/*
 * Replaces the version of a row that "tid" leads to; the new one's place is
 * slot->tts_tid.  Unless the result is TM_Ok nothing is written: somebody else
 * has changed the row, or a trigger has.  If there is a "key", the row keeps it.
 */
TM_Result
tckpt_own_update(Relation rel, ItemPointer tid, TupleTableSlot *slot,
				 const TckptOwnIndex *key)
{
	ItemPointerData old = *tid;
	TM_FailureData failure;
	LockTupleMode lockmode;
	TckptIndexes indexes;
	TM_Result	result;

	check_triggers(rel);
	check_not_null(rel, slot);
	CheckCmdReplicaIdentity(rel, CMD_UPDATE);
	result = tckpt_tuple_update(rel, &old, slot, GetCurrentCommandId(true),
								GetLatestSnapshot(), &failure, &lockmode, &indexes);
	if (result != TM_Ok)
		return result;

	if (indexes || rel->trigdesc != NULL)
	{
		Writer		writer;
		List	   *recheck = NIL;

		begin_write(&writer, rel);
		if (indexes)
		{
			open_indexes(&writer, false);
			/* no entry may lead to a HOT version itself */
			if (key != NULL && !tckpt_only_summarizing(indexes))
				insert_kept_key(&writer, rel, slot, key);
			recheck = tckpt_update_indexes(writer.target, slot, writer.estate, indexes);
		}
		ExecARUpdateTriggers(writer.estate, writer.target, NULL, NULL, &old,
							 NULL, slot, recheck, NULL, false);
		end_write(&writer);
	}
	CommandCounterIncrement();
	return TM_Ok;
}

/* Removes the version of a row that "tid" leads to, if it is the newest. */
TM_Result
tckpt_own_delete(Relation rel, ItemPointer tid)
{
	ItemPointerData old = *tid;
	TM_FailureData failure;
	TM_Result	result;

	check_triggers(rel);
	CheckCmdReplicaIdentity(rel, CMD_DELETE);
	result = tckpt_tuple_delete(rel, &old, GetCurrentCommandId(true),
								GetLatestSnapshot(), &failure);
	if (result != TM_Ok)
		return result;

	if (rel->trigdesc != NULL)
	{
		Writer		writer;

		begin_write(&writer, rel);
		ExecARDeleteTriggers(writer.estate, writer.target, &old, NULL, NULL, false);
		end_write(&writer);
	}
	CommandCounterIncrement();
	return TM_Ok;
}
