/*-------------------------------------------------------------------------
 *
 * own.c
 *	  The extension's own tables, read and written below the executor.
 *
 * They are in the schema of the function that was called, whatever the
 * search_path holds.  What a DBA may have done to them since is looked at, not
 * trusted: columns, indexes and triggers.
 *
 * An index is chosen by what it is.  There may be several that do, invalid
 * ones, others' names; one that is being built, or built again, comes and goes.
 *
 * What is written reaches every index and fires every AFTER ROW trigger, as the
 * caller, at the end of the write, as it does where a change is replicated:
 * tools that copy a table while it is written go by such triggers.  All others
 * can't be served here, and nothing is written while there are any.  Rules,
 * policies and CHECK constraints do not apply.
 *
 * Each write ends with a new command, so that the next look in this
 * transaction sees it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "optimizer/optimizer.h"
#include "parser/parse_relation.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "own.h"
#include "stats.h"
#include "tasker_checkpoint.h"

/* What the executor wants to know of a table that is written */
typedef struct Writer
{
	EState	   *estate;
	ResultRelInfo *target;
} Writer;

static bool
is_as_created(Relation rel, const TckptOwnTable *table)
{
	TupleDesc	tupdesc = RelationGetDescr(rel);

	if (rel->rd_rel->relkind != RELKIND_RELATION || tupdesc->natts != table->ncolumns)
		return false;
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(tupdesc, i);

		if (att->attisdropped || att->atttypid != table->types[i])
			return false;
	}
	return true;
}

/* Opens a table.  Raises 42P01, or 55000 if it is not as it was created. */
Relation
tckpt_own_open(Oid function, const TckptOwnTable *table, LOCKMODE lockmode)
{
	Oid			relid = get_relname_relid(table->name, get_func_namespace(function));
	Relation	rel = NULL;

	if (OidIsValid(relid))
		rel = try_relation_open(relid, lockmode);
	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s\" does not exist", table->name),
				 errhint("Create the extension again.")));
	if (!is_as_created(rel, table))
		ereport(ERROR,
				(errcode(tckpt_refused(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)),
				 errmsg("table \"%s\" must have the columns it was created with",
						table->name),
				 errhint("Create the extension again.")));
	return rel;
}

/* Whether an index begins with the wanted keys, in their types' usual order. */
static bool
has_keys(Relation rel, Relation index, const TckptOwnIndex *wanted)
{
	Form_pg_index form = index->rd_index;

	if (index->rd_rel->relam != BTREE_AM_OID || form->indnkeyatts < wanted->nkeys)
		return false;
	for (int i = 0; i < wanted->nkeys; i++)
	{
		Form_pg_attribute att;

		if (form->indkey.values[i] != wanted->keys[i] ||
			(wanted->ordered && index->rd_indoption[i] != 0))
			return false;
		att = TupleDescAttr(RelationGetDescr(rel), wanted->keys[i] - 1);
		if (index->rd_indcollation[i] != att->attcollation ||
			index->rd_opfamily[i] != lookup_type_cache(att->atttypid,
													   TYPECACHE_BTREE_OPFAMILY)->btree_opf)
			return false;
	}
	return true;
}

/* Whether it keeps two rows from having the same key. */
static bool
is_key(Relation rel, Relation index, const TckptOwnIndex *wanted)
{
	Form_pg_index form = index->rd_index;

	return has_keys(rel, index, wanted) &&
		form->indisunique && form->indimmediate &&
		form->indnkeyatts == wanted->nkeys &&
		RelationGetIndexPredicate(index) == NIL;
}

/* Whether all rows that are looked for can be found by it. */
static bool
has_rows(Relation rel, Relation index, const TckptOwnIndex *wanted)
{
	List	   *predicate = RelationGetIndexPredicate(index);

	return predicate == NIL ||
		(wanted->condition != NULL &&
		 predicate_implied_by(predicate, wanted->condition(rel), false));
}

static bool
is_usable(Relation rel, Relation index, const TckptOwnIndex *wanted)
{
	if (!index->rd_index->indisvalid)
		return false;
	if (wanted->unique)
		return is_key(rel, index, wanted);
	return has_keys(rel, index, wanted) && has_rows(rel, index, wanted);
}

/*
 * An index that is as wanted; InvalidOid if there is none.  The table's lock
 * keeps it as it is.
 *
 * One that PostgreSQL would not use for an old snapshot yet (indcheckxmin) is
 * not left out: it may lead such a snapshot astray only by a key that changes
 * in a row while no index has it.
 */
Oid
tckpt_own_find_index(Relation rel, const TckptOwnIndex *wanted)
{
	List	   *indexes = RelationGetIndexList(rel);
	Oid			found = InvalidOid;
	ListCell   *cell;

	foreach(cell, indexes)
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);

		if (is_usable(rel, index, wanted))
			found = lfirst_oid(cell);
		index_close(index, AccessShareLock);
		if (OidIsValid(found))
			break;
	}
	list_free(indexes);
	return found;
}

static void
raise_no_index(Relation rel, const TckptOwnIndex *wanted)
{
	ereport(ERROR,
			(errcode(tckpt_refused(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)),
			 errmsg("table \"%s\" must have a valid %sindex on %s",
					RelationGetRelationName(rel),
					wanted->unique ? "unique " : "", wanted->definition),
			 errhint("CREATE %sINDEX CONCURRENTLY ON %s %s;",
					 wanted->unique ? "UNIQUE " : "",
					 quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
												RelationGetRelationName(rel)),
					 wanted->definition)));
}

/* The same, where nothing can be done without.  Raises 55000. */
Oid
tckpt_own_index(Relation rel, const TckptOwnIndex *wanted)
{
	Oid			index = tckpt_own_find_index(rel, wanted);

	if (!OidIsValid(index))
		raise_no_index(rel, wanted);
	return index;
}

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
			(errcode(tckpt_refused(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)),
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

		if (!is_key(rel, index, key) || !index->rd_index->indisready)
			continue;
		arbiters = lappend_oid(arbiters, RelationGetRelid(index));
		complete = complete || index->rd_index->indisvalid;
	}
	if (!complete)
		raise_no_index(rel, key);
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
 * Replaces the version of a row that "tid" leads to; the new one's place is
 * slot->tts_tid.  Unless the result is TM_Ok nothing is written: somebody else
 * has changed the row, or a trigger has.
 */
TM_Result
tckpt_own_update(Relation rel, ItemPointer tid, TupleTableSlot *slot)
{
	ItemPointerData old = *tid;
	TM_FailureData failure;
	LockTupleMode lockmode;
	TckptIndexes indexes;
	TM_Result	result;

	check_triggers(rel);
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
