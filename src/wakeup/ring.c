/*-------------------------------------------------------------------------
 *
 * ring.c
 *	  Wake-ups on their way from committed transactions to the notifier, in
 *	  shared memory.
 *
 * Each database in use has a slot with a ring and a notifier (notifier.c).  One
 * is asked for by the second of two commits in quick succession, since one now
 * and then is no burden.  Starts that lead to nothing get rarer.
 *
 * Before commit a count of entries is reserved, no position: a commit that
 * waits for a standby must not hold up the others' entries.  After commit
 * nothing here can fail.  Where nothing can be reserved (no preload, ring
 * full, no slot, no notifier or one that is still starting) the caller notifies
 * in its own transaction, so that no wake-up depends on a start.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "tasker_checkpoint.h"
#include "wakeup/ring.h"

#define RING_ENTRIES	4096

/* A commit so soon after another one asks for a notifier, in milliseconds */
#define START_WINDOW	100

/*
 * Without a notifier so long after a start there may be another; twice as long
 * with every start, until one has left well.  In milliseconds.
 */
#define MIN_RETRY		1000
#define MAX_RETRY		60000

/* All fields are guarded by the one lock */
typedef struct Slot
{
	Oid			database;		/* whose it is, or was last */
	uint32		generation;		/* changes with each worker and database */
	Latch	   *latch;			/* the notifier's; NULL while none runs */
	bool		resting;		/* it looks by itself, soon after a batch */
	TimestampTz wanted_at;		/* last commit that found none */
	TimestampTz retry_at;		/* no start before */
	int			retry_delay;	/* of the last start; 0 after a good one */
	uint32		reserved;		/* entries promised to commits under way */
	uint32		first;
	uint32		used;
	TckptRingEntry ring[RING_ENTRIES];
} Slot;

typedef struct Shared
{
	LWLock	   *lock;
	Slot		slots[FLEXIBLE_ARRAY_MEMBER];
} Shared;

static Shared *shared = NULL;

/* What this transaction has reserved */
static struct
{
	Slot	   *slot;
	uint32		generation;
	size_t		n;				/* 0: nothing */
}			reservation;

static shmem_request_hook_type previous_shmem_request = NULL;
static shmem_startup_hook_type previous_shmem_startup = NULL;

static Size
shared_size(void)
{
	return add_size(offsetof(Shared, slots),
					mul_size(tckpt_max_notifiers, sizeof(Slot)));
}

static void
shmem_request(void)
{
	if (previous_shmem_request)
		previous_shmem_request();
	RequestAddinShmemSpace(shared_size());
	RequestNamedLWLockTranche("tasker_checkpoint", 1);
}

static void
shmem_startup(void)
{
	bool		found;

	if (previous_shmem_startup)
		previous_shmem_startup();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("tasker_checkpoint", shared_size(), &found);
	if (!found)
	{
		memset(shared, 0, shared_size());
		shared->lock = &GetNamedLWLockTranche("tasker_checkpoint")->lock;
	}
	LWLockRelease(AddinShmemInitLock);
}

void
tckpt_ring_init(void)
{
	if (!process_shared_preload_libraries_in_progress ||
		tckpt_max_notifiers == 0)
		return;

	previous_shmem_request = shmem_request_hook;
	shmem_request_hook = shmem_request;
	previous_shmem_startup = shmem_startup_hook;
	shmem_startup_hook = shmem_startup;
}

/*
 * The notifier is gone; the caller has the lock.  Returns how many entries there
 * were, with those of commits that are under way.
 */
static size_t
end_notifier(Slot *slot)
{
	size_t		lost = (size_t) slot->used + slot->reserved;

	slot->generation++;
	slot->latch = NULL;
	slot->resting = false;
	slot->reserved = 0;
	slot->used = 0;
	return lost;
}

/*
 * The slot of this database, or one that no database needs, or NULL; the caller
 * has the lock.
 */
static Slot *
find_slot(void)
{
	TimestampTz now;

	for (int i = 0; i < tckpt_max_notifiers; i++)
		if (shared->slots[i].database == MyDatabaseId)
			return &shared->slots[i];

	now = GetCurrentTimestamp();
	for (int i = 0; i < tckpt_max_notifiers; i++)
	{
		Slot	   *slot = &shared->slots[i];

		if (slot->latch == NULL && slot->retry_at <= now &&
			TimestampDifferenceExceeds(slot->wanted_at, now, START_WINDOW))
		{
			slot->database = MyDatabaseId;
			slot->generation++;
			slot->retry_delay = 0;
			return slot;
		}
	}
	return NULL;
}

/*
 * Notes that a commit found no notifier.  True if one is to be started now; the
 * caller has the lock.
 */
static bool
want_notifier(Slot *slot)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		start;

	start = slot->retry_at <= now &&
		!TimestampDifferenceExceeds(slot->wanted_at, now, START_WINDOW);
	slot->wanted_at = now;
	if (start)
	{
		/* one that comes late finds another generation */
		slot->generation++;
		slot->retry_delay = slot->retry_delay == 0 ? MIN_RETRY :
			Min(slot->retry_delay * 2, MAX_RETRY);
		slot->retry_at = TimestampTzPlusMilliseconds(now, slot->retry_delay);
	}
	return start;
}

