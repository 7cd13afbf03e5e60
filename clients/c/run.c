/*-------------------------------------------------------------------------
 *
 * run.c
 *	  A claimed step, from its start to how it is given back.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define MAX_RETRY_DELAY		14400.0
#define MAX_DELAY			86400.0

/* How a run ended, and what the last of its transactions came to. */
typedef struct End
{
	TcwEventKind kind;
	TcwStatus	status;
	double		delay;
	bool		yielded;		/* before it failed */
} End;

/* Calls a function that says true or, superseded, false. */
static TcwStatus
call_fenced(TcwRun *run, const char *call, int nparams, const char *const *values)
{
	char		sql[STATEMENT_SIZE];
	PGresult   *res;
	TcwStatus	status = tcw_exec(&run->context, &res,
								  tcw_call(&run->client, "SELECT", call, sql),
								  nparams, values);

	if (status != TCW_OK)
		return status;
	if (PQgetvalue(res, 0, 0)[0] != 't')
		status = tcw_fail(&run->context, TCW_SUPERSEDED, "claim of step %s was superseded",
						  run->context.step_uuid);
	PQclear(res);
	return status;
}

/*
 * Runs the callback and the fenced call in a transaction, which commits only if
 * both went well.  Without a callback the call is one by itself.
 */
static TcwStatus
in_transaction(TcwRun *run, TcwHandler callback, const char *call, int nparams,
			   const char *const *values)
{
	TcwContext *context = &run->context;
	int			commits = run->commits;
	TcwStatus	status;

	if (callback == NULL)
		return call_fenced(run, call, nparams, values);
	status = tcw_exec(context, NULL, "BEGIN", 0, NULL);
	if (status != TCW_OK)
		return status;
	status = callback(context);
	if (status == TCW_OK &&
		(run->commits != commits ||
		 PQtransactionStatus(context->connection) != PQTRANS_INTRANS))
		status = tcw_fail(context, TCW_SQL_ERROR,
						  "callback ended the transaction it was called in");
	if (status == TCW_OK)
		status = call_fenced(run, call, nparams, values);
	if (status == TCW_OK)
		return tcw_exec(context, NULL, "COMMIT", 0, NULL);

	/* the error to report is the first one */
	tcw_roll_back(run);
	return status;
}

/*
 * Runs the handler; a transaction that it left open is rolled back.  What it
 * has lost is the run's connection, or else an error like any other.
 */
static TcwStatus
run_handler(TcwRun *run, TcwHandler handler)
{
	TcwContext *context = &run->context;
	PGconn	   *connection = context->connection;
	TcwStatus	status = handler(context);

	tcw_look_back(run);
	if (run->crashed)
		return TCW_CONNECTION_LOST;
	if (PQstatus(connection) != CONNECTION_OK)
		return status == TCW_CONNECTION_LOST ? status
			: tcw_fail(context, TCW_CONNECTION_LOST, "connection lost");
	if (PQpipelineStatus(connection) != PQ_PIPELINE_OFF)
		return tcw_fail(context, TCW_CONNECTION_LOST,
						"handler left the connection in pipeline mode");
	if (status == TCW_CONNECTION_LOST)
		status = TCW_TRANSIENT_ERROR;
	if (PQtransactionStatus(connection) == PQTRANS_IDLE)
		return status;

	tcw_roll_back(run);
	if (status == TCW_OK)
		status = tcw_fail(context, TCW_SQL_ERROR, "handler left a transaction open");
	return status;
}

/*
 * Whether a checkpoint that was stored before is newer than any whose receipt
 * is known: the reply to its COMMIT was lost, and the step goes on from it.
 * Else the handler has stored it twice.
 */
static bool
reply_was_lost(TcwRun *run)
{
	TcwClient	look = {
		.connection = run->client.connection,
		.schema = run->client.schema
	};
	PGresult   *state;
	bool		newer;

	if (tcw_client_load(&look, run->context.step_uuid, &state) != TCW_OK)
		return false;
	newer = strtoll(PQgetvalue(state, 0, 5), NULL, 10) > run->now.sequence;
	PQclear(state);
	return newer;
}

