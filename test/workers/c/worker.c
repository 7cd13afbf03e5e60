/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The C client's worker for the harness; ../README.md says what it does.
 *
 *-------------------------------------------------------------------------
 */
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tasker_checkpoint_client.h"

#define CURSOR_LENGTH	80

/* Text that grows; data is NULL while it is empty. */
typedef struct Text
{
	char	   *data;
	size_t		length;
	size_t		size;
}			Text;

/* What the step's inputs ask for, and how far it is. */
typedef struct Batch
{
	TcwContext *context;
	long long	start;
	long long	end;
	long long	interval;
	bool		save;
	char		cursor_kind[16];
	long long	fail_at;		/* -1: it does not fail in this attempt */
	bool		fail_permanently;
	int			delay;			/* milliseconds an item */
	bool		repeat;
	bool		store_twice;
	bool		hand_back;
	bool		stand_still;

	long long	next;
	long long	saved;			/* items before it have been applied */
	long long	running_total;
	Text		item_ids;		/* a JSON array without its end */
}			Batch;

static TcwWorker *worker;

static void
append(Text * line, const char *string)
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
totals(const Batch * batch, const char *more, Text * json)
{
	char		number[64];

	snprintf(number, sizeof(number), "{\"running_total\": %lld, \"item_ids\": ",
			 batch->running_total);
	append(json, number);
	append(json, batch->item_ids.data);
	append(json, "]");
	append(json, more);
	append(json, "}");
}

/* The server takes the inputs apart. */
static TcwStatus
read_inputs(Batch * batch)
{
	const char *const values[] = {batch->context->step_uuid};
	PGresult   *res;
	TcwStatus	status = tcw_exec(batch->context, &res,
								  "SELECT range ->> 'start_cursor',"
								  " range ->> CASE WHEN (inputs ->> 'is_no_op')::boolean"
								  " THEN 'start_cursor' ELSE 'end_cursor' END,"
								  " told ->> 'items_per_checkpoint',"
								  " told ->> 'mode' = 'save', told ->> 'cursor_kind',"
								  " CASE WHEN told ->> 'fail_on_attempt' IN ('always', attempts::text)"
								  " THEN told ->> 'fail_after' ELSE '-1' END,"
								  " (told ->> 'fail_permanently')::boolean,"
								  " coalesce(told ->> 'item_delay_ms', '0'),"
								  " told ? 'repeat', told ? 'store_twice',"
								  " told ? 'hand_back', told ? 'stand_still'"
								  " FROM tasker.workflow_steps,"
								  " LATERAL (SELECT inputs -> 'cursor', inputs -> 'batch_metadata')"
								  " AS i (range, told)"
								  " WHERE workflow_step_uuid = $1", 1, values);

	if (status != TCW_OK)
		return status;
	batch->start = atoll(PQgetvalue(res, 0, 0));
	batch->end = atoll(PQgetvalue(res, 0, 1));
	batch->interval = atoll(PQgetvalue(res, 0, 2));
	batch->save = PQgetvalue(res, 0, 3)[0] == 't';
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
	PQclear(res);
	return TCW_OK;
}

