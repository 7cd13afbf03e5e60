/*-------------------------------------------------------------------------
 *
 * doctor.c
 *	  One check of the doctor, and what it may not look at.
 *
 * The checks are in SQL, and bound to what they use.  This is what SQL cannot do:
 * call one whatever else has its name, and go on where the caller has not the
 * right to look.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/resowner.h"

#include "api/call.h"
#include "dispatch/event_row.h"
#include "tasker_checkpoint.h"

#define CHECK_PREFIX	"tasker_checkpoint_check_"

/* What a check returns */
enum
{
	FOUND_STATUS,
	FOUND_FOUND,
	FOUND_STATEMENT,
	FOUND_NCOLUMNS
};

/* tasker_checkpoint_look() */
enum
{
	DIAGNOSIS_CHECK,
	DIAGNOSIS_STATUS,
	DIAGNOSIS_FOUND,
	DIAGNOSIS_STATEMENT,
	DIAGNOSIS_NCOLUMNS
};

static bool
is_ok(TupleTableSlot *slot)
{
	bool		isnull;
	Datum		status = slot_getattr(slot, FOUND_STATUS + 1, &isnull);

	return !isnull && strcmp(TextDatumGetCString(status), "ok") == 0;
}

/* Puts the rows of a check into ours; the one that says "ok" only if it is alone. */
static void
put_rows(ReturnSetInfo *rsinfo, const char *topic, Oid check)
{
	TupleDesc	tupdesc;
	Tuplestorestate *rows = tckpt_call_rows(check, &tupdesc);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(tupdesc, &TTSOpsMinimalTuple);
	bool		is_well = true;

	if (tupdesc->natts != FOUND_NCOLUMNS)
		elog(ERROR, "function %u is no check", check);
	for (int i = 0; i < FOUND_NCOLUMNS; i++)
		if (TupleDescAttr(tupdesc, i)->atttypid != TEXTOID)
			elog(ERROR, "function %u is no check", check);

	while (is_well && tuplestore_gettupleslot(rows, true, false, slot))
		is_well = is_ok(slot);
	tuplestore_rescan(rows);
	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		Datum		values[DIAGNOSIS_NCOLUMNS];
		bool		nulls[DIAGNOSIS_NCOLUMNS] = {false};

		if (!is_well && is_ok(slot))
			continue;
		values[DIAGNOSIS_CHECK] = CStringGetTextDatum(topic);
		for (int i = 0; i < FOUND_NCOLUMNS; i++)
			values[DIAGNOSIS_STATUS + i] = slot_getattr(slot, FOUND_STATUS + i + 1,
														&nulls[DIAGNOSIS_STATUS + i]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(rows);
}

/* What the caller may not look at is a row of its own. */
static void
put_refusal(ReturnSetInfo *rsinfo, const char *topic, const char *message)
{
	Datum		values[DIAGNOSIS_NCOLUMNS] = {0};
	bool		nulls[DIAGNOSIS_NCOLUMNS] = {[DIAGNOSIS_STATEMENT] = true};

	values[DIAGNOSIS_CHECK] = CStringGetTextDatum(topic);
	values[DIAGNOSIS_STATUS] = CStringGetTextDatum("notice");
	values[DIAGNOSIS_FOUND] = CStringGetTextDatum(psprintf("Role \"%s\" could not look at this: %s.",
														   GetUserNameFromId(GetUserId(), false),
														   message));
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_look);
/* Calls a check, in a subtransaction.  Raises whatever it raises, but for 42501. */
Datum
tasker_checkpoint_look(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	Oid			check;
	char	   *name;
	char	   *topic;

	tckpt_require_argument(fcinfo, 0, "look_at");
	check = PG_GETARG_OID(0);
	name = get_func_name(check);
	if (name == NULL || strncmp(name, CHECK_PREFIX, strlen(CHECK_PREFIX)) != 0 ||
		getExtensionOfObject(ProcedureRelationId, check) !=
		getExtensionOfObject(ProcedureRelationId, fcinfo->flinfo->fn_oid))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("look_at must be a check of the extension"),
				 errdetail("It is function %u.", check)));
	topic = name + strlen(CHECK_PREFIX);
	InitMaterializedSRF(fcinfo, 0);

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		if (!tckpt_may_execute(check, GetUserId()))
			aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION, name);
		put_rows(rsinfo, topic, check);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		if (error->sqlerrcode != ERRCODE_INSUFFICIENT_PRIVILEGE)
			ReThrowError(error);
		put_refusal(rsinfo, topic, error->message);
	}
	PG_END_TRY();
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_missing_indexes);
/* The indexes without which nothing is dispatched or claimed.  Raises 55000. */
Datum
tasker_checkpoint_missing_indexes(PG_FUNCTION_ARGS)
{
	static const TckptOwnIndex *const wanted[] = {
		&tckpt_event_step_key, &tckpt_event_claimable
	};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Relation	rel = tckpt_event_table(fcinfo->flinfo->fn_oid, AccessShareLock);

	InitMaterializedSRF(fcinfo, 0);
	for (size_t i = 0; i < lengthof(wanted); i++)
	{
		Datum		values[] = {
			BoolGetDatum(wanted[i]->unique), CStringGetTextDatum(wanted[i]->definition)
		};
		bool		nulls[lengthof(values)] = {false};

		if (!OidIsValid(tckpt_own_find_index(rel, wanted[i])))
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	table_close(rel, AccessShareLock);
	return (Datum) 0;
}
