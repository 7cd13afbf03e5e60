/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The run loop: claims steps, runs a handler, gives the steps back.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

#define DEFAULT_CHANNEL		"tasker_checkpoint"
#define DEFAULT_LEASE		60.0
#define DEFAULT_RETRY_DELAY 1.0
#define MAX_POLL_INTERVAL	5.0
#define MIN_BACKOFF			0.1
#define MAX_BACKOFF			5.0

#define INTERVAL_LENGTH		40

/* As SQL reads it, in any locale. */
static void
write_interval(char *buffer, double seconds)
{
	snprintf(buffer, INTERVAL_LENGTH, "%lld milliseconds", (long long) (seconds * 1000));
}

/*
 * A claimed step
 */

/*
 * Runs the callback, which may be NULL, and the fenced call in a transaction,
 * which commits only if both went well.
 */
static TcwStatus
in_transaction(TcwContext *context, TcwHandler callback, const char *call,
			   int nparams, const char *const *values)
{
	TcwStatus	status = tcw_exec(context, NULL, "BEGIN", 0, NULL);

	if (status != TCW_OK)
		return status;
	if (callback != NULL)
		status = callback(context);
	if (status == TCW_OK)
		status = tcw_exec_fenced(context, call, nparams, values);
	if (status == TCW_OK)
		return tcw_exec(context, NULL, "COMMIT", 0, NULL);

	/* the error to report is the first one */
	PQclear(PQexec(context->connection, "ROLLBACK"));
	return status;
}

/* Runs the handler; a transaction that it left open is rolled back. */
static TcwStatus
run_handler(TcwContext *context, TcwHandler handler)
{
	TcwStatus	status = handler(context);

	if (status == TCW_CONNECTION_LOST)
		return status;
	if (PQstatus(context->connection) == CONNECTION_BAD)
		return tcw_fail(context, TCW_CONNECTION_LOST, "connection lost");
	if (PQtransactionStatus(context->connection) == PQTRANS_IDLE)
		return status;

	PQclear(PQexec(context->connection, "ROLLBACK"));
	context->yielded = false;
	if (status == TCW_OK)
		status = tcw_fail(context, TCW_SQL_ERROR,
						  "handler left a transaction open");
	return status;
}

/*
 * Whether the step goes on as if nothing had failed.  What was stored before by
 * a transaction whose reply was lost is gone on from; stored twice by the
 * handler it is a failure.
 */
static bool
is_interruption(TcwContext *context, TcwStatus status)
{
	const char *const values[] = {context->step_uuid};
	TcwContext	look = {
		.worker = context->worker,
		.connection = context->connection
	};
	char		sql[STATEMENT_LENGTH];
	PGresult   *res;
	bool		newer;

	if (status == TCW_TRANSIENT_ERROR)
		return tcw_stop_requested(context);
	if (status != TCW_STORED_BEFORE ||
		tcw_exec(&look, &res, tcw_call(look.worker, "load($1)", sql), 1, values) != TCW_OK)
		return false;
	newer = strtoll(PQgetvalue(res, 0, 5), NULL, 10) > context->sequence;
	PQclear(res);
	return newer;
}

/* Gives the step back, as what the handler came to asks for. */
static TcwStatus
settle(TcwContext *context, TcwStatus status)
{
	const TcwWorkerOptions *options = &context->worker->options;
	char		delay[INTERVAL_LENGTH];
	const char *const values[] = {context->event_id, delay};

	if (is_interruption(context, status))
	{
		tcw_log(context->worker, "step %s is handed back: %s",
				context->step_uuid, context->error);
		return in_transaction(context, NULL, "release($1, interrupted => true)", 1, values);
	}
	if (status == TCW_OK)
	{
		if (context->yielded)
			return TCW_OK;
		status = in_transaction(context, options->on_success,
								"complete($1)", 1, values);
	}
	else if (status == TCW_PERMANENT_ERROR || status == TCW_STORED_BEFORE)
	{
		tcw_log(context->worker, "step %s failed for good: %s",
				context->step_uuid, context->error);
		status = in_transaction(context, options->on_permanent_failure,
								"complete($1)", 1, values);
	}
	if (status == TCW_OK || status == TCW_SUPERSEDED ||
		status == TCW_CONNECTION_LOST)
		return status;

	write_interval(delay, status == TCW_TRANSIENT_ERROR ?
				   context->retry_delay : options->retry_delay);
	tcw_log(context->worker, "step %s failed: %s", context->step_uuid,
			context->error);
	return in_transaction(context, options->on_transient_failure,
						  "release($1, $2)", 2, values);
}

