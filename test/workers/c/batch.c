/*-------------------------------------------------------------------------
 *
 * batch.c
 *	  The handler of the harness; ../README.md says what it does.
 *
 *-------------------------------------------------------------------------
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"

#define CURSOR_LENGTH	80

/* Text that grows; data is NULL while it is empty. */
typedef struct Text
{
	char	   *data;
	size_t		length;
	size_t		size;
} Text;

/* What the step's inputs ask for, and how far it is. */
typedef struct Batch
{
	TcwContext *context;
	long long	start;
	long long	end;
	long long	interval;
	bool		save;			/* rows and checkpoint in one transaction */
	bool		iterate;		/* by the client */
	bool		near;			/* by keys that are close to each other */
	bool		job;			/* the same, of a table */
	char		cursor_kind[16];
	long long	fail_at;		/* -1: it does not fail in this attempt */
	bool		fail_permanently;
	int			delay;			/* milliseconds an item */
	bool		repeat;
	bool		store_twice;
	bool		hand_back;
	bool		stand_still;
	bool		return_on_stop;
	bool		leave_open;		/* in this attempt */
	bool		save_after_yield;	/* in this run */
	bool		fail_after_yield;
	bool		ignore_stop;
	bool		unlucky;
	int			yield_after;	/* checkpoints of this run, or 0 */

	long long	next;
	long long	saved;			/* items before it have been applied */
	long long	running_total;
	Text		item_ids;		/* a JSON array without its end */
} Batch;

static void
append(Text *line, const char *string)
{
	size_t		length = strlen(string);

	if (line->length + length >= line->size)
	{
		line->size = (line->length + length + 1) * 2;
		line->data = realloc(line->data, line->size);
		if (line->data == NULL)
			abort();
	}
	memcpy(line->data + line->length, string, length + 1);
	line->length += length;
}

/* The cursor that stands before the item with this index, as JSON. */
static void
cursor_of(const char *kind, long long item, char *cursor)
{
	if (strcmp(kind, "token") == 0)
		snprintf(cursor, CURSOR_LENGTH, "\"tok-%lld\"", item);
	else if (strcmp(kind, "object") == 0)
		snprintf(cursor, CURSOR_LENGTH, "{\"at\": %lld, \"half\": -0.1}", item);
	else if (strcmp(kind, "null") == 0)
		snprintf(cursor, CURSOR_LENGTH, "null");
	else if (strcmp(kind, "big") == 0)
		snprintf(cursor, CURSOR_LENGTH, "%lld", 9007199254740993LL + item);
	else
		snprintf(cursor, CURSOR_LENGTH, "%lld", item);
}

static void
totals(const Batch *batch, const char *more, Text *json)
{
	char		number[64];

	snprintf(number, sizeof(number), "{\"running_total\": %lld", batch->running_total);
	append(json, number);
	if (!batch->job)
	{
		append(json, ", \"item_ids\": ");
		append(json, batch->item_ids.data);
		append(json, "]");
		append(json, more);
	}
	append(json, "}");
}

