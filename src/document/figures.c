/*-------------------------------------------------------------------------
 *
 * figures.c
 *	  What a checkpoint document says of progress: rate, standstill and total.
 *
 * Pure functions of the document, and of Tasker's inputs.  Whatever is stored
 * there is read as far as it makes sense, and never makes them fail: monitoring
 * reads all steps at once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

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
double
tckpt_history_rate(const TckptHistory *history)
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

/* Equal as JSON: 1 and 1.0 are.  Two absent values are equal, too. */
static bool
same_json(const TckptValue *a, const TckptValue *b)
{
	if (tckpt_value_equal(a, b))
		return true;
	if (a->data == NULL || b->data == NULL || a->type != b->type)
		return false;
	if (a->type == JENTRY_ISNUMERIC)
		return DatumGetBool(DirectFunctionCall2(numeric_eq, PointerGetDatum(a->data),
												PointerGetDatum(b->data)));
	return a->type == JENTRY_ISCONTAINER &&
		compareJsonbContainers((JsonbContainer *) unconstify(char *, a->data),
							   (JsonbContainer *) unconstify(char *, b->data)) == 0;
}

/* The i-th entry of a stored history, if it is one. */
static bool
read_entry(const JsonbContainer *array, uint32 i, TckptDocument *entry)
{
	const char *data = (const char *) &array->children[JsonContainerSize(array)];
	uint32		offset = getJsonbOffset(array, i);
	TckptValue	value = tckpt_value_at(data, offset,
									   offset + getJsonbLength(array, i),
									   array->children[i]);

	return value.type == JENTRY_ISCONTAINER &&
		tckpt_container_read((const JsonbContainer *) value.data, entry);
}

/*
 * How many of the newest checkpoints have the same cursor and items; 0 where
 * the history does not tell.  Reads no entries but these and the one before.
 */
uint32
tckpt_document_repeated(const TckptDocument *doc)
{
	const JsonbContainer *array = (const JsonbContainer *) doc->history.data;
	uint32		n = tckpt_value_is_array(&doc->history) ? JsonContainerSize(array) : 0;
	TckptDocument newest;
	TckptDocument entry;
	uint32		repeated = 1;

	if (n == 0 || !read_entry(array, n - 1, &newest) || newest.cursor.data == NULL)
		return 0;
	while (repeated < n && read_entry(array, n - 1 - repeated, &entry) &&
		   same_json(&entry.cursor, &newest.cursor) &&
		   same_json(&entry.items_processed, &newest.items_processed))
		repeated++;
	return repeated;
}

/* The total that the handler gives in its results; false if it gives none. */
bool
tckpt_results_total(const TckptDocument *doc, int64 *total)
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

/* A number that is an integer of up to 18 digits. */
static bool
read_integer(const JsonbContainer *object, const char *key, int64 *result)
{
	JsonbValue	value;
	Datum		number;
	Datum		limit = NumericGetDatum(int64_to_numeric(INT64CONST(1000000000000000000)));

	if (getKeyJsonValueFromContainer(unconstify(JsonbContainer *, object), key,
									 strlen(key), &value) == NULL ||
		value.type != jbvNumeric)
		return false;
	number = NumericGetDatum(value.val.numeric);
	if (DatumGetInt32(DirectFunctionCall2(numeric_cmp,
										  DirectFunctionCall1(numeric_abs, number),
										  limit)) >= 0 ||
		DatumGetInt32(DirectFunctionCall2(numeric_cmp, number,
										  DirectFunctionCall2(numeric_trunc, number,
															  Int32GetDatum(0)))) != 0)
		return false;
	*result = DatumGetInt64(DirectFunctionCall1(numeric_int8, number));
	return true;
}

/* The total that Tasker's inputs give: end_cursor - start_cursor. */
bool
tckpt_inputs_total(Jsonb *inputs, int64 *total)
{
	JsonbValue	cursor;
	int64		start;
	int64		end;

	if (!JB_ROOT_IS_OBJECT(inputs) ||
		getKeyJsonValueFromContainer(&inputs->root, "cursor", strlen("cursor"),
									 &cursor) == NULL ||
		cursor.type != jbvBinary ||
		!JsonContainerIsObject(cursor.val.binary.data) ||
		!read_integer(cursor.val.binary.data, "start_cursor", &start) ||
		!read_integer(cursor.val.binary.data, "end_cursor", &end) ||
		start > end)
		return false;
	*total = end - start;
	return true;
}
