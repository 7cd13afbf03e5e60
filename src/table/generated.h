/*-------------------------------------------------------------------------
 *
 * generated.h
 *	  What the server computes of a row, as a trigger needs it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_GENERATED_H
#define TCKPT_GENERATED_H

#include "access/attnum.h"
#include "access/htup.h"
#include "utils/relcache.h"

extern Datum tckpt_stored_value(Relation rel, AttrNumber attno, HeapTuple row,
								bool *isnull);
extern Datum tckpt_new_value(Relation rel, AttrNumber attno, HeapTuple row,
							 bool *isnull);

#endif							/* TCKPT_GENERATED_H */
