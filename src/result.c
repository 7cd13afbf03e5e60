/*-------------------------------------------------------------------------
 *
 * result.c
 *	  What a function returns whose result is a row of a named type, or many.
 *
 * ALTER TYPE can give such a type other columns than the function fills, which
 * would be read past their end, or as what they are not.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "result.h"
#include "tasker_checkpoint.h"

static void
require_types(FunctionCallInfo fcinfo, TupleDesc tupdesc, const Oid *types,
			  int ntypes)
{
	bool		same = tupdesc->natts == ntypes;

	for (int i = 0; i < ntypes && same; i++)
		same = TupleDescAttr(tupdesc, i)->atttypid == types[i];
	if (!same)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("type %s is not as the extension has made it",
						format_type_be(get_func_rettype(fcinfo->flinfo->fn_oid))),
				 errdetail("Its columns have other types, or there are more or less of them."),
				 errhint("Undo what ALTER TYPE has done.")));
}

/* The row.  Raises 55000 if its type has other columns. */
Datum
tckpt_result_row(FunctionCallInfo fcinfo, const Oid *types, int ntypes,
				 const Datum *values, const bool *nulls)
{
	TupleDesc	tupdesc;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	require_types(fcinfo, tupdesc, types, ntypes);
	return HeapTupleGetDatum(heap_form_tuple(tupdesc, (Datum *) values, (bool *) nulls));
}

/* Begins to return rows, as InitMaterializedSRF() does.  Raises 55000 likewise. */
void
tckpt_result_rows(FunctionCallInfo fcinfo, const Oid *types, int ntypes)
{
	InitMaterializedSRF(fcinfo, 0);
	require_types(fcinfo, ((ReturnSetInfo *) fcinfo->resultinfo)->setDesc, types, ntypes);
}
