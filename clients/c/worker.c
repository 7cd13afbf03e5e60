/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The loop: connects, claims steps, has them run, waits.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

#define DEFAULT_CHANNEL		"tasker_checkpoint"
#define DEFAULT_LEASE		60.0
#define DEFAULT_RETRY_DELAY 1.0
#define MAX_POLL			5.0
#define MIN_BACKOFF			0.1
#define MAX_BACKOFF			5.0

/* how long one that has worked before stands being refused */
#define PATIENCE			300.0

typedef enum Claim
{
	CLAIMED,
	NOTHING,
	FAILED
} Claim;

/*
 * Hands back the claim that was held as the last connection was lost, so that
 * nobody has to wait for its lease to run out.  If the lost backend has not
 * noticed yet and still locks it, that is what will happen.
 */
static void
release_abandoned(TcwWorker *worker)
{
	TcwClient  *client = &worker->client;
	const char *const values[] = {worker->abandoned};
	char		release[STATEMENT_SIZE];
	char		sql[STATEMENT_SIZE + 64];

	if (worker->abandoned[0] == '\0')
		return;
	snprintf(sql, sizeof(sql), "SELECT pg_catalog.set_config('lock_timeout', '1s', true), (%s)",
			 tcw_call(client, "SELECT", "release($1)", release));
	if (tcw_query_soon(client, NULL, sql, 1, values, -1) != TCW_CONNECTION_LOST)
		worker->abandoned[0] = '\0';
}

static bool
connect_worker(TcwWorker *worker)
{
	TcwClient  *client = &worker->client;

	client->connection = tcw_connect(worker, &client->error);
	if (client->connection == NULL)
	{
		tcw_tell_of_worker(worker, TCW_EVENT_COULD_NOT_CONNECT, &client->error);
		return false;
	}
	tcw_tell_of_worker(worker, TCW_EVENT_CONNECTED, NULL);
	release_abandoned(worker);
	if (worker->options.wait == TCW_WAIT_LISTEN)
		tcw_listen(worker);
	return true;
}

static TcwHandler
handler_of(const TcwWorker *worker, const char *queue, TcwHandler handler)
{
	const TcwQueue *each = worker->options.queues;

	for (; each != NULL && each->name != NULL; each++)
		if (strcmp(each->name, queue) == 0 && each->handler != NULL)
			return each->handler;
	return handler;
}

/* Claims a step and runs it.  After a failure there is no connection. */
static Claim
claim(TcwWorker *worker, TcwHandler handler)
{
	TcwClient  *client = &worker->client;
	char		sql[STATEMENT_SIZE];
	char		lease[INTERVAL_SIZE];
	const char *const values[] = {worker->name, lease, worker->queues};
	PGresult   *delivery;
	PGnotify   *notify;
	TcwStatus	status;

	/* the claim sees all that they tell of */
	while ((notify = PQnotifies(client->connection)) != NULL)
		PQfreemem(notify);

	tcw_write_interval(lease, worker->options.lease);
	status = tcw_query_soon(client, &delivery,
							tcw_call(client, "SELECT * FROM", "claim($1, $2, 1, NULL, $3)", sql),
							3, values, -1);
	if (status != TCW_OK)
	{
		tcw_tell_of_worker(worker, status == TCW_CONNECTION_LOST ?
						   TCW_EVENT_CONNECTION_LOST : TCW_EVENT_COULD_NOT_CONNECT,
						   &client->error);
		tcw_disconnect(worker, client);
		return FAILED;
	}
	worker->has_worked = true;
	worker->refused_since = 0;
	worker->backoff = MIN_BACKOFF;
	if (PQntuples(delivery) > 0)
	{
		TcwRun		run = {.crashed = false};

		tcw_run(worker, &run, delivery, handler_of(worker, PQgetvalue(delivery, 0, 8), handler));
		free(run.context.result);
		PQclear(delivery);
		return CLAIMED;
	}
	PQclear(delivery);
	return NOTHING;
}

/* Whether it is of no use to try again. */
static bool
is_hopeless(TcwWorker *worker)
{
	if (!tcw_is_refusal(&worker->client.error))
	{
		worker->refused_since = 0;
		return false;
	}
	if (worker->refused_since == 0)
		worker->refused_since = tcw_now();
	return !worker->has_worked || tcw_now() - worker->refused_since >= PATIENCE;
}

