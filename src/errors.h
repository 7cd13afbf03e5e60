/*-------------------------------------------------------------------------
 *
 * errors.h
 *	  SQLSTATEs of our own, and what messages have in common.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_ERRORS_H
#define TCKPT_ERRORS_H

#include "fmgr.h"
#include "utils/elog.h"
#include "utils/uuid.h"

/* Class TC is nobody else's */

/* items_processed went backwards */
#define ERRCODE_TCKPT_ITEMS_WENT_BACKWARDS	MAKE_SQLSTATE('T','C','0','0','1')

/* The claim under which it was written is not the step's current one */
#define ERRCODE_TCKPT_CLAIM_SUPERSEDED		MAKE_SQLSTATE('T','C','0','0','2')

/* It is stored already, with what its transaction has written */
#define ERRCODE_TCKPT_STORED_BEFORE			MAKE_SQLSTATE('T','C','0','0','3')

extern int	tckpt_refused(int sqlstate);
extern char *tckpt_step_name(const pg_uuid_t *step);
extern void tckpt_require_argument(FunctionCallInfo fcinfo, int argno,
								   const char *name);
extern void tckpt_require_unprocessed(const pg_uuid_t *step, bool processed);
extern void tckpt_require_protocol(bool ok, const char *function,
								   const char *wanted);

#endif							/* TCKPT_ERRORS_H */
