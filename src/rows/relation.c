/*-------------------------------------------------------------------------
 *
 * relation.c
 *	  The extension's own tables: found, and looked at before they are used.
 *
 * They are in the schema of the function that was called, whatever the
 * search_path holds.  What a DBA may have done to them since is looked at, not
 * trusted.
 *
 * An index is chosen by what it is.  There may be several that do, invalid
 * ones, others' names; one that is being built, or built again, comes and goes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_index.h"
#include "optimizer/optimizer.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "invalidation.h"
#include "rows/relation.h"
#include "tasker_checkpoint.h"

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

/* Whether what was looked up before is still so. */
static bool
is_known(const TckptOwnLookup *last, Oid by)
{
	return last->at == tckpt_changes() && last->by == by;
}

/*
 * Remembers what was looked up since "seen"; if anything has changed meanwhile, it
 * is looked up again the next time.
 */
static void
remember(TckptOwnLookup *last, uint64 seen, Oid by, Oid found)
{
	last->at = seen;
	last->by = by;
	last->found = found;
}

/* Opens a table.  Raises 42P01, or 55000 if it is not as it was created. */
Relation
tckpt_own_open(Oid function, const TckptOwnTable *table, LOCKMODE lockmode)
{
	uint64		seen = tckpt_changes();
	Oid			relid = is_known(table->last, function) ? table->last->found :
		get_relname_relid(table->name, get_func_namespace(function));
	Relation	rel = NULL;

	if (OidIsValid(relid))
		rel = try_relation_open(relid, lockmode);
	if (rel == NULL)
	{
		char	   *schema = get_namespace_name(get_func_namespace(function));

		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s\" does not exist", table->name),
				 schema == NULL ?
				 errhint("Create the extension again.") :
				 errhint("Give it its name and schema \"%s\" back, or create the extension again.",
						 schema)));
	}
	if (is_known(table->last, function))
		return rel;
	if (!is_as_created(rel, table))
		ereport(ERROR,
				(tckpt_refused(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" must have the columns it was created with",
						table->name),
				 errhint("Create the extension again, as \"The way back\" in docs/stability.md does, which keeps the rows.")));
	remember(table->last, seen, function, relid);
	return rel;
}

/* Whether a table has no row, nor had one for long, or can't be used at all. */
bool
tckpt_own_is_empty(Oid function, const TckptOwnTable *table)
{
	Oid			relid = is_known(table->last, function) ? table->last->found :
		get_relname_relid(table->name, get_func_namespace(function));
	Relation	rel = OidIsValid(relid) ? try_relation_open(relid, AccessShareLock) : NULL;
	bool		empty;

	if (rel == NULL)
		return true;
	empty = !is_as_created(rel, table) || RelationGetNumberOfBlocks(rel) == 0;
	relation_close(rel, AccessShareLock);
	return empty;
}

/* What an index says of a key whose order is given as ASC or DESC, and no more. */
static int
usual_option(bool descending)
{
	return descending ? INDOPTION_DESC | INDOPTION_NULLS_FIRST : 0;
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
			(wanted->ordered && index->rd_indoption[i] != usual_option(wanted->descending[i])))
			return false;
		att = TupleDescAttr(RelationGetDescr(rel), wanted->keys[i] - 1);
		if (index->rd_indcollation[i] != (OidIsValid(att->attcollation) ? C_COLLATION_OID : InvalidOid) ||
			index->rd_opfamily[i] != lookup_type_cache(att->atttypid,
													   TYPECACHE_BTREE_OPFAMILY)->btree_opf)
			return false;
	}
	return true;
}

/* Whether it keeps two rows from having the same key. */
bool
tckpt_own_is_key(Relation rel, Relation index, const TckptOwnIndex *wanted)
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
		return tckpt_own_is_key(rel, index, wanted);
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
	uint64		seen = tckpt_changes();
	List	   *indexes;
	Oid			found = InvalidOid;
	ListCell   *cell;

	if (is_known(wanted->last, RelationGetRelid(rel)))
		return wanted->last->found;

	indexes = RelationGetIndexList(rel);
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
	remember(wanted->last, seen, RelationGetRelid(rel), found);
	return found;
}

/* For want of an index without which nothing can be done. */
void
tckpt_own_raise_no_index(Relation rel, const TckptOwnIndex *wanted)
{
	ereport(ERROR,
			(tckpt_refused(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table \"%s\" must have a valid %sindex on %s",
					RelationGetRelationName(rel),
					wanted->unique ? "unique " : "", wanted->definition),
			 errhint("Run CREATE %sINDEX CONCURRENTLY ON %s %s.",
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
		tckpt_own_raise_no_index(rel, wanted);
	return index;
}
