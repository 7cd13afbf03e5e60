/*-------------------------------------------------------------------------
 *
 * notifier.c
 *	  Wake-ups outside the transaction that asks for them: a ring in shared
 *	  memory, and a background worker that drains it.
 *
 * NOTIFY takes a cluster-wide lock at commit and keeps it while the commit
 * record is flushed, so notifying transactions can't be flushed together.
 * Here a committed transaction leaves its wake-ups in a ring, and a worker
 * notifies for many at once, in transactions that wait for no flush.  The first
 * one after a while is notified at once, and those that follow as batches.
 *
 * Each database in use has a slot with a ring and a worker.  It is started from
 * the second of two commits in quick succession, since one now and then is no
 * burden, and leaves when idle, so that it stands in the way of no DROP DATABASE
 * for long.  Starts that lead to nothing get rarer.
 *
 * Before commit a count of entries is reserved, no position: a commit that
 * waits for a standby must not hold up the others' entries.  After commit
 * nothing here can fail.  Where nothing can be reserved (no preload, ring
 * full, no slot, no worker or one that is still starting) the caller notifies
 * in its own transaction, so that no wake-up depends on a worker's start.
 *
 * A wake-up that is lost with a crash, or a worker that failed, delays its
 * step until the next poll; the events table is what counts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "notifier.h"
#include "notify.h"
#include "stats.h"
#include "tasker_checkpoint.h"

#define RING_ENTRIES	4096
#define BATCH_ENTRIES	1024

/* A worker without work leaves after so long, in milliseconds */
#define IDLE_TIMEOUT	2000

/* Batches come no faster than that, in milliseconds */
#define BATCH_INTERVAL	2

/* A commit so soon after another one asks for a worker, in milliseconds */
#define START_WINDOW	100

/*
 * Without a worker so long after a start there may be another; twice as long
 * with every start, until a worker has left well.  In milliseconds.
 */
#define MIN_RETRY		1000
#define MAX_RETRY		60000

typedef struct Entry
{
	pg_uuid_t	step;
	int64		sequence;
	char		channel[NAMEDATALEN];
} Entry;

