/*-------------------------------------------------------------------------
 *
 * ring.h
 *	  Wake-ups on their way from committed transactions to the notifier, in
 *	  shared memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_RING_H
#define TCKPT_RING_H

#include "access/xact.h"
#include "storage/latch.h"
#include "utils/uuid.h"

/* Entries that a notifier takes at a time */
#define TCKPT_RING_BATCH	1024

/* An event that can be claimed, and the subtransaction that has made it so, or has it locked */
typedef struct TckptWakeup
{
	pg_uuid_t	step;
	pg_uuid_t	event_id;
	int64		sequence;
	char		queue[NAMEDATALEN];
	bool		notify;			/* those who listen are told as well */
	bool		at_commit;		/* it can be claimed from then on */
	bool		at_abort;
	SubTransactionId subid;
} TckptWakeup;

/* The same in the ring */
typedef struct TckptRingEntry
{
	pg_uuid_t	step;
	int64		sequence;
	char		queue[NAMEDATALEN];
	char		channel[NAMEDATALEN];
} TckptRingEntry;

/* Which ring a notifier drains, and for how long it is its */
typedef struct TckptRingSeat
{
	int			slot;
	uint32		generation;
} TckptRingSeat;

extern void tckpt_ring_init(void);

/* For transactions */
extern bool tckpt_ring_reserve(size_t n, TckptRingSeat *seat, bool *start);
extern void tckpt_ring_push(const TckptWakeup *wakeups, size_t n);
extern void tckpt_ring_release(void);

/* For the notifier */
extern Oid	tckpt_ring_database(const TckptRingSeat *seat);
extern void tckpt_ring_attach(const TckptRingSeat *seat, Latch *latch);
extern size_t tckpt_ring_take(const TckptRingSeat *seat,
							  TckptRingEntry *entries);
extern bool tckpt_ring_leave(const TckptRingSeat *seat);
extern size_t tckpt_ring_abandon(const TckptRingSeat *seat);

#endif							/* TCKPT_RING_H */
