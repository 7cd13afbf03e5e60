/*-------------------------------------------------------------------------
 *
 * yield.h
 *	  Writing a checkpoint, and the receipt for it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_YIELD_H
#define TCKPT_YIELD_H

#include "document.h"
#include "steps.h"

extern Jsonb *tckpt_checkpoint_parts(const TckptValue *cursor, int64 items,
									 const TckptValue *results);
extern void tckpt_write_checkpoint(FunctionCallInfo fcinfo, TckptCall *call,
								   const Jsonb *parts);
extern Datum tckpt_make_receipt(FunctionCallInfo fcinfo, const TckptCall *call,
								const pg_uuid_t *event_id);

#endif							/* TCKPT_YIELD_H */
