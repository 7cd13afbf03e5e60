/*-------------------------------------------------------------------------
 *
 * wait.c
 *	  What a worker does while there is nothing to claim.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define SERVER_WAIT		20.0
#define MOMENT			0.005	/* a wait that takes longer has slept */

/*
 * Sleeps until a notification, a stop, a lost connection, or the time is up.
 * Without a connection the last three will do.
 */
static void
await_input(TcwWorker *worker, double seconds)
{
	PGconn	   *connection = worker->client.connection;
	struct pollfd fds[2] = {
		{
			.fd = worker->stop_pipe[0],
			.events = POLLIN
		},
		{
			.fd = connection != NULL ? PQsocket(connection) : -1,
			.events = POLLIN
		}
	};
	double		end = tcw_now() + seconds;

	while (!worker->stop)
	{
		double		left = end - tcw_now();
		PGnotify   *notify;

		if (connection != NULL)
		{
			if (!PQconsumeInput(connection))
			{
				tcw_set_error(&worker->client.error, TCW_CONNECTION_LOST, "",
							  PQerrorMessage(connection));
				tcw_tell_of_worker(worker, TCW_EVENT_CONNECTION_LOST, &worker->client.error);
				tcw_disconnect(worker, &worker->client);
				return;
			}
			if ((notify = PQnotifies(connection)) != NULL)
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

static void
poll_for(TcwWorker *worker, double seconds)
{
	double		interval = worker->options.poll;

	await_input(worker, seconds < interval ? seconds : interval);
}

/* Whether the server, or this role, knows no such thing as waiting. */
static bool
may_not_wait(const char *sqlstate)
{
	static const char *const states[] = {"42501", "42883", "0A000", "25001"};

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strcmp(sqlstate, states[i]) == 0)
			return true;
	return false;
}

static void
wait_in_server(TcwWorker *worker, double seconds)
{
	TcwClient  *client = &worker->client;
	double		began = tcw_now();
	char		sql[STATEMENT_SIZE];
	char		timeout[INTERVAL_SIZE];
	const char *const values[] = {worker->queues, timeout};
	TcwStatus	status;

	tcw_write_interval(timeout, seconds < SERVER_WAIT ? seconds : SERVER_WAIT);
	status = tcw_query_soon(client, NULL, tcw_call(client, "CALL", "wait($1, $2)", sql),
							2, values, worker->stop_pipe[0]);

	worker->slept = tcw_now() - began >= MOMENT;

	/* that its client is gone ends the call at once */
	if (worker->stop)
		tcw_disconnect(worker, client);
	else if (status == TCW_CONNECTION_LOST)
	{
		tcw_tell_of_worker(worker, TCW_EVENT_CONNECTION_LOST, &client->error);
		tcw_disconnect(worker, client);
	}
	else if (status != TCW_OK && may_not_wait(client->error.sqlstate))
	{
		worker->cannot_wait = true;
		worker->slept = false;
		tcw_tell_of_worker(worker, TCW_EVENT_POLLING, &client->error);
	}
	/* a statement_timeout is as good as the time being up */
	else if (status != TCW_OK && strcmp(client->error.sqlstate, "57014") != 0)
		poll_for(worker, seconds);
}

/* Returns when it is time to claim again, after so many seconds at the latest. */
void
tcw_await(TcwWorker *worker, double seconds)
{
	if (worker->client.connection == NULL)
		await_input(worker, seconds);
	else if (worker->options.wait == TCW_WAIT_SERVER && !worker->cannot_wait)
		wait_in_server(worker, seconds);
	else
		poll_for(worker, seconds);
}

/* On a new connection; what can't listen polls. */
void
tcw_listen(TcwWorker *worker)
{
	TcwClient  *client = &worker->client;
	char	   *channel = PQescapeIdentifier(client->connection, worker->options.channel,
											 strlen(worker->options.channel));
	char		sql[STATEMENT_SIZE];

	snprintf(sql, sizeof(sql), "LISTEN %s", channel != NULL ? channel : "");
	PQfreemem(channel);
	if (tcw_query_soon(client, NULL, sql, 0, NULL, -1) != TCW_OK)
		tcw_tell_of_worker(worker, TCW_EVENT_POLLING, &client->error);
}
