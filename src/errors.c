/*-------------------------------------------------------------------------
 *
 * errors.c
 *	  What messages have in common.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/fmgrprotos.h"

#include "counters.h"
#include "tasker_checkpoint.h"

/* errcode() of an error by which a call is refused, and counted as such. */
int
tckpt_refused(int sqlstate)
{
	tckpt_stats_count_refusal(sqlstate);
	return errcode(sqlstate);
}

/* A step as messages name it. */
char *
tckpt_step_name(const pg_uuid_t *step)
{
	if (step == NULL)
		return pstrdup("null");
	return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(step)));
}

/* Our functions are not STRICT: a NULL is an error that names the argument. */
void
tckpt_require_argument(FunctionCallInfo fcinfo, int argno, const char *name)
{
	if (PG_ARGISNULL(argno))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
}

void
tckpt_require_unprocessed(const pg_uuid_t *step, bool processed)
{
	if (processed)
		ereport(ERROR,
				(tckpt_refused(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("step \"%s\" is already processed",
						tckpt_step_name(step)),
				 errhint("Make it ready for another run with tasker_checkpoint_reset_for_retry().")));
}

/* For a trigger's function, which anybody may have called who can execute it. */
void
tckpt_require_protocol(bool ok, const char *function, const char *wanted)
{
	if (!ok)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called %s", function, wanted),
				 errhint("Let tasker_checkpoint_attach() create the trigger.")));
}
