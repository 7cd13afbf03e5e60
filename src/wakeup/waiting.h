/*-------------------------------------------------------------------------
 *
 * waiting.h
 *	  Sessions that wait for work, in shared memory, and how one is woken.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_WAITING_H
#define TCKPT_WAITING_H

#include "datatype/timestamp.h"
#include "utils/uuid.h"

/* An event that can be claimed; whoever is woken for it looks for it first */
typedef struct TckptOffer
{
	pg_uuid_t	event_id;
	uint32		queue;			/* its name's hash */
	uint64		below;			/* those with a number from here on were tried */
} TckptOffer;

/* When something can be claimed that can't be now, as one of a database knows it */
typedef struct TckptClock
{
	TimestampTz due;			/* it looks again then */
	TimestampTz from;			/* nothing before is still to come */
	TimestampTz offered;		/* what was due by then was offered */
	TimestampTz told;			/* earliest that commits told of meanwhile */
} TckptClock;

extern void tckpt_waiting_init(void);
extern bool tckpt_waiting_attach(void);
extern uint32 tckpt_queue_hash(const char *queue);

/* For those who offer */
extern bool tckpt_waiting_offer(const pg_uuid_t *event_id, uint32 queue);
extern void tckpt_waiting_expect(TimestampTz at);
extern void tckpt_waiting_wake_all(void);

/* For those who wait */
extern bool tckpt_waiting_enter(char *const *queues, int nqueues);
extern bool tckpt_waiting_take(TckptOffer *offer);
extern void tckpt_waiting_served(void);
extern void tckpt_waiting_hand_on(void);
extern void tckpt_waiting_leave(void);
extern bool tckpt_waiting_keeps_clock(TimestampTz *due);
extern bool tckpt_waiting_is_served(uint32 queue);
extern void tckpt_waiting_read_clock(TckptClock *clock);
extern void tckpt_waiting_set_clock(const TckptClock *clock);

#endif							/* TCKPT_WAITING_H */
