/*-------------------------------------------------------------------------
 *
 * client.c
 *	  The extension's functions, one each, on a connection of the caller's.
 *
 * They run in the connection's transaction.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"

/* Of so many parameters; the result is the caller's. */
static TcwStatus
call_for_rows(TcwClient *client, const char *call, int nparams,
			  const char *const *values, PGresult **rows)
{
	char		sql[STATEMENT_SIZE];

	return tcw_query(client, rows, tcw_call(client, "SELECT * FROM", call, sql),
					 nparams, NULL, values);
}

static TcwStatus
call_for_bool(TcwClient *client, const char *call, int nparams,
			  const char *const *values, bool *answer)
{
	PGresult   *res;
	TcwStatus	status = call_for_rows(client, call, nparams, values, &res);

	if (status != TCW_OK)
		return status;
	if (answer != NULL)
		*answer = PQgetvalue(res, 0, 0)[0] == 't';
	PQclear(res);
	return TCW_OK;
}

static TcwStatus
call_for_receipt(TcwClient *client, const char *call, int nparams,
				 const char *const *values, TcwReceipt *receipt)
{
	PGresult   *res;
	TcwStatus	status = call_for_rows(client, call, nparams, values, &res);

	if (status != TCW_OK)
		return status;
	if (receipt != NULL)
		tcw_read_receipt(res, receipt);
	PQclear(res);
	return TCW_OK;
}

/*
 * Offers a step to the workers of a queue, NULL: its own, else "default".
 * "priority" NULL: its own, else 0.  "event_id" has TCW_UUID_SIZE bytes, and is
 * empty where nothing was to be changed: it runs, or is held back.
 */
TcwStatus
tcw_client_dispatch(TcwClient *client, const char *step_uuid, const char *queue,
					const int *priority, double delay, char *event_id)
{
	char		number[NUMBER_SIZE];
	char		interval[INTERVAL_SIZE];
	const char *const values[] = {
		step_uuid, queue, priority != NULL ? number : NULL, interval
	};
	PGresult   *res;
	TcwStatus	status;

	if (priority != NULL)
		snprintf(number, sizeof(number), "%d", *priority);
	tcw_write_interval(interval, delay);
	status = call_for_rows(client, "dispatch($1, $2, $3, $4)", 4, values, &res);
	if (status != TCW_OK)
		return status;
	if (event_id != NULL)
		snprintf(event_id, TCW_UUID_SIZE, "%s", PQgetvalue(res, 0, 0));
	PQclear(res);
	return TCW_OK;
}

/*
 * Takes steps; a row each has event_id, step_uuid, has_checkpoint, cursor,
 * items_processed, accumulated_results, sequence, deliveries, queue.
 */
TcwStatus
tcw_client_claim(TcwClient *client, const char *worker, double lease,
				 int max_steps, const char *step_uuid,
				 const char *const *queues, PGresult **deliveries)
{
	char		interval[INTERVAL_SIZE];
	char		number[NUMBER_SIZE];
	char	   *array = NULL;
	TcwStatus	status;

	if (queues != NULL && (array = tcw_write_array(queues)) == NULL)
		return tcw_set_error(&client->error, TCW_SYSTEM_ERROR, "", "out of memory");
	tcw_write_interval(interval, lease);
	snprintf(number, sizeof(number), "%d", max_steps);
	{
		const char *const values[] = {worker, interval, number, step_uuid, array};

		status = call_for_rows(client, "claim($1, $2, $3, $4, $5)", 5, values, deliveries);
	}
	free(array);
	return status;
}

/*
 * Where to resume a step, a row with has_checkpoint, cursor, items_processed,
 * accumulated_results, checkpointed_at, sequence.
 */
TcwStatus
tcw_client_load(TcwClient *client, const char *step_uuid, PGresult **state)
{
	const char *const values[] = {step_uuid};

	return call_for_rows(client, "load($1)", 1, values, state);
}

