/*-------------------------------------------------------------------------
 *
 * result.h
 *	  What a function returns whose result is a row of a named type, or many.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_RESULT_H
#define TCKPT_RESULT_H

#include "fmgr.h"

extern Datum tckpt_result_row(FunctionCallInfo fcinfo, const Oid *types,
							  int ntypes, const Datum *values, const bool *nulls);
extern void tckpt_result_rows(FunctionCallInfo fcinfo, const Oid *types,
							  int ntypes);

#endif							/* TCKPT_RESULT_H */
