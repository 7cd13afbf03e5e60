/*-------------------------------------------------------------------------
 *
 * tasker_checkpoint_client.c
 *	  Statements, their errors, and what a handler calls.
 *
 *-------------------------------------------------------------------------
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "internal.h"

double
tcw_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* For poll(), rounded up. */
int
tcw_milliseconds(double seconds)
{
	return seconds < 1e6 ? (int) (seconds * 1000) + 1 : 1000000000;
}

void
tcw_log(const TcwWorker *worker, const char *format,...)
{
	char		line[768];
	size_t		length;
	va_list		args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);

	/* libpq's messages end in a newline, and some have more than one */
	length = strlen(line);
	while (length > 0 && line[length - 1] == '\n')
		line[--length] = '\0';
	for (char *c = line; *c != '\0'; c++)
		if (*c == '\n')
			*c = ' ';
	if (worker->options.log != NULL)
		worker->options.log(worker->options.data, line);
	else
		fprintf(stderr, "%s: %s\n", worker->options.name, line);
}

/*
 * Connections and statements
 */

/* Opens a connection; NULL, and said why, if that failed. */
PGconn *
tcw_connect(const TcwWorker *worker)
{
	/* what the caller's string says wins over what stands before it */
	const char *const keywords[] = {
		"connect_timeout", "dbname", "fallback_application_name", NULL
	};
	const char *const values[] = {
		"10", worker->options.conninfo, worker->options.name, NULL
	};
	PGconn	   *conn = PQconnectdbParams(keywords, values, 1);

	if (PQstatus(conn) == CONNECTION_OK)
		return conn;
	tcw_log(worker, "could not connect: %s", PQerrorMessage(conn));
	PQfinish(conn);
	return NULL;
}

/* A call of one of the extension's functions, in the buffer. */
const char *
tcw_call(const TcwWorker *worker, const char *call, char *buffer)
{
	snprintf(buffer, STATEMENT_LENGTH, "SELECT * FROM %s%stasker_checkpoint_%s",
			 worker->schema != NULL ? worker->schema : "",
			 worker->schema != NULL ? "." : "", call);
	return buffer;
}

static TcwStatus
status_of(const char *sqlstate)
{
	static const struct
	{
		const char *sqlstate;
		TcwStatus	status;
	}			known[] = {
		{"TC002", TCW_SUPERSEDED},
		{"TC003", TCW_STORED_BEFORE},
		{"TC001", TCW_ITEMS_WENT_BACKWARDS},
		{"54000", TCW_LIMIT_EXCEEDED},
		{"P0002", TCW_STEP_NOT_FOUND},
		{"55000", TCW_NOT_IN_STATE},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i].sqlstate, sqlstate) == 0)
			return known[i].status;
	return TCW_SQL_ERROR;
}

/* Notes an error in the context, for the callbacks; returns the status. */
TcwStatus
tcw_fail(TcwContext *context, TcwStatus status, const char *format,...)
{
	va_list		args;

	context->sqlstate[0] = '\0';
	va_start(args, format);
	vsnprintf(context->error, sizeof(context->error), format, args);
	va_end(args);
	return status;
}

/*
 * At the end of a transaction: a COMMIT without a reply may as well have
 * failed, and one that was refused says ROLLBACK.
 */
static void
note_end(TcwContext *context, const PGresult *res, bool ok)
{
	if (PQtransactionStatus(context->connection) != PQTRANS_IDLE)
		return;
	if (ok && strcmp(PQcmdStatus((PGresult *) res), "ROLLBACK") != 0)
		context->worker->committed = context->sequence;
	else
		context->sequence = context->worker->committed;
}

/*
 * Runs a statement on the context's connection.  Its error is noted in the
 * context.  "result" may be NULL; what it points to is set, to be cleared by
 * the caller, only if the status is TCW_OK.
 */
