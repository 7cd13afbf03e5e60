/*-------------------------------------------------------------------------
 *
 * interval.c
 *	  Leases, delays and timeouts as arguments.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/fmgrprotos.h"

#include "api/interval.h"
#include "tasker_checkpoint.h"

/* An interval in microseconds; too long a one is PG_INT64_MAX. */
int64
tckpt_interval_usecs(const Interval *interval)
{
	int64		days = (int64) interval->month * DAYS_PER_MONTH + interval->day;

	/* so no product can overflow */
	if (days > 1000000)
		return PG_INT64_MAX;
	if (days < -1000000)
		return PG_INT64_MIN;
	if (interval->time > PG_INT64_MAX / 2)
		return PG_INT64_MAX;
	if (interval->time < PG_INT64_MIN / 2)
		return PG_INT64_MIN;
	return days * USECS_PER_DAY + interval->time;
}

/* An interval as messages have it. */
char *
tckpt_interval_text(const Interval *interval)
{
	return DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(interval)));
}

/* One of at most a day, in microseconds; raises 22023. */
static int64
require_up_to_a_day(const Interval *interval, const char *what)
{
	int64		usecs = tckpt_interval_usecs(interval);

	if (usecs < 0 || usecs > USECS_PER_DAY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is out of range", what),
				 errdetail("It is \"%s\", and must be from 0 to 1 day.",
						   tckpt_interval_text(interval))));
	return usecs;
}

int64
tckpt_require_delay(const Interval *delay)
{
	return require_up_to_a_day(delay, "delay");
}

int64
tckpt_require_timeout(const Interval *timeout)
{
	return require_up_to_a_day(timeout, "timeout");
}
