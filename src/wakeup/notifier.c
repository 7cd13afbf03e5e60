/*-------------------------------------------------------------------------
 *
 * notifier.c
 *	  A background worker that notifies for transactions which have committed.
 *
 * NOTIFY takes a cluster-wide lock at commit and keeps it while the commit
 * record is flushed, so notifying transactions can't be flushed together.
 * Here a committed transaction leaves its wake-ups in a ring (ring.c), and a
 * worker notifies for many at once, in transactions that wait for no flush.  The
 * first one after a while is notified at once, and those that follow as batches.
 *
 * A worker leaves when idle, so that it stands in the way of no DROP DATABASE
 * for long.  A wake-up that is lost with a crash, or a worker that failed,
 * delays its step until the next poll; the events table is what counts.
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
#include "tcop/tcopprot.h"
#include "utils/guc.h"

#include "counters.h"
#include "tasker_checkpoint.h"
#include "wakeup/notifier.h"
#include "wakeup/notify.h"
#include "wakeup/ring.h"

/* A worker without work leaves after so long, in milliseconds */
#define IDLE_TIMEOUT	2000

/* Batches come no faster than that, in milliseconds */
#define BATCH_INTERVAL	2

/* Entries that this worker has taken and not yet notified */
static size_t in_flight = 0;

/* Has a worker started for a ring.  A start that fails is tried again later. */
void
tckpt_notifier_start(const TckptRingSeat *seat)
{
	BackgroundWorker worker = {0};

	strlcpy(worker.bgw_name, "tasker_checkpoint notifier", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "tasker_checkpoint notifier", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "tasker_checkpoint", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "tckpt_notifier_main", sizeof(worker.bgw_function_name));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	memcpy(worker.bgw_extra, seat, sizeof(*seat));
	(void) RegisterDynamicBackgroundWorker(&worker, NULL);
}

static TckptRingSeat
own_seat(void)
{
	TckptRingSeat seat;

	memcpy(&seat, MyBgworkerEntry->bgw_extra, sizeof(seat));
	return seat;
}

static void
worker_exit(int code, Datum arg)
{
	TckptRingSeat seat = own_seat();
	size_t		lost = in_flight + tckpt_ring_abandon(&seat);

	tckpt_stats_count_now(TCKPT_NOTIFICATIONS_LOST, lost);
	if (lost > 0)
		ereport(LOG,
				(errmsg("up to %zu wake-ups of tasker_checkpoint were lost", lost),
				 errdetail("Workers find these steps when they poll next.")));
}

static void
notify_entries(const TckptRingEntry *entries, size_t n)
{
	SetCurrentStatementStartTimestamp();
	pgstat_report_activity(STATE_RUNNING, "notifying");
	StartTransactionCommand();
	if (tckpt_notify_has_room(n))
	{
		for (size_t i = 0; i < n; i++)
			tckpt_notify_now(entries[i].channel, &entries[i].step,
							 entries[i].sequence, entries[i].queue);
		tckpt_stats_count(TCKPT_NOTIFICATIONS_BATCHED, n);
	}
	CommitTransactionCommand();
	in_flight = 0;
	pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* The server's settings that would stand in a notifier's way, whatever they are. */
static void
override_settings(void)
{
	SetConfigOption("synchronous_commit", "off", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("lock_timeout", "0", PGC_USERSET, PGC_S_OVERRIDE);
	if (GetConfigOption("transaction_timeout", true, false) != NULL)
		SetConfigOption("transaction_timeout", "0", PGC_USERSET, PGC_S_OVERRIDE);
}

/* SIGINT: there is no statement to be cancelled; an error would end the worker. */
static void
refuse_cancel(SIGNAL_ARGS)
{
}

/* The worker. */
void
tckpt_notifier_main(Datum arg)
{
	TckptRingSeat seat = own_seat();
	Oid			database;
	TckptRingEntry *entries = palloc(TCKPT_RING_BATCH * sizeof(TckptRingEntry));
	uint32		wait_event = tckpt_wait_event("TaskerCheckpointNotifierMain");

	pqsignal(SIGTERM, die);
	pqsignal(SIGINT, refuse_cancel);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();

	before_shmem_exit(worker_exit, (Datum) 0);
	database = tckpt_ring_database(&seat);
	if (database == InvalidOid)
		proc_exit(0);
	override_settings();

	/* sessions that are there go on where new ones are refused */
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid,
											  BGWORKER_BYPASS_ALLOWCONN);
	tckpt_ring_attach(&seat, MyLatch);

	pgstat_report_activity(STATE_IDLE, NULL);
	for (;;)
	{
		int			events;

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}

		in_flight = tckpt_ring_take(&seat, entries);
		if (in_flight > 0)
		{
			notify_entries(entries, in_flight);
			(void) WaitLatch(MyLatch,
							 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							 BATCH_INTERVAL, wait_event);
			ResetLatch(MyLatch);
			continue;
		}
		events = WaitLatch(MyLatch,
						   WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						   IDLE_TIMEOUT, wait_event);
		ResetLatch(MyLatch);
		if ((events & WL_TIMEOUT) && tckpt_ring_leave(&seat))
			proc_exit(0);
	}
}
