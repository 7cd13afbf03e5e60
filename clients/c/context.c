/*-------------------------------------------------------------------------
 *
 * context.c
 *	  What a handler calls.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/*
 * Runs a statement on the run's connection.  Its error is noted in the run's
 * client.  "result" may be NULL; what it points to is set, to be cleared by the
 * caller, only if the status is TCW_OK.
 */
TcwStatus
tcw_exec(TcwContext *context, PGresult **result, const char *sql,
		 int nparams, const char *const *values)
{
	TcwStatus	status = tcw_query(context->client, result, sql, nparams, NULL, values);

	tcw_look_back((TcwRun *) context);
	return status;
}

/* In a test: whether this is the checkpoint that does not happen. */
static bool
crashes(TcwRun *run)
{
	const TcwTestOptions *test = run->context.worker->test;

	if (test == NULL)
		return false;
	if (!run->crashed && test->crash_at > 0 && run->checkpoints + 1 >= test->crash_at)
	{
		run->crashed = true;
		tcw_roll_back(run);
	}
	if (run->crashed)
		tcw_fail(&run->context, TCW_CONNECTION_LOST, "crashed, as the test wants it");
	return run->crashed;
}

static void
take_receipt(TcwRun *run, const TcwReceipt *receipt, int64_t items, bool yielded)
{
	TcwWorker  *worker = run->context.worker;

	tcw_progressed(run, receipt, items, yielded);
	run->checkpoints++;
	if (receipt->directive != TCW_CONTINUE)
		run->saw_stop = true;
	pthread_mutex_lock(&worker->lock);
	worker->told = receipt->directive != TCW_CONTINUE;
	pthread_mutex_unlock(&worker->lock);
	if (!yielded)
	{
		TcwEvent	event = tcw_run_event(run, TCW_EVENT_SAVED);

		event.directive = receipt->directive == TCW_PAUSE ? "pause"
			: receipt->directive == TCW_CANCEL ? "cancel" : "continue";
		tcw_tell(worker, &event);
	}
}

/*
 * Stores a checkpoint: "call" is a save, or a yield, whose parameters are step,
 * cursor, items, results, event and, if there is one, the total of items.
 */
TcwStatus
tcw_store(TcwRun *run, const char *call, const Oid *types, const char *cursor,
		  int64_t items, const char *results, const char *total,
		  TcwReceipt *receipt)
{
	TcwClient  *client = &run->client;
	char		sql[STATEMENT_SIZE];
	char		number[NUMBER_SIZE];
	const char *const values[] = {
		run->context.step_uuid, cursor, number, results, run->context.event_id, total
	};
	bool		yielded = call[0] == 'y';
	PGresult   *res;
	TcwReceipt	got;
	TcwStatus	status;

	tcw_look_back(run);
	if (run->now.yielded)
		return tcw_fail(&run->context, TCW_ALREADY_YIELDED,
						"step %s has been yielded in this run", run->context.step_uuid);
	if (crashes(run))
		return TCW_CONNECTION_LOST;
	snprintf(number, sizeof(number), "%lld", (long long) items);
	status = tcw_query(client, &res, tcw_call(client, "SELECT * FROM", call, sql),
					   total != NULL ? 6 : 5, types, values);
	tcw_look_back(run);
	if (status != TCW_OK)
		return status;
	tcw_read_receipt(res, &got);
	PQclear(res);
	take_receipt(run, &got, items, yielded);
	if (receipt != NULL)
		*receipt = got;
	return TCW_OK;
}

/*
 * Persists the checkpoint and re-dispatches the step; the handler returns
 * after it.  Joins a transaction that the handler has open.  "cursor" and
 * "accumulated_results" are JSON, the latter may be NULL, as may "receipt".
 */
TcwStatus
tcw_checkpoint_yield(TcwContext *context, const char *cursor,
					 int64_t items_processed, const char *accumulated_results,
					 TcwReceipt *receipt)
{
	return tcw_store((TcwRun *) context, "yield($1, $2, $3, $4, $5)", NULL,
					 cursor, items_processed, accumulated_results, NULL, receipt);
}

/* The same, but the handler keeps the step and goes on. */
TcwStatus
tcw_checkpoint_save(TcwContext *context, const char *cursor,
					int64_t items_processed, const char *accumulated_results,
					TcwReceipt *receipt)
{
	return tcw_store((TcwRun *) context, "save($1, $2, $3, $4, $5)", NULL,
					 cursor, items_processed, accumulated_results, NULL, receipt);
}

/* Whether the step is to be let go, whoever wants to know. */
bool
tcw_must_stop(TcwRun *run)
{
	TcwWorker  *worker = run->context.worker;
	bool		stop;

	pthread_mutex_lock(&worker->lock);
	stop = worker->stop || worker->told || worker->lost;
	pthread_mutex_unlock(&worker->lock);
	if (worker->test != NULL && worker->test->stop_at > 0)
		stop = stop || run->checkpoints >= worker->test->stop_at;
	return stop;
}

/*
 * Whether the handler should yield at its next checkpoint: the worker stops,
 * an operator paused or cancelled the step, or the claim was superseded.  A
 * handler that was told so and returns is not done, but by tcw_finish().
 */
bool
tcw_stop_requested(TcwContext *context)
{
	TcwRun	   *run = (TcwRun *) context;

	if (!tcw_must_stop(run))
		return false;
	run->saw_stop = true;
	return true;
}

/*
 * Says that the step is done, although a stop was requested.  "result", which
 * may be NULL, is for on_success, and freed by the worker.
 */
TcwStatus
tcw_finish(TcwContext *context, void *result)
{
	if (result != context->result)
		free(context->result);
	context->result = result;
	((TcwRun *) context)->finished = true;
	return TCW_OK;
}

/* What tcw_iterate() saves with the batch, JSON; NULL: what was delivered. */
TcwStatus
tcw_set_results(TcwContext *context, const char *results)
{
	TcwRun	   *run = (TcwRun *) context;
	char	   *copy = NULL;

	if (results != NULL)
	{
		copy = malloc(strlen(results) + 1);
		if (copy == NULL)
			return tcw_fail(context, TCW_SYSTEM_ERROR, "out of memory");
		strcpy(copy, results);
	}
	free(run->results);
	run->results = copy;
	return TCW_OK;
}
