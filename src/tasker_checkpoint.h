/*-------------------------------------------------------------------------
 *
 * tasker_checkpoint.h
 *	  What every file of the extension includes after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKER_CHECKPOINT_H
#define TASKER_CHECKPOINT_H

#include "utils/uuid.h"

#include "compat.h"
#include "errors.h"

/* The guard's SQL name, by which the attached table is found */
#define TCKPT_GUARD_NAME "tasker_checkpoint_guard"

/* That of the trigger beside it */
#define TCKPT_FORGET_NAME "tasker_checkpoint_forget"

static inline bool
tckpt_same_uuid(const pg_uuid_t *a, const pg_uuid_t *b)
{
	return memcmp(a, b, sizeof(pg_uuid_t)) == 0;
}

#endif							/* TASKER_CHECKPOINT_H */
