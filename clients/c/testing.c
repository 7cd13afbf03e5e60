/*-------------------------------------------------------------------------
 *
 * testing.c
 *	  One step, run to its end on one connection.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* The connection is the caller's. */
static void
keep(void *data, PGconn *connection)
{
	(void) data;
	(void) connection;
}

static PGresult *
claim_step(TcwWorker *worker, const char *step_uuid, TcwTestResult *result)
{
	TcwClient  *client = &worker->client;
	PGresult   *delivery;

	if (tcw_client_claim(client, worker->name, worker->options.lease, 1, step_uuid,
						 NULL, &delivery) != TCW_OK)
	{
		result->error = client->error;
		return NULL;
	}
	if (PQntuples(delivery) > 0)
		return delivery;
	PQclear(delivery);
	tcw_set_error(&result->error, TCW_WRONG_STATE, "", "step cannot be claimed");
	return NULL;
}

/* One run; whether another is to follow. */
static bool
run_once(TcwWorker *worker, PGresult *delivery, TcwHandler handler,
		 TcwTestResult *result)
{
	TcwRun		run = {.checkpoints = result->checkpoints};

	result->ended = tcw_run(worker, &run, delivery, handler);
	result->runs++;
	result->checkpoints = run.checkpoints;
	result->sequence = run.stored.sequence;
	result->result = run.context.result;
	result->error = run.client.error;
	return result->ended == TCW_EVENT_YIELDED &&
		(worker->test->stop_at <= 0 || run.checkpoints < worker->test->stop_at);
}

/*
 * Runs the step as a worker would, again after each yield, in this thread and
 * without heartbeats; it is dispatched if it has not been.  TCW_OK says that it
 * was run, and the result how that ended; else its error has the reason.
 */
TcwStatus
tcw_test_run_step(PGconn *connection, const char *step_uuid, TcwHandler handler,
				  const TcwTestOptions *options, TcwTestResult *result)
{
	static const TcwTestOptions none;
	TcwWorkerOptions worker_options = {.name = "test"};
	TcwWorker  *worker;
	PGresult   *delivery = NULL;
	bool		more = true;

	memset(result, 0, sizeof(*result));
	if (options != NULL && options->worker != NULL)
		worker_options = *options->worker;
	worker = tcw_worker_new(&worker_options);
	if (worker == NULL)
		return tcw_set_error(&result->error, TCW_SYSTEM_ERROR, "", "out of memory");
	worker->test = options != NULL ? options : &none;
	worker->options.disconnect = keep;
	worker->client.connection = connection;

	if (tcw_client_dispatch(&worker->client, step_uuid, NULL, NULL, 0, NULL) != TCW_OK)
		result->error = worker->client.error;
	else
	{
		while (more && (delivery = claim_step(worker, step_uuid, result)) != NULL)
		{
			more = run_once(worker, delivery, handler, result);
			if (more)
				free(result->result);
			PQclear(delivery);
		}
	}
	tcw_worker_free(worker);
	return more ? result->error.status : TCW_OK;
}

/*
 * Lets the lease of a claimed step run out now.  For the owner of the
 * extension's tables.
 */
TcwStatus
tcw_test_expire_lease(TcwClient *client, const char *step_uuid)
{
	const char *const values[] = {step_uuid};
	char		sql[STATEMENT_SIZE];
	PGresult   *res;
	TcwStatus	status = tcw_query(client, &res,
								   tcw_call(client, "UPDATE",
											"events SET available_at = clock_timestamp(),"
											" lease_until = clock_timestamp()"
											" WHERE step_uuid = $1 AND worker IS NOT NULL", sql),
								   1, NULL, values);

	if (status != TCW_OK)
		return status;
	if (strcmp(PQcmdTuples(res), "1") != 0)
		status = tcw_set_error(&client->error, TCW_WRONG_STATE, "", "step is not claimed");
	PQclear(res);
	return status;
}
