/*-------------------------------------------------------------------------
 *
 * query.c
 *	  Statements, and calls of the extension's functions.
 *
 *-------------------------------------------------------------------------
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* Hands a result out, or clears it. */
static TcwStatus
finish(TcwClient *client, PGresult *res, PGresult **result)
{
	TcwStatus	status = tcw_check(client, res);

	if (status == TCW_OK && result != NULL)
		*result = res;
	else
		PQclear(res);
	return status;
}

/*
 * Runs a statement.  "result" and "types" may be NULL; what the former points
 * to is set, to be cleared by the caller, only if the status is TCW_OK.
 */
TcwStatus
tcw_query(TcwClient *client, PGresult **result, const char *sql, int nparams,
		  const Oid *types, const char *const *values)
{
	return finish(client,
				  PQexecParams(client->connection, sql, nparams, types, values,
							   NULL, NULL, 0),
				  result);
}

/*
 * Waits until the connection has a whole result.  False if that took too long,
 * or there is a byte in the bell.
 */
static bool
await_result(PGconn *connection, double seconds, int bell)
{
	double		end = tcw_now() + seconds;
	struct pollfd fds[2] = {
		{
			.fd = PQsocket(connection)
		},
		{
			.fd = bell,
			.events = POLLIN
		}
	};

	for (;;)
	{
		int			unsent = PQflush(connection);
		double		left = end - tcw_now();

		/* broken, which the result says */
		if (unsent < 0 || PQstatus(connection) != CONNECTION_OK)
			return true;
		if (unsent == 0 && !PQisBusy(connection))
			return true;
		if (left <= 0)
			return false;
		fds[0].events = unsent > 0 ? POLLIN | POLLOUT : POLLIN;
		fds[1].revents = 0;
		/* a signal is none of our business */
		if (poll(fds, 2, tcw_milliseconds(left)) > 0 && fds[1].revents != 0)
			return false;
		if (!PQconsumeInput(connection))
			return true;
	}
}

/*
 * The same, for what the server answers soon, or never.  The connection counts
 * as lost if it does not; TCW_CONNECTION_LOST, too, if the bell rings, which
 * may be -1.
 */
TcwStatus
tcw_query_soon(TcwClient *client, PGresult **result, const char *sql,
			   int nparams, const char *const *values, int bell)
{
	PGconn	   *connection = client->connection;
	PGresult   *res = NULL;
	PGresult   *next;

	if (!PQsendQueryParams(connection, sql, nparams, NULL, values, NULL, NULL, 0))
		return tcw_set_error(&client->error, TCW_CONNECTION_LOST, "",
							 PQerrorMessage(connection));
	do
	{
		if (!await_result(connection, LINK_TIMEOUT, bell))
		{
			PQclear(res);
			return tcw_set_error(&client->error, TCW_CONNECTION_LOST, "",
								 "no answer from the server");
		}
		next = PQgetResult(connection);
		/* the first is the one that says why */
		if (next != NULL && res == NULL)
			res = next;
		else
			PQclear(next);
	} while (next != NULL);
	return finish(client, res, result);
}

/* A statement with a call of a function of the extension, in the buffer. */
const char *
tcw_call(const TcwClient *client, const char *command, const char *call,
		 char *buffer)
{
	char	   *schema = NULL;

	if (client->schema != NULL)
		schema = PQescapeIdentifier(client->connection, client->schema,
									strlen(client->schema));
	snprintf(buffer, STATEMENT_SIZE, "%s %s%stasker_checkpoint_%s", command,
			 schema != NULL ? schema : "", schema != NULL ? "." : "", call);
	PQfreemem(schema);
	return buffer;
}

void
tcw_read_receipt(PGresult *res, TcwReceipt *receipt)
{
	const char *directive = PQgetvalue(res, 0, 2);

	receipt->sequence = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
	snprintf(receipt->event_id, sizeof(receipt->event_id), "%s", PQgetvalue(res, 0, 1));
	receipt->directive = strcmp(directive, "pause") == 0 ? TCW_PAUSE
		: strcmp(directive, "cancel") == 0 ? TCW_CANCEL : TCW_CONTINUE;
	receipt->replayed = PQgetvalue(res, 0, 3)[0] == 't';
}
