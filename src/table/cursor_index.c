/*-------------------------------------------------------------------------
 *
 * cursor_index.c
 *	  Indexes that hold the cursor's text, and so bound it.
 *
 * An entry of a B-tree is the value itself, and takes up to 2704 bytes; one
 * that is larger is refused, and with it the checkpoint.  So an index counts
 * that has the cursor, or what is in or around it, as it is, or by what leaves
 * it about as long, and not one that has a hash or so many characters of it.
 * Its expression is read as stored, and nothing of it is evaluated.  No table or
 * index is locked or opened: one that is gone by then is left out.
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
#include "miscadmin.h"
#include "nodes/primnodes.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "table/cursor_index.h"
#include "tasker_checkpoint.h"

/* How much of the cursor a value has, and that of several which tells most. */
typedef enum Held
{
	HELD_UNKNOWN,				/* not looked at yet */
	HELD_NOTHING,
	HELD_PART,					/* what may be within the cursor */
	HELD_DOCUMENT,				/* the checkpoint, with the cursor */
	HELD_CURSOR
} Held;

/* A table, and what is known of its columns by now, by their number - 1 */
typedef struct Columns
{
	Oid			relid;
	Held		held[MaxHeapAttributeNumber];
} Columns;

static Held held_by_column(Columns *columns, AttrNumber attno);

static Held
most(Held a, Held b)
{
	return a > b ? a : b;
}

/* Functions whose result is about as long as one of their arguments. */
static bool
keeps_length(Oid function)
{
	switch (function)
	{
		case F_BTRIM_TEXT:
		case F_BTRIM_TEXT_TEXT:
		case F_INITCAP:
		case F_LOWER_TEXT:
		case F_LTRIM_TEXT:
		case F_LTRIM_TEXT_TEXT:
		case F_RTRIM_TEXT:
		case F_RTRIM_TEXT_TEXT:
		case F_SUBSTRING_TEXT_INT4:
		case F_SUBSTR_TEXT_INT4:
		case F_TEXTCAT:
		case F_TEXT_BPCHAR:
		case F_UPPER_TEXT:
			return true;
		default:
			return false;
	}
}

/* Functions that take a value out of a document, given its keys. */
static bool
extracts(Oid function)
{
	switch (function)
	{
		case F_JSONB_ARRAY_ELEMENT:
		case F_JSONB_ARRAY_ELEMENT_TEXT:
		case F_JSONB_EXTRACT_PATH:
		case F_JSONB_EXTRACT_PATH_TEXT:
		case F_JSONB_OBJECT_FIELD:
		case F_JSONB_OBJECT_FIELD_TEXT:
		case F_JSON_ARRAY_ELEMENT:
		case F_JSON_ARRAY_ELEMENT_TEXT:
		case F_JSON_EXTRACT_PATH:
		case F_JSON_EXTRACT_PATH_TEXT:
		case F_JSON_OBJECT_FIELD:
		case F_JSON_OBJECT_FIELD_TEXT:
			return true;
		default:
			return false;
	}
}

/* Types that have a text as it is, if a value is read from that. */
static bool
has_text(Oid type)
{
	return type == TEXTOID || type == VARCHAROID || type == BPCHAROID ||
		type == BYTEAOID || type == JSONOID || type == JSONBOID;
}

/* The function that an expression calls, by name or operator. */
static Oid
called(Node *node, List **args)
{
	if (IsA(node, OpExpr))
	{
		*args = ((OpExpr *) node)->args;
		return get_opcode(((OpExpr *) node)->opno);
	}
	if (IsA(node, FuncExpr))
	{
		*args = ((FuncExpr *) node)->args;
		return ((FuncExpr *) node)->funcid;
	}
	*args = NIL;
	return InvalidOid;
}

/* The expressions of which one has the value of this, or most of it. */
static List *
values_of(Node *node)
{
	List	   *args;
	ListCell   *cell;

	switch (nodeTag(node))
	{
		case T_RelabelType:
			return list_make1(((RelabelType *) node)->arg);
		case T_CollateExpr:
			return list_make1(((CollateExpr *) node)->arg);
		case T_CoerceToDomain:
			return list_make1(((CoerceToDomain *) node)->arg);
		case T_CoerceViaIO:
			if (!has_text(((CoerceViaIO *) node)->resulttype))
				return NIL;
			return list_make1(((CoerceViaIO *) node)->arg);
		case T_CoalesceExpr:
			return ((CoalesceExpr *) node)->args;
		case T_MinMaxExpr:
			return ((MinMaxExpr *) node)->args;
		case T_ArrayExpr:
			return ((ArrayExpr *) node)->elements;
		case T_NullIfExpr:
			return list_make1(linitial(((NullIfExpr *) node)->args));
		case T_CaseExpr:
			args = list_make1(((CaseExpr *) node)->defresult);
			foreach(cell, ((CaseExpr *) node)->args)
				args = lappend(args, ((CaseWhen *) lfirst(cell))->result);
			return args;
		default:
			return keeps_length(called(node, &args)) ? args : NIL;
	}
}