/*
 * Before commit: makes sure that so many wake-ups can be pushed after it.
 * False if they can't; then the caller notifies in its transaction, and has a
 * notifier started where "start" says so.
 */
bool
tckpt_ring_reserve(size_t n, TckptRingSeat *seat, bool *start)
{
	Slot	   *slot;

	*start = false;
	if (shared == NULL || n > RING_ENTRIES)
		return false;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = find_slot();
	if (slot != NULL && slot->latch == NULL)
	{
		*start = want_notifier(slot);
		seat->slot = (int) (slot - shared->slots);
		seat->generation = slot->generation;
	}
	else if (slot != NULL && slot->used + slot->reserved + n <= RING_ENTRIES)
	{
		slot->reserved += n;
		reservation.slot = slot;
		reservation.generation = slot->generation;
		reservation.n = n;
	}
	LWLockRelease(shared->lock);
	return reservation.n > 0;
}

/*
 * Takes back what is still reserved; the caller has the lock.  NULL if the
 * slot has changed hands since.
 */
static Slot *
end_reservation(void)
{
	Slot	   *slot = reservation.slot;

	if (slot->generation != reservation.generation)
		slot = NULL;
	else
		slot->reserved -= reservation.n;
	reservation.n = 0;
	return slot;
}

/*
 * After commit: hands the reserved wake-ups to the notifier, of those that are to
 * be notified, and no others, which a later pre-commit callback may have asked for.
 * Cannot fail.
 */
void
tckpt_ring_push(const TckptWakeup *wakeups, size_t n)
{
	Slot	   *slot;
	size_t		reserved;

	if (reservation.n == 0)
		return;

	reserved = reservation.n;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = end_reservation();
	if (slot != NULL)
	{
		for (size_t i = 0; i < n && reserved > 0; i++)
		{
			TckptRingEntry *entry = &slot->ring[(slot->first + slot->used) % RING_ENTRIES];

			if (!wakeups[i].notify)
				continue;
			entry->step = wakeups[i].step;
			entry->sequence = wakeups[i].sequence;
			strlcpy(entry->queue, wakeups[i].queue, NAMEDATALEN);
			strlcpy(entry->channel, tckpt_notify_channel, NAMEDATALEN);
			slot->used++;
			reserved--;
		}
		/* to wake it up for each would cost as much as a small statement */
		if (!slot->resting || slot->used >= TCKPT_RING_BATCH)
			SetLatch(slot->latch);
	}
	LWLockRelease(shared->lock);
}

/* After an abort. */
void
tckpt_ring_release(void)
{
	if (reservation.n == 0)
		return;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	(void) end_reservation();
	LWLockRelease(shared->lock);
}

/* The notifier's own slot, if it still is; the caller has the lock. */
static Slot *
own_slot(const TckptRingSeat *seat)
{
	Slot	   *slot = &shared->slots[seat->slot];

	return slot->generation == seat->generation ? slot : NULL;
}

/* The database that a notifier is for; InvalidOid if it is not wanted any more. */
Oid
tckpt_ring_database(const TckptRingSeat *seat)
{
	Slot	   *slot;
	Oid			database;

	LWLockAcquire(shared->lock, LW_SHARED);
	slot = own_slot(seat);
	database = slot != NULL ? slot->database : InvalidOid;
	LWLockRelease(shared->lock);
	return database;
}

/* The notifier is ready: from now on entries can be reserved. */
void
tckpt_ring_attach(const TckptRingSeat *seat, Latch *latch)
{
	Slot	   *slot;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = own_slot(seat);
	if (slot != NULL)
		slot->latch = latch;
	LWLockRelease(shared->lock);
}

/*
 * Takes what is there, up to a batch.  With something, the notifier will look
 * again by itself; without, it waits to be woken up.
 */
size_t
tckpt_ring_take(const TckptRingSeat *seat, TckptRingEntry *entries)
{
	Slot	   *slot;
	size_t		n = 0;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = own_slot(seat);
	while (slot != NULL && slot->used > 0 && n < TCKPT_RING_BATCH)
	{
		entries[n++] = slot->ring[slot->first];
		slot->first = (slot->first + 1) % RING_ENTRIES;
		slot->used--;
	}
	if (slot != NULL)
		slot->resting = n > 0;
	LWLockRelease(shared->lock);
	return n;
}

/* Whether an idle notifier may leave; if so, its slot has none and it must. */
bool
tckpt_ring_leave(const TckptRingSeat *seat)
{
	Slot	   *slot;
	bool		leave;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = own_slot(seat);
	leave = slot == NULL || (slot->used == 0 && slot->reserved == 0);
	if (leave && slot != NULL)
	{
		(void) end_notifier(slot);
		slot->retry_at = 0;
		slot->retry_delay = 0;
	}
	LWLockRelease(shared->lock);
	return leave;
}

/* The notifier ends, for whatever reason; returns how many wake-ups are lost. */
size_t
tckpt_ring_abandon(const TckptRingSeat *seat)
{
	Slot	   *slot;
	size_t		lost = 0;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = own_slot(seat);
	if (slot != NULL)
		lost = end_notifier(slot);
	LWLockRelease(shared->lock);
	return lost;
}
