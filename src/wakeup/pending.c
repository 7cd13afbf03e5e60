/*-------------------------------------------------------------------------
 *
 * pending.c
 *	  Whom to tell what when this transaction ends.
 *
 * Wake-ups are collected with the subtransaction that asked for them, and go
 * with it if it is rolled back.  For those who listen they are announced to the
 * notifier before commit, or, where there is none, issued as NOTIFY: no earlier, so
 * that PREPARE TRANSACTION, which refuses a pending NOTIFY, stays possible.  It
 * drops the wake-ups.  Sessions that wait are told after commit.
 *
 * What can be claimed already is passed over while this transaction has it locked.
 * If it is rolled back, alone or with a savepoint, those who wait are told of that, too.
 *
 * Of what can be claimed only later the earliest time is kept: one that was rolled
 * back lets the clock be looked at in vain.
 *
 * The list lives in TopTransactionContext, and the end of the transaction
 * forgets it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "tasker_checkpoint.h"
#include "wakeup/notifier.h"
#include "wakeup/notify.h"
#include "wakeup/pending.h"
#include "wakeup/ring.h"
#include "wakeup/waiting.h"

/* In the order of the requests, so also of growing subid */
static TckptWakeup *wakeups = NULL;
static size_t nwakeups = 0;
static size_t maxwakeups = 0;

static TimestampTz expected = DT_NOEND;
static bool wake_all = false;

static void
forget_wakeups(void)
{
	wakeups = NULL;
	nwakeups = 0;
	maxwakeups = 0;
	expected = DT_NOEND;
	wake_all = false;
}

static size_t
count_to_notify(void)
{
	size_t		n = 0;

	for (size_t i = 0; i < nwakeups; i++)
		if (wakeups[i].notify)
			n++;
	return n;
}

/* By the notifier, or else here and now, while a NOTIFY can still fail. */
static void
send_wakeups(void)
{
	TckptRingSeat seat;
	size_t		n = count_to_notify();
	bool		start;
	bool		reserved;

	if (n == 0)
		return;
	reserved = tckpt_ring_reserve(n, &seat, &start);
	if (start)
		tckpt_notifier_start(&seat);
	if (reserved || !tckpt_notify_has_room(n))
		return;

	for (size_t i = 0; i < nwakeups; i++)
		if (wakeups[i].notify)
			tckpt_notify_now(tckpt_notify_channel, &wakeups[i].step,
							 wakeups[i].sequence, wakeups[i].queue);
}

/* Whether the next wake-up is of the same step: its event has replaced this one's. */
static bool
is_replaced(size_t i)
{
	return i + 1 < nwakeups && tckpt_same_uuid(&wakeups[i].step, &wakeups[i + 1].step);
}

/* After commit or abort, those of the list from there on. */
static void
offer_events(size_t first, bool committed)
{
	const char *in_vain = NULL;

	for (size_t i = first; i < nwakeups; i++)
	{
		const TckptWakeup *wakeup = &wakeups[i];

		if (committed ? !wakeup->at_commit || is_replaced(i) : !wakeup->at_abort)
			continue;
		/* of many into a queue, only those that somebody waits for cost */
		if (in_vain != NULL && strcmp(in_vain, wakeup->queue) == 0)
			continue;
		if (!tckpt_waiting_offer(&wakeup->event_id, tckpt_queue_hash(wakeup->queue)))
			in_vain = wakeup->queue;
	}
}

/* After commit. */
static void
wake_waiting(void)
{
	offer_events(0, true);
	if (expected != DT_NOEND)
		tckpt_waiting_expect(expected);
	if (wake_all)
		tckpt_waiting_wake_all();
}

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			send_wakeups();
			break;
		case XACT_EVENT_COMMIT:
			wake_waiting();
			tckpt_ring_push(wakeups, nwakeups);
			forget_wakeups();
			break;
		case XACT_EVENT_ABORT:
			offer_events(0, false);
			tckpt_ring_release();
			forget_wakeups();
			break;
		case XACT_EVENT_PRE_PREPARE:
			forget_wakeups();
			break;
		default:
			break;
	}
}

/*
 * Ids of subtransactions grow, so what one asked for that is rolled back, and
 * what those inside it asked for, is the tail of the list.
 */
static void
subxact_callback(SubXactEvent event, SubTransactionId mySubid,
				 SubTransactionId parentSubid, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		size_t		kept = nwakeups;

		while (kept > 0 && wakeups[kept - 1].subid >= mySubid)
			kept--;
		offer_events(kept, false);
		nwakeups = kept;
	}
}

void
tckpt_wakeup_init(void)
{
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}

/* Appends to the list. */
static TckptWakeup *
add_wakeup(const pg_uuid_t *step, const pg_uuid_t *event_id, const char *queue)
{
	TckptWakeup *wakeup;

	if (nwakeups == maxwakeups)
	{
		size_t		size = Max(maxwakeups * 2, 8);

		if (wakeups == NULL)
			wakeups = MemoryContextAlloc(TopTransactionContext,
										 size * sizeof(TckptWakeup));
		else
			wakeups = repalloc_huge(wakeups, size * sizeof(TckptWakeup));
		maxwakeups = size;
	}

	wakeup = &wakeups[nwakeups];
	memset(wakeup, 0, sizeof(*wakeup));
	wakeup->step = *step;
	wakeup->event_id = *event_id;
	strlcpy(wakeup->queue, queue, sizeof(wakeup->queue));
	wakeup->subid = GetCurrentSubTransactionId();
	nwakeups++;
	return wakeup;
}

/* An event can be claimed, if the transaction commits. */
void
tckpt_wakeup_at_commit(const pg_uuid_t *step, const pg_uuid_t *event_id,
					   int64 sequence, const char *queue)
{
	TckptWakeup *wakeup;

	if (!tckpt_waiting_attach() && !tckpt_notify)
		return;
	wakeup = add_wakeup(step, event_id, queue);
	wakeup->sequence = sequence;
	wakeup->notify = tckpt_notify;
	wakeup->at_commit = true;
}

/*
 * An event that can be claimed is locked until the transaction ends: it can be again
 * if that is rolled back, or also if it commits.
 */
void
tckpt_offer_at_end(const pg_uuid_t *step, const pg_uuid_t *event_id,
				   const char *queue, bool at_commit)
{
	TckptWakeup *wakeup;

	if (!tckpt_waiting_attach())
		return;
	wakeup = add_wakeup(step, event_id, queue);
	wakeup->at_commit = at_commit;
	wakeup->at_abort = true;
}

/* Something can be claimed from that time on, if the transaction commits. */
void
tckpt_expect_at_commit(TimestampTz at)
{
	if (tckpt_waiting_attach())
		expected = Min(expected, at);
}

/* All who wait are to look, if the transaction commits. */
void
tckpt_wake_all_at_commit(void)
{
	if (tckpt_waiting_attach())
		wake_all = true;
}