/* How a run ends of whose handler, or on_success, came to this. */
static TcwEventKind
judge(TcwRun *run, TcwStatus status)
{
	switch (status)
	{
		case TCW_OK:
			if (run->now.yielded)
				return TCW_EVENT_YIELDED;
			return run->saw_stop && !run->finished ?
				TCW_EVENT_INTERRUPTED : TCW_EVENT_COMPLETED;
		case TCW_SUPERSEDED:
			return TCW_EVENT_SUPERSEDED;
		case TCW_CONNECTION_LOST:
			return TCW_EVENT_ABANDONED;
		case TCW_STORED_BEFORE:
			return reply_was_lost(run) ? TCW_EVENT_INTERRUPTED : TCW_EVENT_FAILED;
		case TCW_TRANSIENT_ERROR:
			return tcw_must_stop(run) ? TCW_EVENT_INTERRUPTED : TCW_EVENT_RELEASED;
		case TCW_PERMANENT_ERROR:
		case TCW_LIMIT_EXCEEDED:
			return TCW_EVENT_FAILED;
		default:
			return TCW_EVENT_RELEASED;
	}
}

/*
 * Seconds until the next try.  They double with each delivery since the step
 * last got on, which it may have done in this run.
 */
static double
retry_delay(TcwRun *run, TcwStatus status)
{
	const TcwWorkerOptions *options = &run->context.worker->options;
	double		delay = run->context.retry_delay;

	if (status != TCW_TRANSIENT_ERROR || !(delay >= 0))
	{
		if (options->retry != NULL)
			delay = options->retry(&run->context, status);
		else
		{
			int			before = run->stored.items != run->items_before ? 0
				: run->context.deliveries - 1;

			delay = options->retry_delay;
			for (int i = 0; i < before && delay < MAX_RETRY_DELAY; i++)
				delay *= 2;
			if (delay > MAX_RETRY_DELAY)
				delay = MAX_RETRY_DELAY;
			delay *= 1 + erand48(run->context.worker->seed) / 4;
		}
	}
	if (!(delay >= 0))
		return 0;
	return delay < MAX_DELAY ? delay : MAX_DELAY;
}

/* Gives the step back, as what the handler came to asks for. */
static void
settle(TcwRun *run, End *end)
{
	const TcwWorkerOptions *options = &run->context.worker->options;
	const char *values[] = {run->now.fence, NULL};
	char		delay[INTERVAL_SIZE];

	end->kind = judge(run, end->status);
	if (end->kind == TCW_EVENT_COMPLETED)
	{
		end->status = in_transaction(run, options->on_success, "complete($1)", 1, values);
		if (end->status == TCW_OK)
			return;
		end->kind = judge(run, end->status);
	}
	switch (end->kind)
	{
		case TCW_EVENT_INTERRUPTED:
			end->status = in_transaction(run, NULL, "release($1, interrupted => true)",
										 1, values);
			break;
		case TCW_EVENT_FAILED:
			end->status = in_transaction(run, options->on_permanent_failure,
										 "complete($1)", 1, values);
			break;
		case TCW_EVENT_RELEASED:
			end->delay = retry_delay(run, end->status);
			tcw_write_interval(delay, end->delay);
			values[1] = delay;
			end->status = in_transaction(run, options->on_transient_failure,
										 "release($1, $2)", 2, values);
			break;
		default:
			return;
	}
	if (end->status == TCW_OK)
		return;

	/* a callback that fails leaves the step to its lease */
	end->delay = -1;
	end->kind = end->status == TCW_SUPERSEDED ? TCW_EVENT_SUPERSEDED : TCW_EVENT_ABANDONED;
}

/* An event of a run, with what is known so far. */
TcwEvent
tcw_run_event(const TcwRun *run, TcwEventKind kind)
{
	TcwEvent	event = tcw_event(run->context.worker, kind);

	event.step = run->context.step_uuid;
	event.queue = run->context.queue;
	event.deliveries = run->context.deliveries;
	if (run->now.sequence > 0)
	{
		event.sequence = run->now.sequence;
		event.items = run->now.items;
	}
	if (kind != TCW_EVENT_CLAIMED && kind != TCW_EVENT_RESUMED)
		event.seconds = tcw_now() - run->began;
	return event;
}

static void
tell_of_begin(TcwRun *run)
{
	TcwEvent	event = tcw_run_event(run, TCW_EVENT_CLAIMED);

	event.sequence = event.items = -1;
	tcw_tell(run->context.worker, &event);
	if (!run->context.has_checkpoint)
		return;
	event = tcw_run_event(run, TCW_EVENT_RESUMED);
	tcw_tell(run->context.worker, &event);
}

