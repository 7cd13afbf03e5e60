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

/* Extends the lease.  False only if the server says that it can't be. */
static bool
beat(TcwWorker *worker, const char *event_id)
{
	const char *const values[] = {event_id};
	char		sql[STATEMENT_LENGTH];
	PGresult   *res = NULL;
	bool		held = true;

	pthread_mutex_lock(&worker->heart_lock);
	if (worker->heart == NULL)
		worker->heart = tcw_connect(worker);
	if (worker->heart != NULL)
	{
		res = PQexecParams(worker->heart, tcw_call(worker, "heartbeat($1)", sql),
						   1, NULL, values, NULL, NULL, 0);
		if (PQresultStatus(res) == PGRES_TUPLES_OK)
			held = PQgetvalue(res, 0, 0)[0] == 't';
		else
			tcw_log(worker, "could not extend the lease: %s",
					PQerrorMessage(worker->heart));
		PQclear(res);
		if (PQstatus(worker->heart) == CONNECTION_BAD)
		{
			PQfinish(worker->heart);
			worker->heart = NULL;
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
	return beat(context->worker, context->event_id);
}

void *
tcw_heart_main(void *arg)
{
	TcwWorker  *worker = arg;
	struct pollfd fd = {
		.fd = worker->heart_pipe[0],
		.events = POLLIN
	};

	for (;;)
	{
		char		event_id[UUID_LENGTH + 1] = "";
		char		bytes[16];
		int			timeout = -1;

		pthread_mutex_lock(&worker->lock);
		if (worker->finished)
			break;
		if (worker->beating[0] != '\0' && !worker->lost)
		{
			double		left = worker->beat_at - tcw_now();

			if (left <= 0)
			{
				memcpy(event_id, worker->beating, sizeof(event_id));
				worker->beat_at = tcw_now() + worker->options.lease / 3;
			}
			else
				timeout = tcw_milliseconds(left);
		}
		pthread_mutex_unlock(&worker->lock);

		if (event_id[0] != '\0')
			beat(worker, event_id);
		else if (poll(&fd, 1, timeout) > 0)
			(void) !read(fd.fd, bytes, sizeof(bytes));
	}
	pthread_mutex_unlock(&worker->lock);
	return NULL;
}

/* Makes the heart beat for a claim, rest if that is empty, or end. */
void
tcw_heart_set(TcwWorker *worker, const char *event_id, bool finished)
{
	pthread_mutex_lock(&worker->lock);
	snprintf(worker->beating, sizeof(worker->beating), "%s", event_id);
	worker->beat_at = tcw_now() + worker->options.lease / 3;
	worker->lost = false;
	worker->told = false;
	worker->finished = finished;
	pthread_mutex_unlock(&worker->lock);
	(void) !write(worker->heart_pipe[1], "", 1);
}
