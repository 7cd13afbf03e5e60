/*-------------------------------------------------------------------------
 *
 * pending.c
 *	  What to notify when this transaction commits.
 *
 * Wake-ups are collected with the subtransaction that asked for them, and go
 * with it if it is rolled back.  Before commit they are announced to the
 * notifier, or, where there is none, issued as NOTIFY: no earlier, so that
 * PREPARE TRANSACTION, which refuses a pending NOTIFY, stays possible.  It
 * drops the wake-ups.
 *
 * The list lives in TopTransactionContext, and the end of the transaction
 * forgets it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"

#include "guc.h"
#include "tasker_checkpoint.h"
#include "wakeup/notifier.h"
#include "wakeup/notify.h"
#include "wakeup/pending.h"
#include "wakeup/ring.h"

/* In the order of the requests, so also of growing subid */
static TckptWakeup *wakeups = NULL;
static size_t nwakeups = 0;
static size_t maxwakeups = 0;

static void
forget_wakeups(void)
{
	wakeups = NULL;
	nwakeups = 0;
	maxwakeups = 0;
}

/* By the notifier, or else here and now, while a NOTIFY can still fail. */
static void
send_wakeups(void)
{
	TckptRingSeat seat;
	bool		start;
	bool		reserved;

	if (nwakeups == 0)
		return;
	reserved = tckpt_ring_reserve(nwakeups, &seat, &start);
	if (start)
		tckpt_notifier_start(&seat);
	if (reserved || !tckpt_notify_has_room(nwakeups))
		return;

	for (size_t i = 0; i < nwakeups; i++)
		tckpt_notify_now(tckpt_notify_channel, &wakeups[i].step,
						 wakeups[i].sequence, wakeups[i].queue);
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
			tckpt_ring_push(wakeups, nwakeups);
			forget_wakeups();
			break;
		case XACT_EVENT_ABORT:
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
		while (nwakeups > 0 && wakeups[nwakeups - 1].subid >= mySubid)
			nwakeups--;
	}
}

void
tckpt_wakeup_init(void)
{
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}

/* Notifies listeners of a step's dispatch, if the transaction commits. */
void
tckpt_wakeup_at_commit(const pg_uuid_t *step, int64 sequence, const char *queue)
{
	if (!tckpt_notify)
		return;

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

	wakeups[nwakeups].step = *step;
	wakeups[nwakeups].sequence = sequence;
	strlcpy(wakeups[nwakeups].queue, queue, sizeof(wakeups[nwakeups].queue));
	wakeups[nwakeups].subid = GetCurrentSubTransactionId();
	nwakeups++;
}
