/*-------------------------------------------------------------------------
 *
 * check.c
 *	  What a program sees of the installed client; ../c.sh calls it.
 *
 * Its database has the extension, a steps table jobs(id), and applied(n).
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tasker_checkpoint_testing.h>

#define ITEMS	100

static PGconn *connection;
static int	failures;

static void
check(bool ok, const char *what)
{
	printf("%s - %s\n", ok ? "ok" : "not ok", what);
	if (!ok)
		failures++;
}

/* The one value of a statement, until the next call; "" for no row. */
static const char *
value(const char *sql)
{
	static char text[256];
	PGresult   *res = PQexec(connection, sql);

	text[0] = '\0';
	if (PQresultStatus(res) == PGRES_FATAL_ERROR)
		fprintf(stderr, "%s: %s", sql, PQerrorMessage(connection));
	else if (PQntuples(res) > 0)
		snprintf(text, sizeof(text), "%s", PQgetvalue(res, 0, 0));
	PQclear(res);
	return text;
}

static bool
is(const char *sql, const char *expected)
{
	const char *actual = value(sql);

	if (strcmp(actual, expected) != 0)
		fprintf(stderr, "%s: %s, expected %s\n", sql, actual, expected);
	return strcmp(actual, expected) == 0;
}

static const char *
new_step(void)
{
	static char step[TCW_UUID_SIZE];

	value("TRUNCATE applied");
	snprintf(step, sizeof(step), "%s", value("INSERT INTO jobs DEFAULT VALUES RETURNING id"));
	return step;
}

/* Each of the numbers is there once. */
static bool
all_applied(void)
{
	return is("SELECT count(*) || ' ' || count(DISTINCT n) || ' ' || max(n) FROM applied", "100 100 100");
}

/*
 * Handlers
 */

static TcwStatus
apply_page(TcwContext *context, TcwBatch *batch)
{
	const char *const values[] = {
		PQgetvalue(batch->rows, 0, 0), PQgetvalue(batch->rows, batch->count - 1, 0)
	};

	return tcw_exec(context, NULL, "INSERT INTO applied SELECT generate_series($1::int, $2::int)", 2, values);
}

static TcwStatus
by_query(TcwContext *context)
{
	TcwIteration numbers = {
		.query = "SELECT n AS \"the key\" FROM generate_series(1, 100) AS n -- all",
		.key = "the key",
		.body = apply_page,
		.every = 10,
		.total = ITEMS
	};
	TcwStatus	status = tcw_iterate(context, &numbers);

	if (status == TCW_OK && !context->yielded)
		context->result = strdup("done");
	return status;
}

/* By text, with what JSON escapes. */
static TcwStatus
by_text(TcwContext *context)
{
	TcwIteration numbers = {
		.query = "SELECT n, E'\"\\\\\t' || to_char(n, 'FM000') AS k FROM generate_series(1, 100) AS n",
		.key = "k",
		.body = apply_page,
		.every = 7
	};

	return tcw_iterate(context, &numbers);
}

static TcwStatus
fetch(TcwContext *context, const char *cursor, int count, TcwBatch *batch)
{
	static int	first;

	(void) context;
	first = cursor != NULL ? atoi(cursor) + 1 : 1;
	if (first > ITEMS)
		return TCW_OK;
	batch->count = first + count - 1 <= ITEMS ? count : ITEMS - first + 1;
	batch->items = &first;
	batch->cursor = malloc(16);
	snprintf(batch->cursor, 16, "%d", first + batch->count - 1);
	return TCW_OK;
}

static TcwStatus
apply_fetched(TcwContext *context, TcwBatch *batch)
{
	char		first[16];
	const char *const values[] = {first, batch->cursor};
	TcwStatus	status;

	snprintf(first, sizeof(first), "%d", *(int *) batch->items);
	status = tcw_exec(context, NULL, "INSERT INTO applied SELECT generate_series($1::int, $2::int)", 2, values);
	return status == TCW_OK ? tcw_set_results(context, "{\"who\": \"me\"}") : status;
}

static TcwStatus
by_fetch(TcwContext *context)
{
	TcwIteration numbers = {.fetch = fetch, .body = apply_fetched, .every = 30, .total = ITEMS};

	return tcw_iterate(context, &numbers);
}

/* The cursor of the second would be the first's in the next run. */
static TcwStatus
twice(TcwContext *context)
{
	TcwStatus	status = by_query(context);

	free(context->result);
	context->result = NULL;
	return status == TCW_OK ? by_fetch(context) : status;
}