/* All fields are guarded by the one lock */
typedef struct Slot
{
	Oid			database;		/* whose it is, or was last */
	uint32		generation;		/* changes with each worker and database */
	Latch	   *latch;			/* the worker's; NULL while none runs */
	bool		resting;		/* it looks by itself, soon after a batch */
	TimestampTz wanted_at;		/* last commit that found none */
	TimestampTz retry_at;		/* no start before */
	int			retry_delay;	/* of the last start; 0 after a good one */
	uint32		reserved;		/* entries promised to commits under way */
	uint32		first;
	uint32		used;
	Entry		ring[RING_ENTRIES];
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

/* Entries that this worker has taken and not yet notified */
static size_t in_flight = 0;

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
tckpt_notifier_init(void)
{
	if (!process_shared_preload_libraries_in_progress ||
		tckpt_max_notifiers == 0)
		return;

	previous_shmem_request = shmem_request_hook;
	shmem_request_hook = shmem_request;
	previous_shmem_startup = shmem_startup_hook;
	shmem_startup_hook = shmem_startup;
}

static void
log_lost(size_t n)
{
	tckpt_stats_count_now(TCKPT_NOTIFICATIONS_LOST, n);
	if (n > 0)
		ereport(LOG,
				(errmsg("up to %zu wake-ups of tasker_checkpoint were lost", n),
				 errdetail("Workers find these steps when they poll next.")));
}

/*
 * The worker is gone; the caller has the lock.  Returns how many entries there
 * were, with those of commits that are under way.
 */
static size_t
end_worker(Slot *slot)
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
 * Notes that a commit found no worker.  True if one is to be started now; the
 * caller has the lock.
 */
static bool
want_worker(Slot *slot)
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

static void
start_worker(const Slot *slot, uint32 generation)
{
	BackgroundWorker worker = {0};

	strlcpy(worker.bgw_name, "tasker_checkpoint notifier", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "tasker_checkpoint notifier", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "tasker_checkpoint", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "tckpt_notifier_main", sizeof(worker.bgw_function_name));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_main_arg = Int32GetDatum((int32) (slot - shared->slots));
	memcpy(worker.bgw_extra, &generation, sizeof(generation));
	(void) RegisterDynamicBackgroundWorker(&worker, NULL);
}

/*
 * Before commit: makes sure that so many wake-ups can be pushed after it.
 * False if they can't; then the caller notifies in its transaction.
 */
bool
tckpt_notifier_reserve(size_t n)
{
	Slot	   *slot;
	uint32		generation = 0;
	bool		start = false;

	if (shared == NULL || n > RING_ENTRIES)
		return false;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = find_slot();
	if (slot != NULL && slot->latch == NULL)
	{
		start = want_worker(slot);
		generation = slot->generation;
	}
	else if (slot != NULL && slot->used + slot->reserved + n <= RING_ENTRIES)
	{
		slot->reserved += n;
		reservation.slot = slot;
		reservation.generation = slot->generation;
		reservation.n = n;
	}
	LWLockRelease(shared->lock);

	if (start)
		start_worker(slot, generation);
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
 * After commit: hands the reserved wake-ups to the worker, and no others, which
 * a later pre-commit callback may have asked for.  Cannot fail.
 */
void
tckpt_notifier_push(const TckptWakeup *wakeups, size_t n)
{
	Slot	   *slot;

	if (reservation.n == 0)
		return;

	n = Min(n, reservation.n);
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = end_reservation();
	if (slot != NULL)
	{
		for (size_t i = 0; i < n; i++)
		{
			Entry	   *entry = &slot->ring[(slot->first + slot->used) % RING_ENTRIES];

			entry->step = wakeups[i].step;
			entry->sequence = wakeups[i].sequence;
			strlcpy(entry->channel, tckpt_notify_channel, NAMEDATALEN);
			slot->used++;
		}
		/* to wake it up for each would cost as much as a small statement */
		if (!slot->resting || slot->used >= BATCH_ENTRIES)
			SetLatch(slot->latch);
	}
	LWLockRelease(shared->lock);
}

/* After an abort. */
void
tckpt_notifier_release(void)
{
	if (reservation.n == 0)
		return;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	(void) end_reservation();
	LWLockRelease(shared->lock);
}

/* The worker's own slot, if it still is; the caller has the lock. */
static Slot *
own_slot(Datum arg)
{
	Slot	   *slot = &shared->slots[DatumGetInt32(arg)];
	uint32		generation;

	memcpy(&generation, MyBgworkerEntry->bgw_extra, sizeof(generation));
	return slot->generation == generation ? slot : NULL;
}

static void
worker_exit(int code, Datum arg)
{
	Slot	   *slot;
	size_t		lost = in_flight;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = own_slot(arg);
	if (slot != NULL)
		lost += end_worker(slot);
	LWLockRelease(shared->lock);
	log_lost(lost);
}

/*
 * Takes what is there, up to a batch.  With something, the worker will look
 * again by itself; without, it waits to be woken up.
 */
static size_t
take_entries(Datum arg, Entry *entries)
{
	Slot	   *slot;
	size_t		n = 0;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = own_slot(arg);
	while (slot != NULL && slot->used > 0 && n < BATCH_ENTRIES)
	{
		entries[n++] = slot->ring[slot->first];
		slot->first = (slot->first + 1) % RING_ENTRIES;
		slot->used--;
	}
	if (slot != NULL)
		slot->resting = n > 0;
	in_flight = n;
	LWLockRelease(shared->lock);
	return n;
}

static void
notify_entries(const Entry *entries, size_t n)
{
	SetCurrentStatementStartTimestamp();
	pgstat_report_activity(STATE_RUNNING, "notifying");
	StartTransactionCommand();
	if (tckpt_notify_has_room(n))
	{
		for (size_t i = 0; i < n; i++)
			tckpt_notify_now(entries[i].channel, &entries[i].step,
							 entries[i].sequence);
		tckpt_stats_count(TCKPT_NOTIFICATIONS_BATCHED, n);
	}
	CommitTransactionCommand();
	in_flight = 0;
	pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* Whether the worker may leave; if so, its slot has none and it must. */
static bool
leave_if_idle(Datum arg)
{
	Slot	   *slot;
	bool		leave;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = own_slot(arg);
	leave = slot == NULL || (slot->used == 0 && slot->reserved == 0);
	if (leave && slot != NULL)
	{
		(void) end_worker(slot);
		slot->retry_at = 0;
		slot->retry_delay = 0;
	}
	LWLockRelease(shared->lock);
	return leave;
}

/* The worker of a slot, whose number is the argument. */
void
tckpt_notifier_main(Datum arg)
{
	Slot	   *slot;
	Oid			database = InvalidOid;
	Entry	   *entries = palloc(BATCH_ENTRIES * sizeof(Entry));
	uint32		wait_event = tckpt_wait_event("TaskerCheckpointNotifierMain");

	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();

	before_shmem_exit(worker_exit, arg);
	LWLockAcquire(shared->lock, LW_SHARED);
	slot = own_slot(arg);
	if (slot != NULL)
		database = slot->database;
	LWLockRelease(shared->lock);
	if (database == InvalidOid)
		proc_exit(0);

	/* whatever the database is set to */
	SetConfigOption("synchronous_commit", "off", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("lock_timeout", "0", PGC_USERSET, PGC_S_OVERRIDE);
	if (GetConfigOption("transaction_timeout", true, false) != NULL)
		SetConfigOption("transaction_timeout", "0", PGC_USERSET, PGC_S_OVERRIDE);

	/* sessions that are there go on where new ones are refused */
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid,
											  BGWORKER_BYPASS_ALLOWCONN);

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = own_slot(arg);
	if (slot != NULL)
		slot->latch = MyLatch;
	LWLockRelease(shared->lock);

	pgstat_report_activity(STATE_IDLE, NULL);
	for (;;)
	{
		size_t		n;
		int			events;

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}

		n = take_entries(arg, entries);
		if (n > 0)
			notify_entries(entries, n);
		events = WaitLatch(MyLatch,
						   WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						   n > 0 ? BATCH_INTERVAL : IDLE_TIMEOUT, wait_event);
		ResetLatch(MyLatch);
		if (n == 0 && (events & WL_TIMEOUT) && leave_if_idle(arg))
			proc_exit(0);
	}
}
