/*-------------------------------------------------------------------------
 *
 * error.c
 *	  Kinds of errors, and where they are noted.
 *
 *-------------------------------------------------------------------------
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

static const struct
{
	const char *sqlstate;
	TcwStatus	status;
}			known[] = {
	{"TC001", TCW_ITEMS_WENT_BACKWARDS},
	{"TC002", TCW_SUPERSEDED},
	{"TC003", TCW_STORED_BEFORE},
	{"54000", TCW_LIMIT_EXCEEDED},
	{"55000", TCW_WRONG_STATE},
	{"P0002", TCW_STEP_NOT_FOUND},
};

/* The kind's name, the same in each of the extension's clients. */
const char *
tcw_status_name(TcwStatus status)
{
	switch (status)
	{
		case TCW_OK:
			return "OK";
		case TCW_TRANSIENT_ERROR:
			return "TransientError";
		case TCW_PERMANENT_ERROR:
			return "PermanentError";
		case TCW_SUPERSEDED:
			return "Superseded";
		case TCW_STORED_BEFORE:
			return "StoredBefore";
		case TCW_ITEMS_WENT_BACKWARDS:
			return "ItemsWentBackwards";
		case TCW_LIMIT_EXCEEDED:
			return "LimitExceeded";
		case TCW_STEP_NOT_FOUND:
			return "StepNotFound";
		case TCW_WRONG_STATE:
			return "WrongState";
		case TCW_ALREADY_YIELDED:
			return "AlreadyYielded";
		case TCW_SQL_ERROR:
			return "SQLError";
		case TCW_CONNECTION_LOST:
			return "ConnectionLost";
		case TCW_SYSTEM_ERROR:
			return "SystemError";
	}
	return "Error";
}

/*
 * Notes an error, and returns its status.  libpq's messages end in a newline,
 * which does not stay.
 */
TcwStatus
tcw_set_error(TcwError *error, TcwStatus status, const char *sqlstate,
			  const char *message)
{
	size_t		length;

	error->status = status;
	snprintf(error->sqlstate, sizeof(error->sqlstate), "%s", sqlstate);
	snprintf(error->message, sizeof(error->message), "%s", message);
	error->detail[0] = error->hint[0] = '\0';
	length = strlen(error->message);
	while (length > 0 && error->message[length - 1] == '\n')
		error->message[--length] = '\0';
	return status;
}

static const char *
field(const PGresult *res, int code)
{
	const char *value = PQresultErrorField(res, code);

	return value != NULL ? value : "";
}

/* What a statement came to.  An error is noted in the client. */
TcwStatus
tcw_check(TcwClient *client, const PGresult *res)
{
	TcwError   *error = &client->error;
	const char *sqlstate = field(res, PG_DIAG_SQLSTATE);
	const char *message = field(res, PG_DIAG_MESSAGE_PRIMARY);
	TcwStatus	status = TCW_SQL_ERROR;

	switch (PQresultStatus(res))
	{
		case PGRES_COMMAND_OK:
		case PGRES_TUPLES_OK:
		case PGRES_COPY_IN:
		case PGRES_COPY_OUT:
		case PGRES_EMPTY_QUERY:
			return TCW_OK;
		default:
			break;
	}

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i].sqlstate, sqlstate) == 0)
			status = known[i].status;

	/*
	 * libpq's own errors have no SQLSTATE.  A write that failed is reported
	 * before the connection is found to be gone, which takes a read.
	 */
	if (sqlstate[0] == '\0')
		PQconsumeInput(client->connection);
	if (PQstatus(client->connection) != CONNECTION_OK)
		status = TCW_CONNECTION_LOST;
	if (message[0] == '\0')
		message = PQerrorMessage(client->connection);
	tcw_set_error(error, status, sqlstate, message);
	snprintf(error->detail, sizeof(error->detail), "%s",
			 field(res, PG_DIAG_MESSAGE_DETAIL));
	snprintf(error->hint, sizeof(error->hint), "%s",
			 field(res, PG_DIAG_MESSAGE_HINT));
	return status;
}

/*
 * Whether the server refuses the worker for what it is, and would again; what
 * may be over soon are a server that starts or is full, conflicts, timeouts.
 */
bool
tcw_is_refusal(const TcwError *error)
{
	static const char *const passing[] = {
		"08", "25006", "25P03", "25P04", "40", "53", "55P03", "57", "58", "XX"
	};

	for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
		if (strncmp(error->sqlstate, passing[i], strlen(passing[i])) == 0)
			return false;
	return error->sqlstate[0] != '\0';
}

/*
 * Notes an error of the handler's own in the run, for callbacks and the log;
 * returns the status.
 */
TcwStatus
tcw_fail(TcwContext *context, TcwStatus status, const char *format,...)
{
	char		message[sizeof(context->client->error.message)];
	va_list		args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	return tcw_set_error(&context->client->error, status, "", message);
}