/* A yield that its own statement rolls back is none. */
static TcwStatus
yield_in_vain(TcwContext *context)
{
	TcwStatus	status;

	PQclear(PQexec(context->connection, "BEGIN"));
	status = tcw_checkpoint_yield(context, "1", 1, NULL, NULL);
	PQclear(PQexec(context->connection, "ROLLBACK"));
	if (status == TCW_OK)
		status = tcw_checkpoint_save(context, "2", 2, NULL, NULL);
	return status;
}

static TcwStatus
save_behind_yield(TcwContext *context)
{
	TcwReceipt	receipt;

	if (context->has_checkpoint)
		return TCW_OK;
	if (tcw_checkpoint_yield(context, "1", 1, NULL, NULL) != TCW_OK)
		return TCW_SYSTEM_ERROR;
	return tcw_checkpoint_save(context, "2", 2, NULL, &receipt);
}

static TcwStatus
leave_open(TcwContext *context)
{
	PQclear(PQexec(context->connection, "BEGIN"));
	PQclear(PQexec(context->connection, "INSERT INTO applied VALUES (1)"));
	context->result = strdup("freed by the caller");
	return TCW_OK;
}

static TcwStatus
see_stop(TcwContext *context)
{
	TcwStatus	status = TCW_OK;
	int64_t		items = 0;

	while (status == TCW_OK && !tcw_stop_requested(context))
		status = tcw_checkpoint_save(context, "null", ++items, NULL, NULL);
	return status;
}

static TcwStatus
see_stop_and_finish(TcwContext *context)
{
	TcwStatus	status = see_stop(context);

	return status == TCW_OK ? tcw_finish(context, NULL) : status;
}

static TcwStatus
commit_it(TcwContext *context)
{
	PQclear(PQexec(context->connection, "COMMIT; BEGIN"));
	return TCW_OK;
}

static TcwStatus
nothing(TcwContext *context)
{
	(void) context;
	return TCW_OK;
}

static TcwStatus
repeat_save(TcwContext *context)
{
	TcwStatus	status = TCW_OK;

	for (int i = 0; i < 2 && status == TCW_OK; i++)
	{
		status = tcw_exec(context, NULL, "BEGIN", 0, NULL);
		if (status == TCW_OK)
			status = tcw_exec(context, NULL, "INSERT INTO applied VALUES (1)", 0, NULL);
		if (status == TCW_OK)
			status = tcw_checkpoint_save(context, "1", 1, NULL, NULL);
		if (status == TCW_OK)
			status = tcw_exec(context, NULL, "COMMIT", 0, NULL);
	}
	return status;
}

/*
 * Tests
 */

static bool
ends(const char *step, TcwHandler handler, const TcwTestOptions *options,
	 TcwEventKind ended, TcwTestResult *result)
{
	TcwStatus	status = tcw_test_run_step(connection, step, handler, options, result);

	if (status != TCW_OK || result->ended != ended)
		fprintf(stderr, "%s, ended %d, expected %d: %s\n", tcw_status_name(status),
				result->ended, ended, result->error.message);
	return status == TCW_OK && result->ended == ended;
}

static void
iterations(void)
{
	TcwTestResult result;
	const char *step = new_step();
	TcwTestOptions second = {.stop_at = 2};
	TcwTestOptions third = {.stop_at = 3};
	TcwTestOptions crash = {.crash_at = 3};
	TcwClient	client = {.connection = connection};
	PGresult   *rows = NULL;

	check(ends(step, by_query, NULL, TCW_EVENT_COMPLETED, &result) && result.checkpoints == 10 &&
		  strcmp(result.result, "done") == 0 && all_applied(), "a query is gone through once");
	free(result.result);

	step = new_step();
	check(ends(step, by_query, &third, TCW_EVENT_INTERRUPTED, &result) && result.checkpoints == 3,
		  "told to stop at its third checkpoint, it ends there");
	free(result.result);
	check(tcw_client_progress(&client, step, &rows) == TCW_OK &&
		  strcmp(PQgetvalue(rows, 0, PQfnumber(rows, "total")), "100") == 0 &&
		  strcmp(PQgetvalue(rows, 0, PQfnumber(rows, "items_processed")), "30") == 0,
		  "the progress view knows the total");
	PQclear(rows);
	check(ends(step, by_query, NULL, TCW_EVENT_COMPLETED, &result) && result.checkpoints == 7 &&
		  all_applied(), "it goes on where it was");
	free(result.result);

	step = new_step();
	check(ends(step, by_query, &crash, TCW_EVENT_ABANDONED, &result) && result.checkpoints == 2,
		  "it crashes at its third checkpoint");
	check(tcw_test_run_step(connection, step, by_query, NULL, &result) == TCW_WRONG_STATE,
		  "its claim is left");
	check(tcw_test_expire_lease(&client, step) == TCW_OK &&
		  ends(step, by_query, NULL, TCW_EVENT_COMPLETED, &result) && all_applied(),
		  "it goes on after the lease");
	free(result.result);

	step = new_step();
	check(ends(step, by_text, &third, TCW_EVENT_INTERRUPTED, &result) &&
		  ends(step, by_text, NULL, TCW_EVENT_COMPLETED, &result) && all_applied(),
		  "a key with quotes goes there and back");

	step = new_step();
	check(ends(step, by_fetch, &second, TCW_EVENT_INTERRUPTED, &result) &&
		  is("SELECT tasker_checkpoint_accumulated_results(id) FROM jobs ORDER BY made DESC LIMIT 1",
			 "{\"who\": \"me\", \"total_items\": 100}") &&
		  ends(step, by_fetch, NULL, TCW_EVENT_COMPLETED, &result) && all_applied(),
		  "a source of one's own is gone through once");
}

