/*-------------------------------------------------------------------------
 *
 * waiting.c
 *	  Sessions that wait for work, in shared memory, and how one is woken.
 *
 * They stand in the order in which they have come.  A commit wakes the last one
 * that waits for the queue of what it offers, so that a few stay at work and have
 * what they need at hand while the others sleep.  Who is woken and has no use for
 * the offer, or leaves before it has looked, hands it on to the next before it;
 * those who have come later have looked by themselves since.
 *
 * One that has been woken and has not looked yet is not woken again: it will
 * see all that is committed by then.
 *
 * The first of a database keeps the clock: it looks for events whose delay or
 * lease has ended, and offers them as a commit does.  Who leaves gives the clock
 * to the next.
 *
 * Commits call this when nothing may fail any more, so what they need is attached
 * before.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "wakeup/segment.h"
#include "wakeup/waiting.h"

/* Of one that waits for more queues it is not known for which */
#define MAX_QUEUES		16

/* What a new keeper of the clock looks back for leases that were extended since */
#define LOOK_BACK		USECS_PER_MINUTE

typedef struct Waiter
{
	int			process;		/* its place among the server's */
	Oid			database;
	uint64		number;			/* grows with each that comes */
	bool		woken;
	TckptOffer	offer;			/* for this, if so */
	TckptClock	clock;			/* the first one's of a database */
	int			nqueues;		/* 0: any */
	uint32		queues[MAX_QUEUES];
} Waiter;

typedef struct Shared
{
	TckptSegment segment;		/* has the lock, which guards the rest */
	uint64		last_number;
	int			n;
	Waiter		waiters[FLEXIBLE_ARRAY_MEMBER]; /* in the order of number */
} Shared;

static Shared *shared = NULL;

/* What this session was woken for and has not finished with */
static bool has_taken = false;
static TckptOffer taken;

static Size
shared_size(void)
{
	return add_size(offsetof(Shared, waiters),
					mul_size(MaxBackends, sizeof(Waiter)));
}

void
tckpt_waiting_init(void)
{
	tckpt_segment_init(shared_size);
}

/*
 * Makes the rest of this file work, in a transaction; false if it can't be.  Then
 * those who offer tell nobody, and those who wait look by themselves.
 */
bool
tckpt_waiting_attach(void)
{
	if (shared == NULL)
		shared = (Shared *) tckpt_segment_attach();
	return shared != NULL;
}

uint32
tckpt_queue_hash(const char *queue)
{
	return hash_bytes((const unsigned char *) queue, (int) strlen(queue));
}

static Latch *
latch_of(const Waiter *waiter)
{
	return &ProcGlobal->allProcs[waiter->process].procLatch;
}

static int
own_process(void)
{
	return (int) (MyProc - ProcGlobal->allProcs);
}

/* These two: NULL if there is none; the caller has the lock. */
static Waiter *
own_waiter(void)
{
	int			process = own_process();

	for (int i = shared->n; i-- > 0;)
		if (shared->waiters[i].process == process)
			return &shared->waiters[i];
	return NULL;
}

static Waiter *
clock_keeper(void)
{
	for (int i = 0; i < shared->n; i++)
		if (shared->waiters[i].database == MyDatabaseId)
			return &shared->waiters[i];
	return NULL;
}

static bool
serves(const Waiter *waiter, uint32 queue)
{
	if (waiter->database != MyDatabaseId)
		return false;
	for (int i = 0; i < waiter->nqueues; i++)
		if (waiter->queues[i] == queue)
			return true;
	return waiter->nqueues == 0;
}

/*
 * Whether there may be anybody.  Who comes after this has looked has yet to look
 * at the table.
 */
static bool
is_anybody_there(void)
{
	if (shared == NULL)
		return false;
	pg_memory_barrier();
	return ((volatile Shared *) shared)->n > 0;
}

