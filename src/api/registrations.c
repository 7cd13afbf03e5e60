/*-------------------------------------------------------------------------
 *
 * registrations.c
 *	  What SQL may ask of the steps table: which one it is, and could be.
 *
 * Only catalogs are read, and no table is locked.  So everybody may ask, nobody
 * has to wait, and what was found may be gone when this returns.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

#include "table/attached.h"
#include "table/candidates.h"
#include "table/swapped.h"
#include "tasker_checkpoint.h"

/* tasker_checkpoint_registrations() */
enum
{
	REGISTRATION_STEPS,
	REGISTRATION_RELID,
	REGISTRATION_ATTACHED,
	REGISTRATION_COUNTS,
	REGISTRATION_IS_MARKED,
	REGISTRATION_TRIGGER_NAME,
	REGISTRATION_ENABLED,
	REGISTRATION_KEY,
	REGISTRATION_CHECKPOINT,
	REGISTRATION_PROCESSED,
	REGISTRATION_UPDATED_AT,
	REGISTRATION_RETRY,
	REGISTRATION_NCOLUMNS
};

/* tasker_checkpoint_candidates() */
enum
{
	CANDIDATE_RELID,
	CANDIDATE_TRUSTED,
	CANDIDATE_ALIKE,
	CANDIDATE_NCOLUMNS
};

/* The name of a column; NULL if it is none, or is gone. */
static void
put_column(Oid relid, AttrNumber attno, int place, Datum *values, bool *nulls)
{
	char	   *name = attno == InvalidAttrNumber ? NULL : get_attname(relid, attno, true);

	nulls[place] = name == NULL;
	if (name != NULL)
		values[place] = DirectFunctionCall1(namein, CStringGetDatum(name));
}

static void
put_registration(ReturnSetInfo *rsinfo, TckptRegistration *registration)
{
	TckptTrigger *trigger = &registration->trigger;
	Oid			relid = trigger->relid;
	Datum		values[REGISTRATION_NCOLUMNS] = {0};
	bool		nulls[REGISTRATION_NCOLUMNS] = {false};

	values[REGISTRATION_STEPS] = ObjectIdGetDatum(registration->steps);
	values[REGISTRATION_RELID] = ObjectIdGetDatum(relid);
	values[REGISTRATION_ATTACHED] = BoolGetDatum(registration->attached);
	values[REGISTRATION_COUNTS] = BoolGetDatum(registration->counts);
	values[REGISTRATION_IS_MARKED] = BoolGetDatum(registration->marked);
	values[REGISTRATION_TRIGGER_NAME] = NameGetDatum(&trigger->name);
	values[REGISTRATION_ENABLED] = CharGetDatum(registration->enabled);
	put_column(relid, trigger->key, REGISTRATION_KEY, values, nulls);
	put_column(relid, trigger->checkpoint, REGISTRATION_CHECKPOINT, values, nulls);
	put_column(relid, tckpt_processed_attno(relid), REGISTRATION_PROCESSED, values, nulls);
	put_column(relid, tckpt_updated_at_attno(relid), REGISTRATION_UPDATED_AT, values, nulls);
	values[REGISTRATION_RETRY] = tckpt_retry_columns(trigger);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_registrations);
/* A row for each trigger that calls the guard; that of the attached table first. */
Datum
tasker_checkpoint_registrations(PG_FUNCTION_ARGS)
{
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, tckpt_registration_list(tckpt_guard_of(fcinfo->flinfo->fn_oid)))
	{
		CHECK_FOR_INTERRUPTS();
		put_registration((ReturnSetInfo *) fcinfo->resultinfo, lfirst(lc));
	}
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_candidates);
/* Tasker's tables, as far as they could be attached unasked but for their owner. */
Datum
tasker_checkpoint_candidates(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid			function = fcinfo->flinfo->fn_oid;
	TckptTrigger steps;
	bool		contested;
	bool		attached = tckpt_registrations(tckpt_guard_of(function), &steps, &contested) > 0;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, tckpt_candidates(function, false))
	{
		Datum		values[CANDIDATE_NCOLUMNS];
		bool		nulls[CANDIDATE_NCOLUMNS] = {false};

		values[CANDIDATE_RELID] = ObjectIdGetDatum(lfirst_oid(lc));
		values[CANDIDATE_TRUSTED] = BoolGetDatum(tckpt_is_trusted(lfirst_oid(lc), function));
		values[CANDIDATE_ALIKE] = BoolGetDatum(attached && tckpt_is_alike(lfirst_oid(lc), &steps));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_trusts);
/* Whether a table's owner is one whose table could be attached unasked. */
Datum
tasker_checkpoint_trusts(PG_FUNCTION_ARGS)
{
	tckpt_require_argument(fcinfo, 0, "relid");
	PG_RETURN_BOOL(tckpt_is_trusted(PG_GETARG_OID(0), fcinfo->flinfo->fn_oid));
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_attach_call);
/* The statement that attaches a table; NULL if that is gone. */
Datum
tasker_checkpoint_attach_call(PG_FUNCTION_ARGS)
{
	char	   *table;

	tckpt_require_argument(fcinfo, 0, "relid");
	tckpt_require_argument(fcinfo, 1, "key_column");
	table = tckpt_table_name(PG_GETARG_OID(0));
	if (table == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(tckpt_attach_call(fcinfo->flinfo->fn_oid, table,
													   NameStr(*PG_GETARG_NAME(1)))));
}