/* The server takes the inputs apart. */
static TcwStatus
read_inputs(Batch *batch)
{
	const char *const values[] = {batch->context->step_uuid};
	PGresult   *res;
	TcwStatus	status = tcw_exec(batch->context, &res,
								  "SELECT range ->> 'start_cursor',"
								  " range ->> CASE WHEN (inputs ->> 'is_no_op')::boolean"
								  " THEN 'start_cursor' ELSE 'end_cursor' END,"
								  " told ->> 'items_per_checkpoint',"
								  " told ->> 'mode', told ->> 'cursor_kind',"
								  " CASE WHEN told ->> 'fail_on_attempt' IN ('always', attempts::text)"
								  " THEN told ->> 'fail_after' ELSE '-1' END,"
								  " (told ->> 'fail_permanently')::boolean,"
								  " coalesce(told ->> 'item_delay_ms', '0'),"
								  " told ? 'repeat', told ? 'store_twice',"
								  " told ? 'hand_back', told ? 'stand_still',"
								  " told ? 'return_on_stop', coalesce(told ->> 'leave_open' = attempts::text, false),"
								  " told ? 'save_after_yield', told ? 'fail_after_yield',"
								  " told ? 'ignore_stop', told ? 'unlucky',"
								  " coalesce(told ->> 'yield_after', '0'), told ? 'key'"
								  " FROM tasker.workflow_steps,"
								  " LATERAL (SELECT inputs -> 'cursor', inputs -> 'batch_metadata')"
								  " AS i (range, told)"
								  " WHERE workflow_step_uuid = $1", 1, values);

	if (status != TCW_OK)
		return status;
	batch->start = atoll(PQgetvalue(res, 0, 0));
	batch->end = atoll(PQgetvalue(res, 0, 1));
	batch->interval = atoll(PQgetvalue(res, 0, 2));
	batch->save = strcmp(PQgetvalue(res, 0, 3), "save") == 0;
	batch->job = strcmp(PQgetvalue(res, 0, 3), "job") == 0;
	batch->iterate = batch->job || strcmp(PQgetvalue(res, 0, 3), "iterate") == 0;
	snprintf(batch->cursor_kind, sizeof(batch->cursor_kind), "%s", PQgetvalue(res, 0, 4));
	batch->fail_at = atoll(PQgetvalue(res, 0, 5));
	if (batch->fail_at >= 0)
		batch->fail_at += batch->start;
	batch->fail_permanently = PQgetvalue(res, 0, 6)[0] == 't';
	batch->delay = atoi(PQgetvalue(res, 0, 7));
	batch->repeat = PQgetvalue(res, 0, 8)[0] == 't';
	batch->store_twice = PQgetvalue(res, 0, 9)[0] == 't';
	batch->hand_back = PQgetvalue(res, 0, 10)[0] == 't';
	batch->stand_still = PQgetvalue(res, 0, 11)[0] == 't';
	batch->return_on_stop = PQgetvalue(res, 0, 12)[0] == 't';
	batch->leave_open = PQgetvalue(res, 0, 13)[0] == 't';
	batch->save_after_yield = PQgetvalue(res, 0, 14)[0] == 't' && !batch->context->has_checkpoint;
	batch->fail_after_yield = PQgetvalue(res, 0, 15)[0] == 't' && !batch->context->has_checkpoint;
	batch->ignore_stop = PQgetvalue(res, 0, 16)[0] == 't';
	batch->unlucky = PQgetvalue(res, 0, 17)[0] == 't';
	batch->yield_after = atoi(PQgetvalue(res, 0, 18));
	batch->near = PQgetvalue(res, 0, 19)[0] == 't';
	PQclear(res);
	return TCW_OK;
}

/* Goes on where the checkpoint says, if cursor and items agree. */
static TcwStatus
resume(Batch *batch)
{
	TcwContext *context = batch->context;
	char		expected[CURSOR_LENGTH];
	const char *const values[] = {
		context->checkpoint_cursor, expected, context->accumulated_results
	};
	PGresult   *res;
	TcwStatus	status;

	batch->next = batch->saved = batch->start + context->checkpoint_items_processed;
	if (!context->has_checkpoint)
	{
		append(&batch->item_ids, "[");
		return TCW_OK;
	}

	/* iterate's own is the last item's number */
	if (batch->near)
		snprintf(expected, sizeof(expected), "%s", context->checkpoint_cursor);
	else if (batch->iterate)
		cursor_of("integer", batch->next - 1, expected);
	else
		cursor_of(batch->cursor_kind, batch->next, expected);
	status = tcw_exec(context, &res,
					  "SELECT $1::jsonb = $2::jsonb, $3::jsonb ->> 'running_total',"
					  " coalesce($3::jsonb ->> 'item_ids', '[]')", 3, values);
	if (status != TCW_OK)
		return status;
	if (PQgetvalue(res, 0, 0)[0] == 't')
	{
		batch->running_total = atoll(PQgetvalue(res, 0, 1));
		append(&batch->item_ids, PQgetvalue(res, 0, 2));
		batch->item_ids.data[--batch->item_ids.length] = '\0';
	}
	else
		status = tcw_fail(context, TCW_PERMANENT_ERROR, "cursor is %s, not %s",
						  context->checkpoint_cursor, expected);
	PQclear(res);
	return status;
}

