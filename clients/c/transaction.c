/*-------------------------------------------------------------------------
 *
 * transaction.c
 *	  What became of a checkpoint whose transaction the handler ends.
 *
 * libpq tells of every result on the run's connection, also of statements that
 * the handler sends by itself.  A COMMIT without a reply may as well have
 * failed: what is not known to be stored does not count as such.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include <libpq-events.h>

#include "internal.h"

static void
set_progress(TcwRun *run, const TcwProgress *progress)
{
	run->now = *progress;
	run->open = false;
	run->context.sequence = run->now.sequence;
	run->context.yielded = run->now.yielded;
}

static int
notice_end(PGEventId id, void *info, void *pass_through)
{
	PGEventResultCreate *created = info;
	TcwRun	   *run;
	const char *tag;

	(void) pass_through;
	if (id != PGEVT_RESULTCREATE)
		return true;
	run = PQinstanceData(created->conn, notice_end);
	if (run == NULL)
		return true;

	/* of a transaction that had failed it is ROLLBACK */
	tag = PQcmdStatus(created->result);
	if (strcmp(tag, "COMMIT") == 0)
	{
		run->commits++;
		run->stored = run->now;
		run->open = false;
	}
	else if (run->open &&
			 (strcmp(tag, "BEGIN") == 0 || strcmp(tag, "START TRANSACTION") == 0))
		set_progress(run, &run->stored);
	return true;
}

/* Begins to follow what the run's connection does; false without memory. */
bool
tcw_follow(TcwRun *run)
{
	PGconn	   *connection = run->client.connection;

	/* it fails if that was done before, in an earlier run */
	PQregisterEventProc(connection, notice_end, "tasker_checkpoint", NULL);
	return PQsetInstanceData(connection, notice_end, run);
}

void
tcw_unfollow(TcwRun *run)
{
	PQsetInstanceData(run->client.connection, notice_end, NULL);
}

/* Counts an accepted checkpoint, for the time being if its transaction is open. */
void
tcw_progressed(TcwRun *run, const TcwReceipt *receipt, int64_t items,
			   bool yielded)
{
	TcwProgress progress = run->now;

	progress.sequence = receipt->sequence;
	progress.items = items;
	progress.yielded = yielded;
	if (yielded)
		memcpy(progress.fence, receipt->event_id, sizeof(progress.fence));
	set_progress(run, &progress);
	if (PQtransactionStatus(run->client.connection) == PQTRANS_IDLE)
		run->stored = run->now;
	else
		run->open = true;
}

/* Forgets a checkpoint whose transaction has ended and did not commit. */
void
tcw_look_back(TcwRun *run)
{
	PGTransactionStatusType status = PQtransactionStatus(run->client.connection);

	if (run->open && (status == PQTRANS_IDLE || status == PQTRANS_UNKNOWN))
		set_progress(run, &run->stored);
}

/* Ends what the run's connection is at, if it is at anything. */
void
tcw_roll_back(TcwRun *run)
{
	if (PQtransactionStatus(run->client.connection) != PQTRANS_IDLE)
		PQclear(PQexec(run->client.connection, "ROLLBACK"));
	tcw_look_back(run);
}
