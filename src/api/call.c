/*-------------------------------------------------------------------------
 *
 * call.c
 *	  Calling functions of the extension that are in SQL.
 *
 * They are called as what they are, and not by a statement with their names:
 * others may give a name of ours to functions that fit as well.  No right is
 * asked for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "api/call.h"
#include "tasker_checkpoint.h"

/* A function in the schema of another one of ours.  Raises 42883. */
Oid
tckpt_own_function(Oid function, const char *name, int nargs, const Oid *types)
{
	Oid			found = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
										CStringGetDatum(name),
										PointerGetDatum(buildoidvector(types, nargs)),
										ObjectIdGetDatum(get_func_namespace(function)));

	if (!OidIsValid(found))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function \"%s\" does not exist", name),
				 errhint("Create the extension again.")));
	return found;
}

/* Calls a function with arguments that are not NULL, whatever it returns. */
void
tckpt_call(Oid function, int nargs, const Datum *args)
{
	LOCAL_FCINFO(call, FUNC_MAX_ARGS);
	FmgrInfo	flinfo;

	fmgr_info(function, &flinfo);
	InitFunctionCallInfoData(*call, &flinfo, nargs, InvalidOid, NULL, NULL);
	for (int i = 0; i < nargs; i++)
	{
		call->args[i].value = args[i];
		call->args[i].isnull = false;
	}
	(void) FunctionCallInvoke(call);
}

/*
 * Calls a function that returns a table and takes no arguments; all its rows, in
 * the caller's memory context.
 */
Tuplestorestate *
tckpt_call_rows(Oid function, TupleDesc *tupdesc)
{
	LOCAL_FCINFO(call, 0);
	FmgrInfo	flinfo;
	ReturnSetInfo rsinfo = {
		.type = T_ReturnSetInfo,
		/* a function in SQL insists on both */
		.allowedModes = SFRM_ValuePerCall | SFRM_Materialize | SFRM_Materialize_Preferred
	};

	if (get_func_result_type(function, NULL, tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	rsinfo.econtext = CreateStandaloneExprContext();
	rsinfo.expectedDesc = *tupdesc;
	fmgr_info(function, &flinfo);
	InitFunctionCallInfoData(*call, &flinfo, 0, InvalidOid, NULL, (Node *) &rsinfo);
	(void) FunctionCallInvoke(call);
	FreeExprContext(rsinfo.econtext, true);
	if (rsinfo.returnMode != SFRM_Materialize || rsinfo.setResult == NULL)
		elog(ERROR, "function %u has not returned a table", function);
	return rsinfo.setResult;
}