/* Records the items since the last time as done. */
static TcwStatus
apply(Batch *batch)
{
	char		first[32];
	char		end[32];
	const char *const values[] = {
		batch->context->step_uuid, first, end, batch->context->data
	};

	snprintf(first, sizeof(first), "%lld", batch->saved);
	snprintf(end, sizeof(end), "%lld", batch->next);
	return tcw_exec(batch->context, NULL,
					"INSERT INTO applied (step_uuid, item, worker)"
					" SELECT $1, i, $4 FROM generate_series($2::bigint, $3::bigint - 1) AS i",
					4, values);
}

static TcwStatus
checkpoint(Batch *batch, bool save, TcwReceipt *receipt)
{
	char		cursor[CURSOR_LENGTH];
	Text		results = {0};
	TcwStatus	status;

	cursor_of(batch->cursor_kind, batch->next, cursor);
	totals(batch, "", &results);
	status = (save ? tcw_checkpoint_save : tcw_checkpoint_yield)
		(batch->context, cursor, batch->next - batch->start, results.data, receipt);
	free(results.data);
	return status;
}

/* Rows and checkpoint in one transaction. */
static TcwStatus
apply_and_checkpoint(Batch *batch, bool save, TcwReceipt *receipt)
{
	TcwContext *context = batch->context;
	TcwStatus	status = tcw_exec(context, NULL, "BEGIN", 0, NULL);

	if (status == TCW_OK)
		status = apply(batch);
	if (status == TCW_OK)
		status = checkpoint(batch, save, receipt);
	if (status == TCW_OK)
		status = tcw_exec(context, NULL, "COMMIT", 0, NULL);
	return status;
}

/* Sends it, and once more if the reply was lost and it is told to. */
static TcwStatus
send_checkpoint(Batch *batch, bool save)
{
	TcwStatus	(*send) (Batch *, bool, TcwReceipt *) =
		batch->save ? apply_and_checkpoint : checkpoint;
	TcwReceipt	receipt;
	TcwStatus	status = send(batch, save, &receipt);
	bool		repeated = false;

	if (batch->repeat && status == TCW_SQL_ERROR &&
		strcmp(batch->context->client->error.sqlstate, "08007") == 0)
	{
		repeated = true;
		status = send(batch, save, &receipt);
	}
	if (status != TCW_OK)
		return status;
	if (receipt.replayed != repeated)
		return tcw_fail(batch->context, TCW_PERMANENT_ERROR, "replayed is not to be expected");
	batch->saved = batch->next;
	return TCW_OK;
}

/* A failure that is to be tried again at once. */
static TcwStatus
fail_for_now(TcwContext *context, const char *message)
{
	context->retry_delay = 0;
	return tcw_fail(context, TCW_TRANSIENT_ERROR, "%s", message);
}

/* One item, but for the row that says so. */
static TcwStatus
do_item(Batch *batch)
{
	TcwContext *context = batch->context;
	char		item_id[40];

	if (batch->next == batch->fail_at && batch->fail_permanently)
		return tcw_fail(context, TCW_PERMANENT_ERROR, "told to fail for good");
	if (batch->next == batch->fail_at)
		return fail_for_now(context, "told to fail");
	if (batch->hand_back && tcw_stop_requested(context))
		return fail_for_now(context, "told to stop");
	if (batch->delay > 0)
		poll(NULL, 0, batch->delay);
	snprintf(item_id, sizeof(item_id), "%s\"item_%04lld\"",
			 batch->item_ids.length > 1 ? ", " : "", batch->next);
	append(&batch->item_ids, item_id);
	batch->running_total += ++batch->next;
	return TCW_OK;
}

static bool
should_stop(Batch *batch)
{
	return !batch->ignore_stop && tcw_stop_requested(batch->context);
}

