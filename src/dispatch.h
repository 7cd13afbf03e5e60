/*-------------------------------------------------------------------------
 *
 * dispatch.h
 *	  The protocol of a step's dispatch: replay, fence, and what a checkpoint
 *	  does to the event.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_DISPATCH_H
#define TCKPT_DISPATCH_H

#include "guard.h"

extern TckptVerdict tckpt_dispatch_admit(TckptCall *call);
extern const TckptReceipt *tckpt_dispatch_receipt(const TckptCall *call);
extern void tckpt_dispatch_require_no_claim(const pg_uuid_t *step);
extern void tckpt_dispatch_require_unclaimed(Oid function,
											 const pg_uuid_t *step);
extern void tckpt_dispatch_require_no_event(Oid function,
											const pg_uuid_t *step);

extern bool tckpt_dispatch_record(TckptCall *call);
extern bool tckpt_dispatch_supersede(Oid function, const pg_uuid_t *step,
									 int64 sequence, TckptEvent *event);
extern void tckpt_dispatch_offer(TckptEvent *event, TimestampTz available_at);
extern void tckpt_dispatch_extend(TckptEvent *event);
extern void tckpt_dispatch_forget(Oid function, const TckptEvent *event);
extern void tckpt_dispatch_wake(const TckptEvent *event);

#endif							/* TCKPT_DISPATCH_H */
