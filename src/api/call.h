/*-------------------------------------------------------------------------
 *
 * call.h
 *	  Calling functions of the extension that are in SQL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_CALL_H
#define TCKPT_CALL_H

#include "access/tupdesc.h"
#include "fmgr.h"
#include "utils/tuplestore.h"

extern Oid	tckpt_own_function(Oid function, const char *name, int nargs,
							   const Oid *types);
extern void tckpt_call(Oid function, int nargs, const Datum *args);
extern Tuplestorestate *tckpt_call_rows(Oid function, TupleDesc *tupdesc);

#endif							/* TCKPT_CALL_H */
