/*-------------------------------------------------------------------------
 *
 * figures.c
 *	  What a checkpoint document says of progress: items, total and rate.
 *
 * A pure function of the document.  Whatever is stored there is read as far as
 * it makes sense, and never makes it fail: monitoring reads all steps at once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "document/figures.h"
#include "tasker_checkpoint.h"

/* The rate is that of the newest intervals between checkpoints. */
#define RATE_INTERVALS	20

/* Of accumulated_results: how many items the step has, where its handler says */
#define TOTAL_KEY		"total_items"

typedef struct ProgressInterval
{
	double		rate;			/* items per second */
	double		items;
} ProgressInterval;

static int
by_rate(const void *a, const void *b)
{
	double		x = ((const ProgressInterval *) a)->rate;
	double		y = ((const ProgressInterval *) b)->rate;

	return (x > y) - (x < y);
}

/*
 * The newest intervals of a history, each from one entry to the next that is
 * later and has more items.  Fewer items, or an earlier time, begin anew;
 * entries without items or time are passed over.
 */
static int
read_intervals(const TckptHistory *history, ProgressInterval *intervals)
{
	int64		first = history->sequence - RATE_INTERVALS;
	int64		start_items = 0;
	TimestampTz start_time = 0;
	bool		started = false;
	int			n = 0;

	for (int i = 0; i <= RATE_INTERVALS; i++)
	{
		TckptDocument entry;
		int64		items;
		TimestampTz at;

		if (!tckpt_history_entry(history, first + i, &entry) ||
			!tckpt_value_to_count(&entry.items_processed, &items) ||
			!tckpt_value_to_timestamp(&entry.timestamp, &at))
			continue;

		if (started && items >= start_items && at >= start_time)
		{
			if (items == start_items || at == start_time)
				continue;
			intervals[n].items = (double) (items - start_items);
			intervals[n].rate = intervals[n].items * USECS_PER_SEC /
				(double) (at - start_time);
			n++;
		}
		start_items = items;
		start_time = at;
		started = true;
	}
	return n;
}

/*
 * Items per second: the rate at which the median item was done.  A pause is
 * one slow interval among others, and so is left out; small intervals count
 * for little.  0 without an interval.
 */
static double
recent_rate(const TckptHistory *history)
{
	ProgressInterval intervals[RATE_INTERVALS];
	int			n = read_intervals(history, intervals);
	double		items = 0;
	double		slower = 0;

	qsort(intervals, n, sizeof(ProgressInterval), by_rate);
	for (int i = 0; i < n; i++)
		items += intervals[i].items;
	for (int i = 0; i < n; i++)
	{
		slower += intervals[i].items;
		if (slower * 2 > items)
			return intervals[i].rate;
	}
	return 0;
}

/* An estimate has no more than six digits that say something. */
Datum
tckpt_rate_to_numeric(double rate)
{
	char		digits[64];

	snprintf(digits, sizeof(digits), "%.6g", rate);
	return DirectFunctionCall3(numeric_in, CStringGetDatum(digits),
							   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

/* The total that the handler gives in its results; false if it gives none. */
static bool
given_total(const TckptDocument *doc, int64 *total)
{
	JsonbContainer *results = (JsonbContainer *) doc->accumulated_results.data;
	JsonbValue	value;
	TckptValue	number;

	if (results == NULL || doc->accumulated_results.type != JENTRY_ISCONTAINER ||
		!JsonContainerIsObject(results) ||
		getKeyJsonValueFromContainer(results, TOTAL_KEY, strlen(TOTAL_KEY),
									 &value) == NULL ||
		value.type != jbvNumeric)
		return false;

	number.type = JENTRY_ISNUMERIC;
	number.len = VARSIZE(value.val.numeric);
	number.data = (const char *) value.val.numeric;
	return tckpt_value_to_count(&number, total);
}

/* The figures of a document and its history. */
void
tckpt_figures_read(const TckptDocument *doc, const TckptHistory *history,
				   TckptFigures *figures)
{
	memset(figures, 0, sizeof(*figures));
	figures->items = tckpt_document_items(doc);
	figures->has_total = given_total(doc, &figures->total);
	figures->rate = recent_rate(history);
	figures->has_time = tckpt_value_to_timestamp(&doc->timestamp,
												 &figures->checkpointed_at);
	figures->sequence = history->sequence;
}
