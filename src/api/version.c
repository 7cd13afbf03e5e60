/*-------------------------------------------------------------------------
 *
 * version.c
 *	  Which version this library is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "tasker_checkpoint.h"

PG_FUNCTION_INFO_V1(tasker_checkpoint_version);
/* The version of the control file that the library was built with. */
Datum
tasker_checkpoint_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(TCKPT_VERSION));
}