static TcwStatus
store(TcwClient *client, const char *call, const char *step_uuid,
	  const char *cursor, int64_t items, const char *results,
	  const char *event_id, TcwReceipt *receipt)
{
	char		number[NUMBER_SIZE];
	const char *const values[] = {step_uuid, cursor, number, results, event_id};

	snprintf(number, sizeof(number), "%lld", (long long) items);
	return call_for_receipt(client, call, 5, values, receipt);
}

/* Stores a checkpoint and offers the step anew. */
TcwStatus
tcw_client_yield(TcwClient *client, const char *step_uuid, const char *cursor,
				 int64_t items_processed, const char *accumulated_results,
				 const char *event_id, TcwReceipt *receipt)
{
	return store(client, "yield($1, $2, $3, $4, $5)", step_uuid, cursor,
				 items_processed, accumulated_results, event_id, receipt);
}

/* Stores a checkpoint; whoever has the step goes on. */
TcwStatus
tcw_client_save(TcwClient *client, const char *step_uuid, const char *cursor,
				int64_t items_processed, const char *accumulated_results,
				const char *event_id, TcwReceipt *receipt)
{
	return store(client, "save($1, $2, $3, $4, $5)", step_uuid, cursor,
				 items_processed, accumulated_results, event_id, receipt);
}

/* Extends the lease; false: stop. */
TcwStatus
tcw_client_heartbeat(TcwClient *client, const char *event_id, bool *held)
{
	const char *const values[] = {event_id};

	return call_for_bool(client, "heartbeat($1)", 1, values, held);
}

/* Ends the dispatch; false: superseded, roll back. */
TcwStatus
tcw_client_complete(TcwClient *client, const char *event_id, bool *held)
{
	const char *const values[] = {event_id};

	return call_for_bool(client, "complete($1)", 1, values, held);
}

/* Hands the step back; false: superseded. */
TcwStatus
tcw_client_release(TcwClient *client, const char *event_id, double delay,
				   bool interrupted, bool *held)
{
	char		interval[INTERVAL_SIZE];
	const char *const values[] = {event_id, interval, interrupted ? "true" : "false"};

	tcw_write_interval(interval, delay);
	return call_for_bool(client, "release($1, $2, $3)", 3, values, held);
}

/* Keeps the step from being claimed; whoever has it is told. */
TcwStatus
tcw_client_pause(TcwClient *client, const char *step_uuid, bool *changed)
{
	const char *const values[] = {step_uuid};

	return call_for_bool(client, "pause($1)", 1, values, changed);
}

/* Lifts pause, cancel and parking. */
TcwStatus
tcw_client_resume(TcwClient *client, const char *step_uuid, bool *changed)
{
	const char *const values[] = {step_uuid};

	return call_for_bool(client, "resume($1)", 1, values, changed);
}

/* As pause, final until resume. */
TcwStatus
tcw_client_cancel(TcwClient *client, const char *step_uuid, bool *changed)
{
	const char *const values[] = {step_uuid};

	return call_for_bool(client, "cancel($1)", 1, values, changed);
}

/* Makes an earlier checkpoint the present one, with these results or none. */
TcwStatus
tcw_client_rewind(TcwClient *client, const char *step_uuid, int64_t to_sequence,
				  const char *results, TcwReceipt *receipt)
{
	char		number[NUMBER_SIZE];
	const char *const values[] = {step_uuid, number, results};

	snprintf(number, sizeof(number), "%lld", (long long) to_sequence);
	return call_for_receipt(client, "rewind($1, $2, $3)", 3, values, receipt);
}

/* The rows of the view of that name; of one step, or NULL: of all. */
TcwStatus
tcw_client_progress(TcwClient *client, const char *step_uuid, PGresult **rows)
{
	const char *const values[] = {step_uuid};

	return call_for_rows(client, "progress($1)", 1, values, rows);
}
