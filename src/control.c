/*-------------------------------------------------------------------------
 *
 * control.c
 *	  The functions by which an operator controls a step, and the question
 *	  which table is attached.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "steps.h"
#include "tasker_checkpoint.h"

PG_FUNCTION_INFO_V1(tasker_checkpoint_table);
/* The attached table, NULL if there is none.  Raises 55000 if there are two. */
Datum
tasker_checkpoint_table(PG_FUNCTION_ARGS)
{
	Oid			relid = tckpt_steps_find(fcinfo->flinfo->fn_oid);

	if (!OidIsValid(relid))
		PG_RETURN_NULL();
	PG_RETURN_OID(relid);
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_clear);
/* Removes a step's checkpoint; true if there was one. */
Datum
tasker_checkpoint_clear(PG_FUNCTION_ARGS)
{
	TckptSteps *steps;
	Jsonb	   *checkpoint;

	PreventCommandIfReadOnly("tasker_checkpoint_clear()");
	tckpt_require_argument(fcinfo, 0, "step_uuid");
	steps = tckpt_steps_open(fcinfo->flinfo->fn_oid, RowExclusiveLock);
	checkpoint = tckpt_steps_lock(steps, PG_GETARG_UUID_P(0));
	if (checkpoint != NULL)
		tckpt_steps_clear(steps, PG_GETARG_UUID_P(0));
	PG_RETURN_BOOL(checkpoint != NULL);
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_reset_for_retry);
/* Makes a step ready for another run; it keeps its checkpoint unless told. */
Datum
tasker_checkpoint_reset_for_retry(PG_FUNCTION_ARGS)
{
	TckptSteps *steps;

	PreventCommandIfReadOnly("tasker_checkpoint_reset_for_retry()");
	tckpt_require_argument(fcinfo, 0, "step_uuid");
	tckpt_require_argument(fcinfo, 1, "reset_checkpoint");
	steps = tckpt_steps_open(fcinfo->flinfo->fn_oid, RowExclusiveLock);
	tckpt_steps_reset(steps, PG_GETARG_UUID_P(0));
	if (PG_GETARG_BOOL(1))
		tckpt_steps_clear(steps, PG_GETARG_UUID_P(0));
	PG_RETURN_VOID();
}
