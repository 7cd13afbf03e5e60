/*-------------------------------------------------------------------------
 *
 * claimable.h
 *	  A walk over the events that can be claimed, in the order in which they
 *	  are to be.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_CLAIMABLE_H
#define TCKPT_CLAIMABLE_H

#include "dispatch/events.h"

/* Events that a call looks at and can't deliver, but for those that others have locked */
#define TCKPT_MAX_PASSED	500

typedef struct TckptClaimable TckptClaimable;

extern TckptClaimable *tckpt_claimable_begin(Oid function, TimestampTz now,
											 char *const *queues, int nqueues);
extern bool tckpt_claimable_next(TckptClaimable *walk, TckptEvent *event);
extern bool tckpt_claimable_lock(TckptClaimable *walk, TckptEvent *event);
extern bool tckpt_claimable_is_taken(TckptClaimable *walk,
									 const TckptEvent *event);
extern void tckpt_claimable_end(TckptClaimable *walk);

#endif							/* TCKPT_CLAIMABLE_H */