/* Wakes one for an offer; false if there is nobody to be woken. */
static bool
wake_one(const TckptOffer *offer)
{
	Latch	   *latch = NULL;

	LWLockAcquire(&shared->segment.lock, LW_EXCLUSIVE);
	for (int i = shared->n; latch == NULL && i-- > 0;)
	{
		Waiter	   *waiter = &shared->waiters[i];

		if (!waiter->woken && waiter->number < offer->below &&
			serves(waiter, offer->queue))
		{
			waiter->woken = true;
			waiter->offer = *offer;
			waiter->offer.below = waiter->number;
			latch = latch_of(waiter);
		}
	}
	LWLockRelease(&shared->segment.lock);

	if (latch != NULL)
		SetLatch(latch);
	return latch != NULL;
}

/* The same, for an event that can be claimed from now on.  Cannot fail. */
bool
tckpt_waiting_offer(const pg_uuid_t *event_id, uint32 queue)
{
	TckptOffer	offer = {
		.event_id = *event_id,
		.queue = queue,
		.below = PG_UINT64_MAX
	};

	return is_anybody_there() && wake_one(&offer);
}

/* Something can be claimed from that time on.  Cannot fail. */
void
tckpt_waiting_expect(TimestampTz at)
{
	Waiter	   *keeper;
	Latch	   *latch = NULL;

	if (!is_anybody_there())
		return;

	LWLockAcquire(&shared->segment.lock, LW_EXCLUSIVE);
	keeper = clock_keeper();
	if (keeper != NULL)
	{
		keeper->clock.told = Min(keeper->clock.told, at);
		if (at < keeper->clock.due)
		{
			keeper->clock.due = at;
			latch = latch_of(keeper);
		}
	}
	LWLockRelease(&shared->segment.lock);

	if (latch != NULL)
		SetLatch(latch);
}

/* All of the database are to look.  Cannot fail. */
void
tckpt_waiting_wake_all(void)
{
	if (!is_anybody_there())
		return;

	LWLockAcquire(&shared->segment.lock, LW_EXCLUSIVE);
	for (int i = 0; i < shared->n; i++)
	{
		Waiter	   *waiter = &shared->waiters[i];

		if (waiter->database != MyDatabaseId)
			continue;
		if (!waiter->woken)
			memset(&waiter->offer, 0, sizeof(waiter->offer));
		waiter->woken = true;
		SetLatch(latch_of(waiter));
	}
	LWLockRelease(&shared->segment.lock);
}

/*
 * This session waits, for these queues or for all: from now on it is woken.  It has
 * to look once after this, since what was committed before wakes nobody.  False if
 * there is no room, which there always is.
 */
bool
tckpt_waiting_enter(char *const *queues, int nqueues)
{
	TimestampTz now = GetCurrentTimestamp();
	Waiter	   *waiter;

	LWLockAcquire(&shared->segment.lock, LW_EXCLUSIVE);
	if (own_waiter() != NULL || shared->n >= MaxBackends)
	{
		LWLockRelease(&shared->segment.lock);
		return false;
	}
	waiter = &shared->waiters[shared->n++];
	memset(waiter, 0, sizeof(*waiter));
	waiter->process = own_process();
	waiter->database = MyDatabaseId;
	waiter->number = ++shared->last_number;
	waiter->clock.due = now;
	waiter->clock.from = now - LOOK_BACK;
	waiter->clock.offered = now;
	waiter->clock.told = DT_NOEND;
	if (nqueues <= MAX_QUEUES)
	{
		waiter->nqueues = nqueues;
		for (int i = 0; i < nqueues; i++)
			waiter->queues[i] = tckpt_queue_hash(queues[i]);
	}
	LWLockRelease(&shared->segment.lock);
	return true;
}

/*
 * Whether this session was woken, and what for.  It is to look now, and then to
 * call tckpt_waiting_served() or tckpt_waiting_hand_on().
 */