static void
handlers(void)
{
	TcwTestResult result;
	TcwTestOptions second = {.stop_at = 2};
	TcwWorkerOptions commits = {.name = "commits", .on_start = commit_it};
	TcwTestOptions on_start = {.worker = &commits};

	check(ends(new_step(), twice, NULL, TCW_EVENT_FAILED, &result) && all_applied(),
		  "a run iterates once");
	check(ends(new_step(), yield_in_vain, NULL, TCW_EVENT_COMPLETED, &result) &&
		  result.sequence == 1, "a yield that was rolled back is none");
	check(ends(new_step(), save_behind_yield, NULL, TCW_EVENT_RELEASED, &result) &&
		  result.error.status == TCW_ALREADY_YIELDED, "behind a yield nothing is saved");
	check(ends(new_step(), leave_open, NULL, TCW_EVENT_RELEASED, &result) &&
		  is("SELECT count(*) FROM applied", "0"), "a transaction left open is an error");
	free(result.result);
	check(ends(new_step(), see_stop, &second, TCW_EVENT_INTERRUPTED, &result),
		  "who saw a stop is not done");
	check(ends(new_step(), see_stop_and_finish, &second, TCW_EVENT_COMPLETED, &result),
		  "but if it says so");
	check(ends(new_step(), nothing, &on_start, TCW_EVENT_RELEASED, &result),
		  "a callback that ends its transaction is an error");
	check(ends(new_step(), repeat_save, NULL, TCW_EVENT_FAILED, &result) &&
		  result.error.status == TCW_STORED_BEFORE && strcmp(result.error.sqlstate, "TC003") == 0 &&
		  is("SELECT count(*) FROM applied", "1"), "one checkpoint stored twice fails for good");
}

static void
functions(void)
{
	const char *const queues[] = {"with \"quotes\", and \\", NULL};
	const char *const others[] = {"other", NULL};
	const int	priority = 5;
	const char *step = new_step();
	TcwClient	client = {.connection = connection, .schema = "public"};
	TcwReceipt	receipt;
	PGresult   *rows = NULL;
	char		event_id[TCW_UUID_SIZE];
	bool		answer = false;

	check(tcw_client_dispatch(&client, step, queues[0], &priority, 0, event_id) == TCW_OK &&
		  strlen(event_id) == 36, "dispatch");
	check(tcw_client_claim(&client, "me", 10, 1, NULL, others, &rows) == TCW_OK &&
		  PQntuples(rows) == 0, "claim finds nothing in others' queues");
	PQclear(rows);
	check(tcw_client_claim(&client, "me", 10, 1, NULL, queues, &rows) == TCW_OK &&
		  PQntuples(rows) == 1, "claim");
	snprintf(event_id, sizeof(event_id), "%s", PQgetvalue(rows, 0, 0));
	PQclear(rows);
	check(tcw_client_pause(&client, step, &answer) == TCW_OK && answer, "pause");
	check(tcw_client_save(&client, step, "[1]", 1, "{}", event_id, &receipt) == TCW_OK &&
		  receipt.directive == TCW_PAUSE && receipt.sequence == 1, "save");
	check(tcw_client_heartbeat(&client, event_id, &answer) == TCW_OK && answer, "heartbeat");
	check(tcw_client_resume(&client, step, &answer) == TCW_OK && answer, "resume");
	check(tcw_client_save(&client, step, "2", 0, NULL, event_id, NULL) == TCW_ITEMS_WENT_BACKWARDS &&
		  strcmp(client.error.sqlstate, "TC001") == 0 && client.error.hint[0] != '\0', "TC001");
	check(tcw_client_yield(&client, step, "2", 2, NULL, event_id, &receipt) == TCW_OK, "yield");
	check(tcw_client_save(&client, step, "3", 3, NULL, event_id, NULL) == TCW_SUPERSEDED, "TC002");
	check(tcw_client_release(&client, receipt.event_id, 1.5, true, &answer) == TCW_OK && answer, "release");
	check(tcw_client_rewind(&client, step, 1, "{}", &receipt) == TCW_OK && receipt.sequence == 3, "rewind");
	check(tcw_client_load(&client, step, &rows) == TCW_OK &&
		  strcmp(PQgetvalue(rows, 0, 1), "[1]") == 0, "load");
	PQclear(rows);
	check(tcw_client_cancel(&client, step, NULL) == TCW_OK, "cancel");
	check(tcw_client_progress(&client, step, &rows) == TCW_OK && PQntuples(rows) == 1, "progress");
	PQclear(rows);
	check(tcw_client_complete(&client, receipt.event_id, &answer) == TCW_OK && answer, "complete");
	check(tcw_client_load(&client, "00000000-0000-0000-0000-000000000000", &rows) == TCW_STEP_NOT_FOUND,
		  "P0002");
}

