/*-------------------------------------------------------------------------
 *
 * connect.c
 *	  Where connections come from, and why there is none.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

/* who is refused sooner than this may ask again at once */
#define SOON	2.0

static PGconn *
connect_by_conninfo(const TcwWorker *worker)
{
	/* what the string itself says wins over what stands before it */
	const char *const keywords[] = {
		"connect_timeout", "keepalives_idle", "keepalives_interval",
		"keepalives_count", "tcp_user_timeout", "dbname",
		"fallback_application_name", NULL
	};
	const char *const values[] = {
		"10", "10", "5", "3", "30000", worker->options.conninfo, worker->name,
		NULL
	};

	return PQconnectdbParams(keywords, values, 1);
}

/* Whether a string is taken for one of settings, and is none. */
static bool
is_malformed(const char *conninfo)
{
	PQconninfoOption *options;

	if (conninfo == NULL ||
		(strchr(conninfo, '=') == NULL && strstr(conninfo, "://") == NULL))
		return false;
	options = PQconninfoParse(conninfo, NULL);
	PQconninfoFree(options);
	return options == NULL;
}

/* Finds the last SQLSTATE in a verbose message, as in "FATAL:  28P01: ". */
static void
find_sqlstate(const char *message, char *sqlstate)
{
	while ((message = strstr(message, ":  ")) != NULL)
	{
		int			length = 0;

		message += 3;
		while (isupper((unsigned char) message[length]) ||
			   isdigit((unsigned char) message[length]))
			length++;
		if (length == 5 && message[length] == ':')
			snprintf(sqlstate, 6, "%s", message);
	}
}

/*
 * Notes why a connection could not be made.  libpq keeps the SQLSTATE to
 * itself, unless it is verbose from the start: so it is asked once more, which
 * may as well succeed.
 */
static void
ask_why(const TcwWorker *worker, PGconn *connection, bool soon, TcwError *error)
{
	tcw_set_error(error, TCW_CONNECTION_LOST, "", PQerrorMessage(connection));
	if (PQconnectionNeedsPassword(connection))
		strcpy(error->sqlstate, "28P01");
	else if (worker->options.connect == NULL && is_malformed(worker->options.conninfo))
		strcpy(error->sqlstate, "42601");
	else if (soon)
	{
		PQsetErrorVerbosity(connection, PQERRORS_VERBOSE);
		PQreset(connection);
		PQsetErrorVerbosity(connection, PQERRORS_DEFAULT);
		if (PQstatus(connection) != CONNECTION_OK)
			find_sqlstate(PQerrorMessage(connection), error->sqlstate);
	}
}

static void
dispose(TcwWorker *worker, PGconn *connection)
{
	if (worker->options.disconnect != NULL)
		worker->options.disconnect(worker->options.data, connection);
	else
		PQfinish(connection);
}

/* A new connection; NULL, and the error noted, if there is none to be had. */
PGconn *
tcw_connect(TcwWorker *worker, TcwError *error)
{
	double		began = tcw_now();
	PGconn	   *connection;

	if (worker->options.connect != NULL)
		connection = worker->options.connect(worker->options.data);
	else
		connection = connect_by_conninfo(worker);
	if (connection == NULL)
	{
		tcw_set_error(error, TCW_CONNECTION_LOST, "", "no connection");
		return NULL;
	}
	if (PQstatus(connection) != CONNECTION_OK)
		ask_why(worker, connection, tcw_now() - began < SOON, error);
	if (PQstatus(connection) == CONNECTION_OK)
		return connection;
	dispose(worker, connection);
	return NULL;
}

void
tcw_disconnect(TcwWorker *worker, TcwClient *client)
{
	if (client->connection != NULL)
		dispose(worker, client->connection);
	client->connection = NULL;
}