static void
tell_of_end(TcwRun *run, const End *end)
{
	TcwEvent	event = tcw_run_event(run, end->kind);
	TcwError	error = run->client.error;

	event.delay = end->delay;
	if (error.status != TCW_OK && end->kind != TCW_EVENT_COMPLETED &&
		end->kind != TCW_EVENT_YIELDED)
		event.error = &error;
	if (end->yielded)
		snprintf(error.message, sizeof(error.message), "behind its yield: %.480s",
				 run->client.error.message);
	/* only a callback's error leaves a step behind on a good connection */
	if (end->kind == TCW_EVENT_ABANDONED && end->status != TCW_CONNECTION_LOST)
		event.level = TCW_ERROR;
	tcw_tell(run->context.worker, &event);
}

static void
fill(TcwRun *run, TcwWorker *worker, PGresult *delivery)
{
	TcwContext *context = &run->context;

	context->event_id = PQgetvalue(delivery, 0, 0);
	context->step_uuid = PQgetvalue(delivery, 0, 1);
	context->has_checkpoint = PQgetvalue(delivery, 0, 2)[0] == 't';
	if (!PQgetisnull(delivery, 0, 3))
		context->checkpoint_cursor = PQgetvalue(delivery, 0, 3);
	context->checkpoint_items_processed = strtoll(PQgetvalue(delivery, 0, 4), NULL, 10);
	if (!PQgetisnull(delivery, 0, 5))
		context->accumulated_results = PQgetvalue(delivery, 0, 5);
	context->sequence = strtoll(PQgetvalue(delivery, 0, 6), NULL, 10);
	context->deliveries = atoi(PQgetvalue(delivery, 0, 7));
	context->queue = PQgetvalue(delivery, 0, 8);
	context->connection = worker->client.connection;
	context->client = &run->client;
	context->worker = worker;
	context->data = worker->options.data;
	context->retry_delay = -1;
	run->client.connection = worker->client.connection;
	run->client.schema = worker->client.schema;
	run->began = tcw_now();
	run->items_before = context->checkpoint_items_processed;
	run->now.sequence = context->sequence;
	run->now.items = context->checkpoint_items_processed;
	snprintf(run->now.fence, sizeof(run->now.fence), "%s", context->event_id);
	run->stored = run->now;
}

/* The handler, between its start and what it came to. */
static TcwStatus
start_and_run(TcwRun *run, TcwHandler handler)
{
	TcwContext *context = &run->context;
	const char *const values[] = {context->event_id};
	TcwHandler	on_start = context->worker->options.on_start;
	TcwStatus	status = TCW_OK;

	if (!tcw_follow(run))
		return tcw_fail(context, TCW_SYSTEM_ERROR, "out of memory");
	if (context->worker->stop)
		return tcw_fail(context, TCW_TRANSIENT_ERROR, "claimed and not begun");

	/* behind the callback, so that the step is locked before its event */
	if (on_start != NULL)
		status = in_transaction(run, on_start, "heartbeat($1)", 1, values);
	if (status == TCW_OK)
		status = run_handler(run, handler);
	if (status == TCW_OK)
		tcw_set_error(&run->client.error, TCW_OK, "", "");
	else if (run->client.error.status == TCW_OK)
		tcw_set_error(&run->client.error, status, "", "");
	return status;
}

/*
 * Runs a delivered step.  The run is empty before, and has the context's result
 * after it.  A connection that was lost is closed.
 */
TcwEventKind
tcw_run(TcwWorker *worker, TcwRun *run, PGresult *delivery, TcwHandler handler)
{
	End			end = {.kind = TCW_EVENT_ABANDONED,.delay = -1};

	fill(run, worker, delivery);
	tcw_heart_set(worker, run->context.event_id);
	tell_of_begin(run);
	end.status = start_and_run(run, handler);
	end.yielded = run->now.yielded;
	if (!run->crashed)
		settle(run, &end);
	tcw_heart_set(worker, "");
	tell_of_end(run, &end);
	tcw_unfollow(run);
	free(run->results);
	run->results = NULL;

	if (end.kind == TCW_EVENT_ABANDONED && end.status == TCW_CONNECTION_LOST && !run->crashed)
	{
		snprintf(worker->abandoned, sizeof(worker->abandoned), "%s", run->context.event_id);
		tcw_tell_of_worker(worker, TCW_EVENT_CONNECTION_LOST, &run->client.error);
		tcw_disconnect(worker, &worker->client);
	}
	return end.kind;
}