/* The checkpoint at a multiple of the interval, or at the end. */
static TcwStatus
checkpoint_here(Batch *batch, bool more)
{
	TcwContext *context = batch->context;
	TcwReceipt	receipt;
	TcwStatus	status = TCW_OK;
	bool		save = batch->save;

	if (batch->save_after_yield || batch->fail_after_yield ||
		(more && --batch->yield_after == 0))
		save = false;
	else if (!batch->return_on_stop && more && should_stop(batch))
		save = false;
	if (batch->save && batch->store_twice)
		status = apply_and_checkpoint(batch, true, &receipt);
	if (status == TCW_OK)
		status = send_checkpoint(batch, save);
	if (status == TCW_OK && batch->save_after_yield)
		status = checkpoint(batch, true, NULL);
	if (status == TCW_OK && batch->fail_after_yield)
		status = tcw_fail(context, TCW_SYSTEM_ERROR, "told to fail behind the yield");
	return status;
}

/* The rest of the batch, or what of it is to be done in this run. */
static TcwStatus
process(Batch *batch)
{
	TcwContext *context = batch->context;
	TcwStatus	status = TCW_OK;

	if (batch->stand_still)
		return send_checkpoint(batch, false);
	while (status == TCW_OK && !context->yielded && batch->next < batch->end)
	{
		bool		more;

		status = do_item(batch);
		more = batch->next < batch->end;
		if (status == TCW_OK && !batch->save)
		{
			status = apply(batch);
			batch->saved = batch->next;
		}
		if (status != TCW_OK || (more && (batch->next - batch->start) % batch->interval != 0))
			continue;
		if (batch->save || more)
			status = checkpoint_here(batch, more);
		if (status == TCW_OK && batch->return_on_stop && tcw_stop_requested(context))
			break;
	}
	return status;
}

/* The items of a page, or all of a job's at once. */
static TcwStatus
do_items(Batch *batch, const TcwBatch *page)
{
	TcwStatus	status = TCW_OK;

	for (int i = 0; i < page->count && status == TCW_OK; i++)
	{
		if (atoll(PQgetvalue(page->rows, i, 0)) != batch->next)
			return tcw_fail(batch->context, TCW_PERMANENT_ERROR, "item %lld is missing",
							batch->next);
		if (batch->job)
			batch->running_total += ++batch->next;
		else
			status = do_item(batch);
	}
	return status == TCW_OK ? apply(batch) : status;
}

static TcwStatus
do_page(TcwContext *context, TcwBatch *page)
{
	Batch	   *batch = page->arg;
	Text		results = {0};
	TcwStatus	status = do_items(batch, page);

	if (status != TCW_OK)
		return status;
	batch->saved = batch->next;
	totals(batch, "", &results);
	status = tcw_set_results(context, results.data);
	free(results.data);
	return status;
}

static TcwStatus
iterate(Batch *batch)
{
	char		query[192];
	TcwIteration iteration = {
		.query = batch->job ? "SELECT n FROM numbers" : query,
		.key = batch->job ? "n" : batch->near ? "near" : "item",
		.body = do_page,
		.every = (int) batch->interval,
		.total = batch->end - batch->start,
		.arg = batch
	};

	snprintf(query, sizeof(query), "SELECT n AS item, 1 + n * 2.220446049250313e-16::float8 AS near"
			 " FROM generate_series(%lld::bigint, %lld) AS n", batch->start, batch->end - 1);
	return tcw_iterate(batch->context, &iteration);
}

/* As a handler that forgets its COMMIT. */
static TcwStatus
leave_open(Batch *batch)
{
	PQclear(PQexec(batch->context->connection, "BEGIN"));
	batch->next = batch->end;
	return apply(batch);
}

static TcwStatus
do_batch(Batch *batch)
{
	if (batch->unlucky)
		return tcw_fail(batch->context, TCW_SYSTEM_ERROR, "out of luck");
	if (batch->leave_open)
		return leave_open(batch);
	return batch->iterate ? iterate(batch) : process(batch);
}

TcwStatus
handle(TcwContext *context)
{
	Batch		batch = {.context = context};
	Text		results = {0};
	char		more[96];
	TcwStatus	status = read_inputs(&batch);

	if (status == TCW_OK)
		status = resume(&batch);
	if (status == TCW_OK)
		status = do_batch(&batch);
	if (status == TCW_OK && !context->yielded)
	{
		snprintf(more, sizeof(more), ", \"total\": %lld, \"checkpoints_used\": %lld",
				 batch.end - batch.start, (long long) context->sequence);
		totals(&batch, more, &results);
		context->result = results.data;
	}
	free(batch.item_ids.data);
	return status;
}