/* Of the application's own, counted. */
static int	opened;
static int	ones;
static int	twos;
static int	seen[TCW_EVENT_STOPPING + 1];

static PGconn *
open_connection(void *data)
{
	(void) data;
	opened++;
	return PQconnectdb("");
}

static void
close_connection(void *data, PGconn *conn)
{
	(void) data;
	opened--;
	PQfinish(conn);
}

static void
observe(void *data, const TcwEvent *event)
{
	(void) data;
	seen[event->kind]++;
}

static TcwStatus
one(TcwContext *context)
{
	ones++;
	return tcw_heartbeat(context) ? TCW_OK : TCW_SYSTEM_ERROR;
}

static TcwStatus
two(TcwContext *context)
{
	/* tried again at once, and then well */
	context->retry_delay = 0;
	return ++twos == 1 ? tcw_fail(context, TCW_TRANSIENT_ERROR, "the first time") : TCW_OK;
}

static TcwStatus
refused(const char *conninfo, char *sqlstate)
{
	TcwWorkerOptions options = {.conninfo = conninfo, .exit_when_idle = 30};
	TcwWorker  *worker = tcw_worker_new(&options);
	TcwStatus	status = tcw_worker_run(worker, nothing);

	strcpy(sqlstate, tcw_worker_error(worker)->sqlstate);
	tcw_worker_free(worker);
	return status;
}

static void
workers(void)
{
	TcwQueue	queues[] = {{"one", NULL}, {"two", two}, {NULL, NULL}};
	TcwWorkerOptions options = {
		.queues = queues,
		.exit_when_idle = 0.2,
		.connect = open_connection,
		.disconnect = close_connection,
		.observe = observe
	};
	TcwClient	client = {.connection = connection};
	TcwWorker  *worker = tcw_worker_new(&options);
	char		sqlstate[6];

	tcw_client_dispatch(&client, new_step(), "one", NULL, 0, NULL);
	tcw_client_dispatch(&client, new_step(), "two", NULL, 0, NULL);
	tcw_client_dispatch(&client, new_step(), "three", NULL, 0, NULL);
	check(tcw_worker_run(worker, one) == TCW_OK && ones == 1 && twos == 2,
		  "a worker serves its queues, each by its handler, until it is idle");
	check(opened == 0, "connections are given back to where they are from");
	check(seen[TCW_EVENT_CLAIMED] == 3 && seen[TCW_EVENT_COMPLETED] == 2 &&
		  seen[TCW_EVENT_RELEASED] == 1 && seen[TCW_EVENT_CONNECTED] == 1, "events are observed");
	tcw_worker_free(worker);
	check(refused("dbname=no_such_database", sqlstate) != TCW_OK && strcmp(sqlstate, "3D000") == 0,
		  "a wrong database ends the worker");
	check(refused("no_such_setting=1", sqlstate) != TCW_OK, "and so does a wrong string");
}

int
main(void)
{
	connection = PQconnectdb("");
	if (PQstatus(connection) != CONNECTION_OK)
	{
		fprintf(stderr, "%s", PQerrorMessage(connection));
		return 2;
	}
	iterations();
	handlers();
	functions();
	workers();
	PQfinish(connection);
	return failures > 0;
}
