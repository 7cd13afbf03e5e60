/*-------------------------------------------------------------------------
 *
 * write.h
 *	  Writing a checkpoint, and the receipt for it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_WRITE_H
#define TCKPT_WRITE_H

#include "document/document.h"
#include "table/steps.h"

extern Jsonb *tckpt_checkpoint_parts(const TckptValue *cursor, int64 items,
									 const TckptValue *results);
extern void tckpt_write_checkpoint(FunctionCallInfo fcinfo, TckptRequest *request,
								   const Jsonb *parts, TckptOutcome *outcome);
extern Datum tckpt_make_receipt(FunctionCallInfo fcinfo,
								const TckptOutcome *outcome,
								const pg_uuid_t *event_id);

#endif							/* TCKPT_WRITE_H */
