/*-------------------------------------------------------------------------
 *
 * cursor_index.c
 *	  Indexes that hold the cursor's text, and so bound it.
 *
 * An entry of a B-tree is the value itself, and takes up to 2704 bytes; one
 * that is larger is refused, and with it the checkpoint.  So an index counts
 * that has the cursor as it is, or cast, and not one that has a part or a hash
 * of it.  Its expression is read as stored, and nothing of it is evaluated.  No
 * table or index is locked or opened: one that is gone by then is left out.
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

/* Whether an index has the cursor in one of its columns; a row of pg_index. */
static bool
holds_cursor(HeapTuple tuple, TupleDesc tupdesc, AttrNumber checkpoint)
{
	Form_pg_index index = (Form_pg_index) GETSTRUCT(tuple);
	bool		isnull;
	Datum		value = heap_getattr(tuple, Anum_pg_index_indexprs, tupdesc, &isnull);

	if (!isnull)
	{
		List	   *expressions = stringToNode(TextDatumGetCString(value));
		ListCell   *cell;

		foreach(cell, expressions)
		{
			if (is_cursor(lfirst(cell), checkpoint))
				return true;
		}
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
	Relation	rel = table_open(IndexRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(rel, IndexIndrelidIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_index form = (Form_pg_index) GETSTRUCT(tuple);
		TckptCursorIndex *index;

		/* an index of partitions counts as a whole */
		if (!form->indislive || get_rel_relispartition(form->indexrelid) ||
			!is_btree(form->indexrelid) ||
			!holds_cursor(tuple, RelationGetDescr(rel), checkpoint))
			continue;
		index = palloc(sizeof(TckptCursorIndex));
		index->name = tckpt_table_name(form->indexrelid);
		index->partitioned = get_rel_relkind(form->indexrelid) == RELKIND_PARTITIONED_INDEX;
		if (index->name != NULL)
			result = lappend(result, index);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

static int
by_name(const ListCell *a, const ListCell *b)
{
	return strcmp(((TckptCursorIndex *) lfirst(a))->name,
				  ((TckptCursorIndex *) lfirst(b))->name);
}

/* Those of the steps table and its partitions, as TckptCursorIndex, by name. */
List *
tckpt_cursor_indexes(const TckptTrigger *trigger)
{
	char	   *column = get_attname(trigger->relid, trigger->checkpoint, true);
	List	   *result = NIL;
	ListCell   *cell;

	if (column == NULL)
		return NIL;
	foreach(cell, find_all_inheritors(trigger->relid, NoLock, NULL))
		result = indexes_of(result, lfirst_oid(cell), column);
	list_sort(result, by_name);
	return result;
}