TcwStatus
tcw_exec(TcwContext *context, PGresult **result, const char *sql,
		 int nparams, const char *const *values)
{
	PGresult   *res = PQexecParams(context->connection, sql, nparams, NULL,
								   values, NULL, NULL, 0);
	ExecStatusType rc = PQresultStatus(res);
	const char *sqlstate;
	TcwStatus	status;

	note_end(context, res, rc == PGRES_COMMAND_OK || rc == PGRES_TUPLES_OK);
	if (rc == PGRES_COMMAND_OK || rc == PGRES_TUPLES_OK)
	{
		if (result != NULL)
			*result = res;
		else
			PQclear(res);
		return TCW_OK;
	}

	sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	if (PQstatus(context->connection) == CONNECTION_BAD)
		status = TCW_CONNECTION_LOST;
	else
		status = status_of(sqlstate != NULL ? sqlstate : "");
	tcw_fail(context, status, "%s", PQerrorMessage(context->connection));
	if (sqlstate != NULL)
		snprintf(context->sqlstate, sizeof(context->sqlstate), "%s", sqlstate);
	PQclear(res);
	return status;
}

/* Calls a function that says true or, superseded, false. */
TcwStatus
tcw_exec_fenced(TcwContext *context, const char *call, int nparams,
				const char *const *values)
{
	char		sql[STATEMENT_LENGTH];
	PGresult   *res;
	TcwStatus	status = tcw_exec(context, &res,
								  tcw_call(context->worker, call, sql),
								  nparams, values);

	if (status != TCW_OK)
		return status;
	if (PQgetvalue(res, 0, 0)[0] != 't')
		status = tcw_fail(context, TCW_SUPERSEDED,
						  "claim of step %s was superseded", context->step_uuid);
	PQclear(res);
	return status;
}

/*
 * What a handler calls
 */

static TcwStatus
checkpoint(TcwContext *context, const char *call, const char *cursor,
		   int64_t items_processed, const char *accumulated_results,
		   TcwReceipt *receipt)
{
	TcwWorker  *worker = context->worker;
	char		sql[STATEMENT_LENGTH];
	char		items[32];
	const char *values[] = {
		context->step_uuid, cursor, items, accumulated_results, context->event_id
	};
	const char *directive;
	PGresult   *res;
	TcwReceipt	got;
	TcwStatus	status;

	snprintf(items, sizeof(items), "%lld", (long long) items_processed);
	status = tcw_exec(context, &res, tcw_call(worker, call, sql), 5, values);
	if (status != TCW_OK)
		return status;

	got.sequence = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
	snprintf(got.event_id, sizeof(got.event_id), "%s", PQgetvalue(res, 0, 1));
	directive = PQgetvalue(res, 0, 2);
	got.directive = strcmp(directive, "pause") == 0 ? TCW_PAUSE
		: strcmp(directive, "cancel") == 0 ? TCW_CANCEL : TCW_CONTINUE;
	got.replayed = PQgetvalue(res, 0, 3)[0] == 't';
	context->sequence = got.sequence;
	note_end(context, res, true);
	PQclear(res);

	pthread_mutex_lock(&worker->lock);
	worker->told = got.directive != TCW_CONTINUE;
	pthread_mutex_unlock(&worker->lock);
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
	TcwStatus	status = checkpoint(context, "yield($1, $2, $3, $4, $5)", cursor,
									items_processed, accumulated_results, receipt);

	if (status == TCW_OK)
		context->yielded = true;
	return status;
}

/* The same, but the handler keeps the step and goes on. */
TcwStatus
tcw_checkpoint_save(TcwContext *context, const char *cursor,
					int64_t items_processed, const char *accumulated_results,
					TcwReceipt *receipt)
{
	return checkpoint(context, "save($1, $2, $3, $4, $5)", cursor,
					  items_processed, accumulated_results, receipt);
}

/*
 * Whether the handler should yield at its next checkpoint: the worker stops,
 * an operator paused or cancelled the step, or the claim was superseded.
 */
bool
tcw_stop_requested(const TcwContext *context)
{
	TcwWorker  *worker = context->worker;
	bool		stop;

	pthread_mutex_lock(&worker->lock);
	stop = worker->stop || worker->told || worker->lost;
	pthread_mutex_unlock(&worker->lock);
	return stop;
}
