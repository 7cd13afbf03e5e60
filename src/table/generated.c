/*-------------------------------------------------------------------------
 *
 * generated.c
 *	  What the server computes of a row, as a trigger needs it.
 *
 * A generated column that is stored is computed after the BEFORE triggers, which
 * find nothing there, or the value of the row before; a virtual one is stored in no
 * row at all.  So either is computed here, by its own expression, as the server will
 * do it: as the caller.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_attribute.h"
#include "executor/executor.h"
#include "rewrite/rewriteHandler.h"
#include "utils/datum.h"
#include "utils/rel.h"

#include "table/generated.h"
#include "tasker_checkpoint.h"

static Datum
compute(Relation rel, AttrNumber attno, HeapTuple row, bool *isnull)
{
	TupleDesc	tupdesc = RelationGetDescr(rel);
	Form_pg_attribute att = TupleDescAttr(tupdesc, attno - 1);
	Expr	   *expression = (Expr *) build_column_default(rel, attno);
	EState	   *estate = CreateExecutorState();
	ExprContext *econtext = GetPerTupleExprContext(estate);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(tupdesc, &TTSOpsHeapTuple);
	Datum		value;

	if (expression == NULL)
		elog(ERROR, "no generation expression found for column number %d of table \"%s\"",
			 attno, RelationGetRelationName(rel));
	ExecStoreHeapTuple(row, slot, false);
	econtext->ecxt_scantuple = slot;
	value = ExecEvalExpr(ExecPrepareExpr(expression, estate), econtext, isnull);
	if (!*isnull)
		value = datumCopy(value, att->attbyval, att->attlen);
	ExecDropSingleTupleTableSlot(slot);
	FreeExecutorState(estate);
	return value;
}

/* What a row that is stored has in a column. */
Datum
tckpt_stored_value(Relation rel, AttrNumber attno, HeapTuple row, bool *isnull)
{
	TupleDesc	tupdesc = RelationGetDescr(rel);
	char		generated = TupleDescAttr(tupdesc, attno - 1)->attgenerated;

	if (generated == '\0' || generated == ATTRIBUTE_GENERATED_STORED)
		return heap_getattr(row, attno, tupdesc, isnull);
	return compute(rel, attno, row, isnull);
}

/* What a row that is to be stored will have in a column. */
Datum
tckpt_new_value(Relation rel, AttrNumber attno, HeapTuple row, bool *isnull)
{
	TupleDesc	tupdesc = RelationGetDescr(rel);

	if (TupleDescAttr(tupdesc, attno - 1)->attgenerated == '\0')
		return heap_getattr(row, attno, tupdesc, isnull);
	return compute(rel, attno, row, isnull);
}