static void
run_step(TcwWorker *worker, PGresult *delivery, TcwHandler handler)
{
	TcwContext	context = {
		.event_id = PQgetvalue(delivery, 0, 0),
		.step_uuid = PQgetvalue(delivery, 0, 1),
		.has_checkpoint = PQgetvalue(delivery, 0, 2)[0] == 't',
		.checkpoint_cursor = PQgetisnull(delivery, 0, 3) ? NULL : PQgetvalue(delivery, 0, 3),
		.checkpoint_items_processed = strtoll(PQgetvalue(delivery, 0, 4), NULL, 10),
		.accumulated_results = PQgetisnull(delivery, 0, 5) ? NULL : PQgetvalue(delivery, 0, 5),
		.sequence = strtoll(PQgetvalue(delivery, 0, 6), NULL, 10),
		.deliveries = atoi(PQgetvalue(delivery, 0, 7)),
		.connection = worker->connection,
		.worker = worker,
		.data = worker->options.data
	};
	const char *const values[] = {context.event_id};
	TcwStatus	status;

	tcw_heart_set(worker, context.event_id, false);
	worker->committed = context.sequence;

	/* after on_start, so that the step is locked before its event */
	status = in_transaction(&context, worker->options.on_start,
							"heartbeat($1)", 1, values);
	if (status == TCW_OK)
		status = run_handler(&context, handler);
	status = settle(&context, status);
	tcw_heart_set(worker, "", false);

	if (status == TCW_SUPERSEDED)
		tcw_log(worker, "step %s: the claim was superseded", context.step_uuid);
	else if (status != TCW_OK)
		tcw_log(worker, "step %s is left to its lease: %s", context.step_uuid,
				context.error);
	if (status == TCW_CONNECTION_LOST)
		memcpy(worker->abandoned, context.event_id, sizeof(worker->abandoned));
	free(context.result);
}

/*
 * The loop
 */

/* Sleeps until a notification, a stop, or the time is up. */
static void
wait_for_work(TcwWorker *worker, double seconds)
{
	struct pollfd fds[2] = {
		{
			.fd = worker->stop_pipe[0],
			.events = POLLIN
		},
		{
			.fd = PQsocket(worker->connection),
			.events = POLLIN
		}
	};
	double		end = tcw_now() + seconds;

	while (!worker->stop)
	{
		double		left = end - tcw_now();
		PGnotify   *notify;

		if (PQstatus(worker->connection) == CONNECTION_OK)
		{
			if (!PQconsumeInput(worker->connection))
				return;
			if ((notify = PQnotifies(worker->connection)) != NULL)
			{
				PQfreemem(notify);
				return;
			}
		}
		if (left <= 0)
			return;
		if (poll(fds, 2, tcw_milliseconds(left)) < 0 && errno != EINTR)
			return;
	}
}

/*
 * Hands back the claim that was held as the last connection was lost, so that
 * nobody has to wait for its lease to run out.  If the lost backend has not
 * noticed yet and still locks it, that is what will happen.
 */
static void
release_abandoned(TcwWorker *worker)
{
	TcwContext	context = {
		.worker = worker,
		.connection = worker->connection
	};
	const char *const values[] = {worker->abandoned};
	char		release[STATEMENT_LENGTH];
	char		sql[STATEMENT_LENGTH + 64];

	if (worker->abandoned[0] == '\0')
		return;
	snprintf(sql, sizeof(sql), "SELECT set_config('lock_timeout', '1s', true), (%s)",
			 tcw_call(worker, "release($1)", release));
	if (tcw_exec(&context, NULL, sql, 1, values) != TCW_OK)
		tcw_log(worker, "could not release: %s", context.error);
	worker->abandoned[0] = '\0';
}

/* Connects the worker; false if that failed. */
static bool
reconnect(TcwWorker *worker)
{
	TcwContext	context = {.worker = worker};
	char		sql[STATEMENT_LENGTH];
	char	   *channel;

	PQfinish(worker->connection);
	context.connection = worker->connection = tcw_connect(worker);
	if (worker->connection == NULL)
		return false;

	if (worker->schema == NULL && worker->options.schema != NULL)
		worker->schema = PQescapeIdentifier(worker->connection, worker->options.schema,
											strlen(worker->options.schema));
	release_abandoned(worker);
	if (worker->options.poll_only)
		return true;
	channel = PQescapeIdentifier(worker->connection, worker->options.channel,
								 strlen(worker->options.channel));
	snprintf(sql, sizeof(sql), "LISTEN %s", channel != NULL ? channel : "");
	PQfreemem(channel);
	if (tcw_exec(&context, NULL, sql, 0, NULL) != TCW_OK)
		tcw_log(worker, "could not listen: %s", context.error);
	return true;
}

/*
 * Claims a step and runs it.  Returns 1, 0 if there was none or the connection
 * was lost, -1 if the server refuses.
 */