/* The keys of a path, or one; of what is no constant, or no text, "". */
static List *
keys_of(Node *node)
{
	Const	   *constant;
	List	   *keys = NIL;
	ListCell   *cell;

	/* a slice without a bound */
	if (node == NULL)
		return list_make1("");
	if (IsA(node, RelabelType))
		return keys_of((Node *) ((RelabelType *) node)->arg);
	if (IsA(node, ArrayCoerceExpr))
		return keys_of((Node *) ((ArrayCoerceExpr *) node)->arg);
	if (IsA(node, ArrayExpr))
	{
		foreach(cell, ((ArrayExpr *) node)->elements)
			keys = list_concat(keys, keys_of(lfirst(cell)));
		return keys;
	}
	constant = (Const *) node;
	if (!IsA(node, Const) || constant->constisnull)
		return list_make1("");
	if (constant->consttype == TEXTOID || constant->consttype == VARCHAROID)
		return list_make1(TextDatumGetCString(constant->constvalue));
	if (constant->consttype == TEXTARRAYOID)
	{
		Datum	   *elements;
		bool	   *nulls;
		int			n;

		deconstruct_array(DatumGetArrayTypeP(constant->constvalue), TEXTOID, -1,
						  false, TYPALIGN_INT, &elements, &nulls, &n);
		for (int i = 0; i < n; i++)
			keys = lappend(keys, nulls[i] ? "" : TextDatumGetCString(elements[i]));
		return keys;
	}
	return list_make1("");
}

/* What is found by keys in what has so much of the cursor. */
static Held
held_within(Held held, List *keys)
{
	ListCell   *cell;

	foreach(cell, keys)
	{
		if (held == HELD_CURSOR)
			held = HELD_PART;
		else if (held == HELD_DOCUMENT)
			held = strcmp(lfirst(cell), "cursor") == 0 ? HELD_CURSOR : HELD_NOTHING;
	}
	return held;
}

/* What an expression has of the cursor. */
static Held
held_by(Columns *columns, Node *node)
{
	Held		held = HELD_NOTHING;
	List	   *args;
	ListCell   *cell;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (node == NULL)
		return HELD_NOTHING;
	if (IsA(node, Var))
		return held_by_column(columns, ((Var *) node)->varattno);
	if (IsA(node, SubscriptingRef))
	{
		SubscriptingRef *ref = (SubscriptingRef *) node;
		List	   *keys = NIL;

		foreach(cell, ref->refupperindexpr)
			keys = list_concat(keys, keys_of(lfirst(cell)));
		return held_within(held_by(columns, (Node *) ref->refexpr), keys);
	}
	if (extracts(called(node, &args)))
		return held_within(held_by(columns, linitial(args)), keys_of(lsecond(args)));
	foreach(cell, values_of(node))
		held = most(held, held_by(columns, lfirst(cell)));
	return held;
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

/* What a column has of the cursor; one that is computed is read once for a table. */
static Held
held_by_column(Columns *columns, AttrNumber attno)
{
	Held	   *held;

	/* the whole row, or an expression */
	if (attno <= 0 || attno > MaxHeapAttributeNumber)
		return HELD_NOTHING;
	held = &columns->held[attno - 1];
	if (*held == HELD_UNKNOWN)
	{
		*held = HELD_NOTHING;
		*held = held_by(columns, generation_expression(columns->relid, attno));
	}
	return *held;
}

/* What an index has of the cursor; a row of pg_index. */
static Held
held_by_index(Columns *columns, HeapTuple tuple, TupleDesc tupdesc)
{
	Form_pg_index index = (Form_pg_index) GETSTRUCT(tuple);
	Held		held = HELD_NOTHING;
	bool		isnull;
	Datum		value = heap_getattr(tuple, Anum_pg_index_indexprs, tupdesc, &isnull);

	if (!isnull)
	{
		List	   *expressions = stringToNode(TextDatumGetCString(value));
		ListCell   *cell;

		foreach(cell, expressions)
			held = most(held, held_by(columns, lfirst(cell)));
	}
	for (int i = 0; i < index->indnatts; i++)
		held = most(held, held_by_column(columns, index->indkey.values[i]));
	return held;
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
	Columns    *columns = palloc0(sizeof(Columns));
	AttrNumber	checkpoint = get_attnum(relid, column);
	Relation	rel = table_open(IndexRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	columns->relid = relid;
	if (checkpoint > 0)
		columns->held[checkpoint - 1] = HELD_DOCUMENT;
	ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(rel, IndexIndrelidIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_index form = (Form_pg_index) GETSTRUCT(tuple);
		TckptCursorIndex *index;
		Held		held;

		/* an index of partitions counts as a whole */
		if (!form->indislive || get_rel_relispartition(form->indexrelid) ||
			!is_btree(form->indexrelid))
			continue;
		held = held_by_index(columns, tuple, RelationGetDescr(rel));
		if (held == HELD_NOTHING)
			continue;
		index = palloc(sizeof(TckptCursorIndex));
		index->name = tckpt_table_name(form->indexrelid);
		index->relid = form->indexrelid;
		index->entire = held >= HELD_DOCUMENT;
		if (index->name != NULL)
			result = lappend(result, index);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	pfree(columns);
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
