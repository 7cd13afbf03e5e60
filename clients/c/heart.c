/*-------------------------------------------------------------------------
 *
 * heart.c
 *	  The thread that extends the lease while a handler is busy.
 *
 *-------------------------------------------------------------------------
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

/*
 * Extends the lease, by a connection that it makes if there is none.  False
 * only if the server says that it can't be.
 */
static bool
beat(TcwWorker *worker, const char *event_id)
{
	const char *const values[] = {event_id};
	char		sql[STATEMENT_SIZE];
	TcwClient  *heart = &worker->heart;
	PGresult   *res;
	bool		held = true;

	pthread_mutex_lock(&worker->heart_lock);
	if (heart->connection == NULL)
	{
		heart->connection = tcw_connect(worker, &heart->error);
		if (heart->connection == NULL)
			tcw_tell_of_worker(worker, TCW_EVENT_COULD_NOT_CONNECT, &heart->error);
	}
	if (heart->connection != NULL)
	{
		if (tcw_query_soon(heart, &res,
						   tcw_call(heart, "SELECT", "heartbeat($1)", sql),
						   1, values, -1) == TCW_OK)
		{
			held = PQgetvalue(res, 0, 0)[0] == 't';
			PQclear(res);
		}
		else
		{
			tcw_tell_of_worker(worker, TCW_EVENT_CONNECTION_LOST, &heart->error);
			tcw_disconnect(worker, heart);
		}
	}
	pthread_mutex_unlock(&worker->heart_lock);

	pthread_mutex_lock(&worker->lock);
	if (!held && strcmp(event_id, worker->beating) == 0)
		worker->lost = true;
	pthread_mutex_unlock(&worker->lock);
	return held;
}

/*
 * Extends the lease now, whatever the handler's connection is at.  False: the
 * step is not this worker's any more.
 */
bool
tcw_heartbeat(TcwContext *context)
{
	bool		held = true;

	/* a test has one connection, and no heart */
	if (context->worker->test == NULL)
		return beat(context->worker, context->event_id);
	return tcw_client_heartbeat(context->client, context->event_id, &held) != TCW_OK || held;
}

/* Looks what is to be done: the claim to extend, or how long to wait. */
static bool
look(TcwWorker *worker, char *event_id, int *timeout)
{
	bool		ending;

	event_id[0] = '\0';
	*timeout = -1;
	pthread_mutex_lock(&worker->lock);
	ending = worker->ending;
	if (worker->beating[0] != '\0' && !worker->lost)
	{
		double		left = worker->beat_at - tcw_now();

		if (left > 0)
			*timeout = tcw_milliseconds(left);
		else
		{
			memcpy(event_id, worker->beating, TCW_UUID_SIZE);
			worker->beat_at = tcw_now() + worker->options.lease / 3;
		}
	}
	pthread_mutex_unlock(&worker->lock);
	return !ending;
}

/* Says once that the worker stops, also while a handler does not ask. */
static void
tell_of_stop(TcwWorker *worker)
{
	if (worker->stop && !worker->has_told)
	{
		worker->has_told = true;
		tcw_tell_of_worker(worker, TCW_EVENT_STOPPING, NULL);
	}
}

static void *
heart_main(void *arg)
{
	TcwWorker  *worker = arg;
	struct pollfd fds[2] = {
		{
			.fd = worker->heart_pipe[0],
			.events = POLLIN
		},
		{
			.fd = worker->stop_pipe[0],
			.events = POLLIN
		}
	};
	char		event_id[TCW_UUID_SIZE];
	char		bytes[16];
	int			timeout;

	while (look(worker, event_id, &timeout))
	{
		tell_of_stop(worker);
		if (event_id[0] != '\0')
		{
			beat(worker, event_id);
			continue;
		}
		/* nothing to do until somebody says so: no need of a connection */
		if (timeout < 0)
		{
			pthread_mutex_lock(&worker->heart_lock);
			tcw_disconnect(worker, &worker->heart);
			pthread_mutex_unlock(&worker->heart_lock);
		}
		/* the byte that says stop stays, for the other thread */
		if (worker->has_told)
			fds[1].fd = -1;
		if (poll(fds, 2, timeout) > 0 && fds[0].revents != 0)
			(void) !read(fds[0].fd, bytes, sizeof(bytes));
	}
	tell_of_stop(worker);
	return NULL;
}

static void
ring(TcwWorker *worker)
{
	(void) !write(worker->heart_pipe[1], "", 1);
}

/* Makes the heart beat for a claim, or rest if that is empty. */
void
tcw_heart_set(TcwWorker *worker, const char *event_id)
{
	pthread_mutex_lock(&worker->lock);
	snprintf(worker->beating, sizeof(worker->beating), "%s", event_id);
	worker->beat_at = tcw_now() + worker->options.lease / 3;
	worker->lost = false;
	worker->told = false;
	pthread_mutex_unlock(&worker->lock);
	ring(worker);
}

/* False if there is no thread to be had. */
bool
tcw_heart_start(TcwWorker *worker)
{
	sigset_t	all;
	sigset_t	before;
	int			rc;

	/* signals are for the caller's thread */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	worker->ending = false;
	rc = pthread_create(&worker->thread, NULL, heart_main, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc == 0;
}

/* Returns when the thread has ended, with its connection closed. */
void
tcw_heart_end(TcwWorker *worker)
{
	pthread_mutex_lock(&worker->lock);
	worker->ending = true;
	pthread_mutex_unlock(&worker->lock);
	ring(worker);
	pthread_join(worker->thread, NULL);
	tcw_disconnect(worker, &worker->heart);
}
