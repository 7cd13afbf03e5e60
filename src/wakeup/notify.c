/*-------------------------------------------------------------------------
 *
 * notify.c
 *	  A wake-up as NOTIFY, in the current transaction.
 *
 * A NOTIFY that finds the queue full is an error, and a commit must not fail
 * for a wake-up.  So callers ask for room first, and send nothing while the
 * queue is nearly full.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/async.h"
#include "lib/stringinfo.h"
#include "utils/fmgroids.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "counters.h"
#include "tasker_checkpoint.h"
#include "wakeup/notify.h"

/* A NOTIFY queue this full is left to others */
#define QUEUE_LIMIT		0.75

/* A process warns of that no more often, in milliseconds */
#define WARN_INTERVAL	10000

/* Wake-ups that this process left out and has not warned of */
static size_t left_out = 0;
static TimestampTz warned_at = 0;

/*
 * Whether so many wake-ups can be sent.  If not, they are left out, with a
 * warning now and then.
 */
bool
tckpt_notify_has_room(size_t n)
{
	double		usage = DatumGetFloat8(OidFunctionCall0(F_PG_NOTIFICATION_QUEUE_USAGE));
	TimestampTz now;

	if (usage < QUEUE_LIMIT)
		return true;

	tckpt_stats_count(TCKPT_NOTIFICATIONS_LOST, n);
	left_out += n;
	now = GetCurrentTimestamp();
	if (TimestampDifferenceExceeds(warned_at, now, WARN_INTERVAL))
	{
		size_t		count = left_out;

		left_out = 0;
		warned_at = now;
		ereport(WARNING,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%zu wake-ups of tasker_checkpoint were not sent", count),
				 errdetail("The NOTIFY queue is %.0f%% full, since a session that listens does not end its transaction. Workers find these steps when they poll next.",
						   usage * 100),
				 errhint("Find that session in pg_stat_activity, and have it end its transaction.")));
	}
	return false;
}

void
tckpt_notify_now(const char *channel, const pg_uuid_t *step, int64 sequence,
				 const char *queue)
{
	char	   *name = tckpt_step_name(step);
	StringInfoData payload;

	initStringInfo(&payload);
	appendStringInfo(&payload, "{\"step_uuid\":\"%s\",\"sequence\":" INT64_FORMAT ",\"queue\":",
					 name, sequence);
	escape_json(&payload, queue);
	appendStringInfoChar(&payload, '}');
	Async_Notify(channel, payload.data);
	pfree(payload.data);
	pfree(name);
	tckpt_stats_count(TCKPT_NOTIFICATIONS_SENT, 1);
}
