/*-------------------------------------------------------------------------
 *
 * cursor_index.c
 *	  Indexes that hold the cursor's text, and so bound it.
 *
 * An entry of a B-tree is the value itself, and takes up to 2704 bytes; one
 * that is larger is refused, and with it the checkpoint.  So an index counts
 * that has the cursor as it is, or cast, and not one that has a part or a hash
 * of it.  Its expression is read as stored, and nothing of it is evaluated.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_am.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "nodes/primnodes.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

#include "table/cursor_index.h"
#include "tasker_checkpoint.h"

/* What casts and the like are put around, which leave a value as long. */
static Node *
strip_casts(Node *node)
{
	while (node != NULL)
	{
		FuncExpr   *call = (FuncExpr *) node;

		if (IsA(node, RelabelType))
			node = (Node *) ((RelabelType *) node)->arg;
		else if (IsA(node, CoerceViaIO))
			node = (Node *) ((CoerceViaIO *) node)->arg;
		else if (IsA(node, CollateExpr))
			node = (Node *) ((CollateExpr *) node)->arg;
		else if (IsA(node, CoalesceExpr))
			node = linitial(((CoalesceExpr *) node)->args);
		else if (IsA(node, FuncExpr) &&
				 (call->funcid == F_LOWER_TEXT || call->funcid == F_UPPER_TEXT))
			node = linitial(call->args);
		else
			break;
	}
	return node;
}

/* A constant that is the key, or a path of it alone. */
static bool
names_cursor(Node *node)
{
	Const	   *constant = (Const *) node;

	if (node == NULL || !IsA(node, Const) || constant->constisnull)
		return false;
	if (constant->consttype == TEXTOID)
		return strcmp(TextDatumGetCString(constant->constvalue), "cursor") == 0;
	if (constant->consttype == TEXTARRAYOID)
	{
		Datum	   *elements;
		bool	   *nulls;
		int			n;

		deconstruct_array(DatumGetArrayTypeP(constant->constvalue), TEXTOID, -1,
						  false, TYPALIGN_INT, &elements, &nulls, &n);
		return n == 1 && !nulls[0] &&
			strcmp(TextDatumGetCString(elements[0]), "cursor") == 0;
	}
	return false;
}

/* Whether an expression is the cursor of a column. */
static bool
is_cursor(Node *node, AttrNumber checkpoint)
{
	Oid			function = InvalidOid;
	List	   *args = NIL;
	Node	   *column;

	node = strip_casts(node);
	if (node == NULL)
		return false;
	if (IsA(node, OpExpr))
	{
		function = get_opcode(((OpExpr *) node)->opno);
		args = ((OpExpr *) node)->args;
	}
	else if (IsA(node, FuncExpr))
	{
		function = ((FuncExpr *) node)->funcid;
		args = ((FuncExpr *) node)->args;
	}
	else if (IsA(node, SubscriptingRef) &&
			 list_length(((SubscriptingRef *) node)->refupperindexpr) == 1)
	{
		function = F_JSONB_OBJECT_FIELD;
		args = list_make2(((SubscriptingRef *) node)->refexpr,
						  linitial(((SubscriptingRef *) node)->refupperindexpr));
	}

	if ((function != F_JSONB_OBJECT_FIELD && function != F_JSONB_OBJECT_FIELD_TEXT &&
		 function != F_JSONB_EXTRACT_PATH && function != F_JSONB_EXTRACT_PATH_TEXT) ||
		list_length(args) != 2)
		return false;
	column = linitial(args);
	return column != NULL && IsA(column, Var) &&
		((Var *) column)->varattno == checkpoint && names_cursor(lsecond(args));
}

/* What a stored column is computed from; NULL if it is not computed. */
static Node *
generation_expression(Oid relid, AttrNumber attno)
{
	Relation	rel;
	ScanKeyData key[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	Node	   *expression = NULL;

	if (attno <= 0 || get_attgenerated(relid, attno) == '\0')
		return NULL;
	rel = table_open(AttrDefaultRelationId, AccessShareLock);
	ScanKeyInit(&key[0], Anum_pg_attrdef_adrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relid));
	ScanKeyInit(&key[1], Anum_pg_attrdef_adnum, BTEqualStrategyNumber,
				F_INT2EQ, Int16GetDatum(attno));
	scan = systable_beginscan(rel, AttrDefaultIndexId, true, NULL, 2, key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, Anum_pg_attrdef_adbin,
										 RelationGetDescr(rel), &isnull);

		if (!isnull)
			expression = stringToNode(TextDatumGetCString(value));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return expression;
}

/* Whether an index has the cursor in one of its columns. */
static bool
holds_cursor(HeapTuple tuple, AttrNumber checkpoint)
{
	Form_pg_index index = (Form_pg_index) GETSTRUCT(tuple);
	bool		isnull;
	Datum		value = SysCacheGetAttr(INDEXRELID, tuple, Anum_pg_index_indexprs, &isnull);

	if (!isnull)
	{
		List	   *expressions = stringToNode(TextDatumGetCString(value));
		ListCell   *cell;

		foreach(cell, expressions)
			if (is_cursor(lfirst(cell), checkpoint))
				return true;
	}
	for (int i = 0; i < index->indnatts; i++)
		if (is_cursor(generation_expression(index->indrelid, index->indkey.values[i]),
					  checkpoint))
			return true;
	return false;
}

static bool
is_btree(Oid index)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(index));
	bool		btree = false;

	if (HeapTupleIsValid(tuple))
	{
		btree = ((Form_pg_class) GETSTRUCT(tuple))->relam == BTREE_AM_OID;
		ReleaseSysCache(tuple);
	}
	return btree;
}

/* Appends those of one table. */
static List *
indexes_of(List *result, Oid relid, const char *column)
{
	AttrNumber	checkpoint = get_attnum(relid, column);
	Relation	rel = table_open(relid, NoLock);
	ListCell   *cell;

	foreach(cell, RelationGetIndexList(rel))
	{
		Oid			oid = lfirst_oid(cell);
		HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(oid));

		if (HeapTupleIsValid(tuple) && is_btree(oid) &&
			!get_rel_relispartition(oid) && holds_cursor(tuple, checkpoint))
		{
			TckptCursorIndex *index = palloc(sizeof(TckptCursorIndex));

			index->name = quote_qualified_identifier(get_namespace_name(get_rel_namespace(oid)),
													 get_rel_name(oid));
			index->partitioned = get_rel_relkind(oid) == RELKIND_PARTITIONED_INDEX;
			result = lappend(result, index);
		}
		if (HeapTupleIsValid(tuple))
			ReleaseSysCache(tuple);
	}
	table_close(rel, NoLock);
	return result;
}

/* Those of the steps table and its partitions, as TckptCursorIndex. */
List *
tckpt_cursor_indexes(const TckptSteps *steps)
{
	char	   *column = get_attname(steps->trigger.relid, steps->trigger.checkpoint, false);
	List	   *result = NIL;
	ListCell   *cell;

	foreach(cell, find_all_inheritors(steps->trigger.relid, AccessShareLock, NULL))
		result = indexes_of(result, lfirst_oid(cell), column);
	return result;
}