static TcwStatus
loop(TcwWorker *worker, TcwHandler handler)
{
	double		idle_limit = worker->options.exit_when_idle;
	double		idle_since = tcw_now();
	bool		waited = false;

	while (!worker->stop)
	{
		Claim		got = FAILED;
		double		wait = LINK_TIMEOUT;

		/*
		 * nothing was left when it slept, and the next wait tells what came
		 * since
		 */
		if (worker->client.connection != NULL || connect_worker(worker))
			got = waited || !worker->slept ? claim(worker, handler) : NOTHING;
		waited = true;
		if (got == FAILED && is_hopeless(worker))
			return worker->client.error.status;
		if (got == CLAIMED)
		{
			idle_since = tcw_now();
			waited = false;
			continue;
		}
		if (got == FAILED)
		{
			wait = worker->backoff;
			worker->backoff = wait * 2 < MAX_BACKOFF ? wait * 2 : MAX_BACKOFF;
		}
		if (idle_limit > 0)
		{
			double		left = idle_since + idle_limit - tcw_now();

			if (left <= 0)
				return TCW_OK;
			wait = left < wait ? left : wait;
		}
		tcw_await(worker, wait);
	}
	return TCW_OK;
}

static bool
has_handlers(const TcwWorker *worker, TcwHandler handler)
{
	const TcwQueue *queue = worker->options.queues;

	if (handler != NULL)
		return true;
	if (queue == NULL)
		return false;
	while (queue->name != NULL && queue->handler != NULL)
		queue++;
	return queue->name == NULL;
}

/*
 * Runs steps until tcw_worker_stop() is called, or there was none for as long
 * as exit_when_idle says; connects again whenever need be.  "handler" may be
 * NULL if each queue has its own.  What is not TCW_OK says that the server
 * refuses, or the system; tcw_worker_error() has more.  Call it once.
 */
TcwStatus
tcw_worker_run(TcwWorker *worker, TcwHandler handler)
{
	TcwStatus	status;

	if (!has_handlers(worker, handler))
		return tcw_set_error(&worker->client.error, TCW_SYSTEM_ERROR, "",
							 "a queue has no handler");
	if (!tcw_heart_start(worker))
		return tcw_set_error(&worker->client.error, TCW_SYSTEM_ERROR, "",
							 "could not start a thread");
	status = loop(worker, handler);
	tcw_heart_end(worker);

	/* once, for those who would wait for the lease */
	if (worker->abandoned[0] != '\0' && worker->client.connection == NULL)
		connect_worker(worker);
	tcw_disconnect(worker, &worker->client);
	if (status == TCW_OK)
		tcw_set_error(&worker->client.error, TCW_OK, "", "");
	return status;
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

/* Why run() came to what it returned. */
const TcwError *
tcw_worker_error(const TcwWorker *worker)
{
	return &worker->client.error;
}

static bool
write_queues(TcwWorker *worker)
{
	const TcwQueue *queues = worker->options.queues;
	const char **names;
	int			n = 0;

	if (queues == NULL)
		return true;
	while (queues[n].name != NULL)
		n++;
	names = calloc(n + 1, sizeof(*names));
	if (names == NULL)
		return false;
	for (int i = 0; i < n; i++)
		names[i] = queues[i].name;
	worker->queues = tcw_write_array(names);
	free(names);
	return worker->queues != NULL;
}

static void
set_defaults(TcwWorker *worker)
{
	TcwWorkerOptions *options = &worker->options;
	char		host[128] = "";

	gethostname(host, sizeof(host) - 1);
	snprintf(worker->own_name, sizeof(worker->own_name), "%s:%ld", host, (long) getpid());
	worker->name = options->name != NULL ? options->name : worker->own_name;
	if (options->channel == NULL)
		options->channel = DEFAULT_CHANNEL;
	if (options->lease <= 0)
		options->lease = DEFAULT_LEASE;
	if (options->retry_delay <= 0)
		options->retry_delay = DEFAULT_RETRY_DELAY;
	if (options->poll <= 0)
		options->poll = options->lease / 2 < MAX_POLL ? options->lease / 2 : MAX_POLL;
	worker->client.schema = worker->heart.schema = options->schema;
	worker->backoff = MIN_BACKOFF;
	for (int i = 0; i < 3; i++)
		worker->seed[i] = (unsigned short) ((uint64_t) (tcw_now() * 1e6) >> (16 * i)) ^
			(unsigned short) (getpid() + ((uintptr_t) worker >> (4 + 8 * i)));
}

/*
 * Makes a worker; what the options point to must outlive it.  NULL, with errno
 * set, if the system does not have what it takes.
 */
TcwWorker *
tcw_worker_new(const TcwWorkerOptions *options)
{
	TcwWorker  *worker = calloc(1, sizeof(*worker));
	bool		ok;

	if (worker == NULL)
		return NULL;
	worker->options = *options;
	set_defaults(worker);
	pthread_mutex_init(&worker->lock, NULL);
	pthread_mutex_init(&worker->heart_lock, NULL);
	ok = tcw_open_pipe(worker->stop_pipe);
	ok = tcw_open_pipe(worker->heart_pipe) && ok;
	if (!ok || !write_queues(worker))
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
	tcw_close_pipe(worker->stop_pipe);
	tcw_close_pipe(worker->heart_pipe);
	pthread_mutex_destroy(&worker->lock);
	pthread_mutex_destroy(&worker->heart_lock);
	free(worker->queues);
	free(worker);
}