/* Goes on where the checkpoint says, if cursor and items agree. */
static TcwStatus
resume(Batch * batch)
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

	cursor_of(batch->cursor_kind, batch->next, expected);
	status = tcw_exec(context, &res,
					  "SELECT $1::jsonb = $2::jsonb, $3::jsonb ->> 'running_total',"
					  " $3::jsonb ->> 'item_ids'", 3, values);
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
apply(Batch * batch)
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
checkpoint(Batch * batch, bool save, TcwReceipt *receipt)
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
apply_and_checkpoint(Batch * batch, bool save, TcwReceipt *receipt)
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
send_checkpoint(Batch * batch, bool save)
{
	TcwStatus	(*send) (Batch *, bool, TcwReceipt *) =
		batch->save ? apply_and_checkpoint : checkpoint;
	TcwReceipt	receipt;
	TcwStatus	status = send(batch, save, &receipt);
	bool		repeated = false;

	if (batch->repeat && status == TCW_SQL_ERROR &&
		strcmp(batch->context->sqlstate, "08007") == 0)
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

/* The rest of the batch, or what of it is to be done in this run. */
static TcwStatus
process(Batch * batch)
{
	TcwContext *context = batch->context;
	TcwReceipt	receipt;
	TcwStatus	status = TCW_OK;

	if (batch->stand_still)
		return send_checkpoint(batch, false);
	while (status == TCW_OK && !context->yielded)
	{
		char		item_id[40];
		bool		more;

		if (batch->next >= batch->end)
			break;
		if (batch->next == batch->fail_at)
			return tcw_fail(context, batch->fail_permanently ?
							TCW_PERMANENT_ERROR : TCW_TRANSIENT_ERROR,
							"told to fail after %lld items", batch->next - batch->start);

		if (batch->hand_back && tcw_stop_requested(context))
			return tcw_fail(context, TCW_TRANSIENT_ERROR, "told to stop");
		if (batch->delay > 0)
			poll(NULL, 0, batch->delay);
		snprintf(item_id, sizeof(item_id), "%s\"item_%04lld\"",
				 batch->item_ids.length > 1 ? ", " : "", batch->next);
		append(&batch->item_ids, item_id);
		batch->running_total += ++batch->next;
		more = batch->next < batch->end;

		if (!batch->save)
		{
			status = apply(batch);
			batch->saved = batch->next;
		}
		if (status != TCW_OK || (more && (batch->next - batch->start) % batch->interval != 0))
			continue;
		if (batch->save && batch->store_twice)
			status = apply_and_checkpoint(batch, true, &receipt);
		if (status == TCW_OK && (batch->save || more))
			status = send_checkpoint(batch, batch->save && !(more && tcw_stop_requested(context)));
	}
	return status;
}

static TcwStatus
handle(TcwContext *context)
{
	Batch		batch = {.context = context};
	Text		results = {0};
	char		more[96];
	TcwStatus	status = read_inputs(&batch);

	if (status == TCW_OK)
		status = resume(&batch);
	if (status == TCW_OK)
		status = process(&batch);
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

static TcwStatus
change_step(TcwContext *context, const char *set, const char *results,
			const char *to_state)
{
	char		sql[512];
	const char *const values[] = {context->step_uuid, results};
	const char *const transition[] = {context->step_uuid, to_state};
	TcwStatus	status;

	snprintf(sql, sizeof(sql), "UPDATE tasker.workflow_steps SET %s, updated_at = now()"
			 " WHERE workflow_step_uuid = $1", set);
	status = tcw_exec(context, NULL, sql, results != NULL ? 2 : 1, values);
	if (status == TCW_OK && to_state != NULL)
		status = tcw_exec(context, NULL,
						  "INSERT INTO tasker.workflow_step_transitions (workflow_step_uuid, to_state)"
						  " VALUES ($1, $2)", 2, transition);
	return status;
}

/* What goes on elsewhere, or after a yield, is no new attempt. */
static TcwStatus
on_start(TcwContext *context)
{
	return change_step(context, "attempts = coalesce(attempts, 0)"
					   " + CASE WHEN in_process THEN 0 ELSE 1 END, in_process = true",
					   NULL, NULL);
}

static TcwStatus
on_success(TcwContext *context)
{
	return change_step(context, "results = $2, processed = true, processed_at = now(),"
					   " in_process = false", context->result, "complete");
}

static TcwStatus
on_transient_failure(TcwContext *context)
{
	return change_step(context, "in_process = false", NULL, "waiting_for_retry");
}

static TcwStatus
on_permanent_failure(TcwContext *context)
{
	return change_step(context, "in_process = false", NULL, "error");
}

static void
stop(int signo)
{
	(void) signo;
	tcw_worker_stop(worker);
}

int
main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"dsn", required_argument, NULL, 'd'},
		{"name", required_argument, NULL, 'n'},
		{"poll-only", no_argument, NULL, 'p'},
		{"lease", required_argument, NULL, 'l'},
		{"exit-when-idle", required_argument, NULL, 'i'},
		{0}
	};
	TcwWorkerOptions options = {
		.on_start = on_start,
		.on_success = on_success,
		.on_transient_failure = on_transient_failure,
		.on_permanent_failure = on_permanent_failure
	};
	struct sigaction action = {.sa_handler = stop};
	int			c;
	int			rc;

	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1)
	{
		switch (c)
		{
			case 'd':
				options.conninfo = optarg;
				break;
			case 'n':
				options.name = optarg;
				options.data = optarg;
				break;
			case 'p':
				options.poll_only = true;
				break;
			case 'l':
				options.lease = atof(optarg);
				break;
			case 'i':
				options.exit_when_idle = atof(optarg);
				break;
			default:
				return 2;
		}
	}
	if (options.conninfo == NULL || options.name == NULL)
	{
		fprintf(stderr, "%s: --dsn and --name are required\n", argv[0]);
		return 2;
	}

	worker = tcw_worker_new(&options);
	if (worker == NULL)
	{
		perror(argv[0]);
		return 1;
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	rc = tcw_worker_run(worker, handle);
	tcw_worker_free(worker);
	return rc == 0 ? 0 : 1;
}