static int
claim(TcwWorker *worker, TcwHandler handler)
{
	TcwContext	context = {
		.worker = worker,
		.connection = worker->connection
	};
	char		sql[STATEMENT_LENGTH];
	char		lease[INTERVAL_LENGTH];
	const char *const values[] = {worker->options.name, lease};
	PGresult   *delivery;
	PGnotify   *notify;
	TcwStatus	status;
	int			claimed;

	/* the claim sees all that they tell of */
	while ((notify = PQnotifies(worker->connection)) != NULL)
		PQfreemem(notify);

	write_interval(lease, worker->options.lease);
	status = tcw_exec(&context, &delivery, tcw_call(worker, "claim($1, $2)", sql),
					  2, values);
	if (status != TCW_OK)
	{
		tcw_log(worker, "could not claim: %s", context.error);
		return status == TCW_CONNECTION_LOST ? 0 : -1;
	}
	claimed = PQntuples(delivery);
	if (claimed > 0)
		run_step(worker, delivery, handler);
	PQclear(delivery);
	return claimed;
}

/*
 * Runs steps until tcw_worker_stop() is called, or there was none for as long
 * as exit_when_idle says; connects again whenever need be.  Returns 0, or -1 if
 * the server refuses to let it claim or there is no thread to be had.  Call it
 * once.
 */
int
tcw_worker_run(TcwWorker *worker, TcwHandler handler)
{
	double		idle_limit = worker->options.exit_when_idle;
	double		idle_since = tcw_now();
	double		backoff = MIN_BACKOFF;
	sigset_t	all;
	sigset_t	before;
	int			claimed = 0;

	/* signals are for the caller's thread */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&worker->thread, NULL, tcw_heart_main, worker) != 0)
		claimed = -1;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (claimed < 0)
		return -1;

	while (!worker->stop)
	{
		double		wait = worker->options.poll_interval;

		claimed = 0;
		if (PQstatus(worker->connection) == CONNECTION_OK || reconnect(worker))
			claimed = claim(worker, handler);
		if (claimed < 0)
			break;
		if (claimed > 0)
		{
			idle_since = tcw_now();
			continue;
		}

		if (PQstatus(worker->connection) == CONNECTION_OK)
			backoff = MIN_BACKOFF;
		else
		{
			wait = backoff;
			backoff = backoff * 2 < MAX_BACKOFF ? backoff * 2 : MAX_BACKOFF;
		}
		if (idle_limit > 0)
		{
			double		left = idle_since + idle_limit - tcw_now();

			if (left <= 0)
				break;
			wait = left < wait ? left : wait;
		}
		wait_for_work(worker, wait);
	}

	tcw_heart_set(worker, "", true);
	pthread_join(worker->thread, NULL);
	return claimed < 0 ? -1 : 0;
}

/* Makes run() return after the current handler.  Safe in a signal handler. */
void
tcw_worker_stop(TcwWorker *worker)
{
	int			save_errno = errno;

	worker->stop = true;
	(void) !write(worker->stop_pipe[1], "", 1);
	errno = save_errno;
}

static bool
open_pipe(int *fds)
{
	if (pipe(fds) != 0)
	{
		fds[0] = fds[1] = -1;
		return false;
	}
	for (int i = 0; i < 2; i++)
	{
		fcntl(fds[i], F_SETFD, FD_CLOEXEC);
		fcntl(fds[i], F_SETFL, O_NONBLOCK);
	}
	return true;
}

/*
 * Makes a worker; the strings of the options must outlive it.  NULL, with
 * errno set, if the system does not have what it takes.
 */
TcwWorker *
tcw_worker_new(const TcwWorkerOptions *options)
{
	TcwWorker  *worker = calloc(1, sizeof(*worker));
	bool		ok;

	if (worker == NULL)
		return NULL;
	worker->options = *options;
	if (worker->options.channel == NULL)
		worker->options.channel = DEFAULT_CHANNEL;
	if (worker->options.lease <= 0)
		worker->options.lease = DEFAULT_LEASE;
	if (worker->options.retry_delay <= 0)
		worker->options.retry_delay = DEFAULT_RETRY_DELAY;
	if (worker->options.poll_interval <= 0)
	{
		worker->options.poll_interval = worker->options.lease / 2;
		if (worker->options.poll_interval > MAX_POLL_INTERVAL)
			worker->options.poll_interval = MAX_POLL_INTERVAL;
	}
	pthread_mutex_init(&worker->lock, NULL);
	pthread_mutex_init(&worker->heart_lock, NULL);

	ok = open_pipe(worker->stop_pipe);
	ok = open_pipe(worker->heart_pipe) && ok;
	if (!ok)
	{
		tcw_worker_free(worker);
		return NULL;
	}
	return worker;
}

/* After run() has returned. */
void
tcw_worker_free(TcwWorker *worker)
{
	if (worker == NULL)
		return;
	PQfinish(worker->connection);
	PQfinish(worker->heart);
	PQfreemem(worker->schema);
	for (int i = 0; i < 2; i++)
	{
		if (worker->stop_pipe[i] >= 0)
			close(worker->stop_pipe[i]);
		if (worker->heart_pipe[i] >= 0)
			close(worker->heart_pipe[i]);
	}
	pthread_mutex_destroy(&worker->lock);
	pthread_mutex_destroy(&worker->heart_lock);
	free(worker);
}