bool
tckpt_waiting_take(TckptOffer *offer)
{
	Waiter	   *waiter;

	LWLockAcquire(&shared->segment.lock, LW_EXCLUSIVE);
	waiter = own_waiter();
	if (waiter != NULL && waiter->woken)
	{
		waiter->woken = false;
		taken = waiter->offer;
		has_taken = true;
	}
	LWLockRelease(&shared->segment.lock);

	*offer = taken;
	return has_taken;
}

/* The offer is not to be handed on: this session claims it, or somebody has. */
void
tckpt_waiting_served(void)
{
	has_taken = false;
}

/* The offer is there still, and not for this session, or not now. */
void
tckpt_waiting_hand_on(void)
{
	if (has_taken)
		(void) wake_one(&taken);
	has_taken = false;
}

/*
 * This session waits no more, for whatever reason.  What it was woken for and has
 * not looked at is handed on.
 */
void
tckpt_waiting_leave(void)
{
	Waiter	   *waiter;
	Waiter	   *keeper = NULL;
	Latch	   *latch = NULL;
	TckptOffer	offer;
	bool		woken = false;

	if (shared == NULL)
		return;

	LWLockAcquire(&shared->segment.lock, LW_EXCLUSIVE);
	waiter = own_waiter();
	if (waiter != NULL)
	{
		bool		kept = waiter == clock_keeper();
		TckptClock	clock = waiter->clock;

		woken = waiter->woken;
		offer = waiter->offer;
		shared->n--;
		memmove(waiter, waiter + 1,
				(char *) &shared->waiters[shared->n] - (char *) waiter);
		if (kept)
			keeper = clock_keeper();
		if (keeper != NULL)
		{
			keeper->clock = clock;
			latch = latch_of(keeper);
		}
	}
	LWLockRelease(&shared->segment.lock);

	if (latch != NULL)
		SetLatch(latch);
	tckpt_waiting_hand_on();
	if (woken)
		(void) wake_one(&offer);
}

/* Whether this session keeps the clock; if so, when it is to look at it. */
bool
tckpt_waiting_keeps_clock(TimestampTz *due)
{
	Waiter	   *keeper;
	bool		keeps;

	LWLockAcquire(&shared->segment.lock, LW_SHARED);
	keeper = clock_keeper();
	keeps = keeper != NULL && keeper->process == own_process();
	if (keeps)
		*due = keeper->clock.due;
	LWLockRelease(&shared->segment.lock);
	return keeps;
}

/* Whether anybody waits for a queue. */
bool
tckpt_waiting_is_served(uint32 queue)
{
	bool		found = false;

	LWLockAcquire(&shared->segment.lock, LW_SHARED);
	for (int i = 0; !found && i < shared->n; i++)
		found = serves(&shared->waiters[i], queue);
	LWLockRelease(&shared->segment.lock);
	return found;
}

/*
 * For the keeper, before it looks at what is due: what was told until now is to be
 * seen by a snapshot that is taken after this.
 */
void
tckpt_waiting_read_clock(TckptClock *clock)
{
	Waiter	   *waiter;

	LWLockAcquire(&shared->segment.lock, LW_EXCLUSIVE);
	waiter = own_waiter();
	if (waiter->clock.told != DT_NOEND)
	{
		waiter->clock.from = Min(waiter->clock.from, waiter->clock.told - 1);
		waiter->clock.offered = Min(waiter->clock.offered, waiter->clock.told - 1);
		waiter->clock.told = DT_NOEND;
	}
	*clock = waiter->clock;
	LWLockRelease(&shared->segment.lock);
}

/* For the keeper, after it has looked. */
void
tckpt_waiting_set_clock(const TckptClock *clock)
{
	Waiter	   *waiter;
	TimestampTz told;

	LWLockAcquire(&shared->segment.lock, LW_EXCLUSIVE);
	waiter = own_waiter();
	told = waiter->clock.told;
	waiter->clock = *clock;
	waiter->clock.told = told;
	waiter->clock.due = Min(clock->due, told);
	LWLockRelease(&shared->segment.lock);
}
