/*-------------------------------------------------------------------------
 *
 * sleep.c
 *	  A session that waits for work sleeps.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"

#include "tasker_checkpoint.h"
#include "wakeup/sleep.h"

/*
 * The client's socket, the latch and the postmaster, as libpq/libpq.h has them,
 * which wants headers of GSSAPI where the server was built with it
 */
#define SOCKET_POSITION	0
#define MAX_EVENTS		3

extern PGDLLIMPORT WaitEventSet * FeBeWaitSet;

/*
 * Whether it was woken with the client there still, or the time was over.  Where
 * the system can't tell, a client that is gone is noticed when it is written to.
 */
static bool
sleep_with_client(long msecs, uint32 wait_event)
{
	WaitEvent	events[MAX_EVENTS];
	int			n;

	ModifyWaitEvent(FeBeWaitSet, SOCKET_POSITION, WL_SOCKET_CLOSED, NULL);
	n = WaitEventSetWait(FeBeWaitSet, msecs, events, MAX_EVENTS, wait_event);
	for (int i = 0; i < n; i++)
	{
		if (events[i].events & WL_POSTMASTER_DEATH)
			proc_exit(1);
		if (events[i].events & WL_SOCKET_CLOSED)
			return false;
	}
	return true;
}

/*
 * Sleeps until the latch is set, or for so long.  Whatever ends a session or its
 * statement raises at once, as does a client that has gone away.
 */
void
tckpt_sleep(long msecs)
{
	static uint32 wait_event = 0;

	if (wait_event == 0)
		wait_event = tckpt_wait_event("TaskerCheckpointWait");

	if (FeBeWaitSet == NULL || !WaitEventSetCanReportClosed())
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 msecs, wait_event);
	else if (!sleep_with_client(msecs, wait_event))
	{
		ClientConnectionLost = true;
		InterruptPending = true;
	}
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}
