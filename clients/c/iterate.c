/*-------------------------------------------------------------------------
 *
 * iterate.c
 *	  A loop over an ordered source, whose rows and checkpoints are one.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define DEFAULT_EVERY	1000
#define DEFAULT_SECONDS	10.0

/* the results, with the total in them */
#define WITH_TOTAL \
	"CASE jsonb_typeof(coalesce($4::jsonb, '{}'))" \
	" WHEN 'object' THEN coalesce($4::jsonb, '{}') ||" \
	" jsonb_build_object('total_items', $6::bigint) ELSE $4 END"

/* so that a key that is a float keeps all its digits, in this transaction */
#define EXACTLY \
	"(SELECT pg_catalog.set_config('extra_float_digits', '1', true)) IS NOT NULL"

typedef struct Loop
{
	TcwRun	   *run;
	const TcwIteration *iteration;
	char	   *first_sql;
	char	   *next_sql;
	int			key;			/* the key's column */
	Oid			key_type;
	char	   *cursor;			/* of a query the key as text, else JSON */
	int			count;			/* of items in the next batch */
} Loop;

static TcwStatus
out_of_memory(TcwRun *run)
{
	return tcw_fail(&run->context, TCW_SYSTEM_ERROR, "out of memory");
}

static char *
copy_of(const char *string)
{
	char	   *copy = malloc(strlen(string) + 1);

	return copy != NULL ? strcpy(copy, string) : NULL;
}

/* Writes the two statements that fetch a page. */
static TcwStatus
write_statements(Loop *loop)
{
	const TcwIteration *iteration = loop->iteration;
	TcwRun	   *run = loop->run;
	char	   *key;
	size_t		size;

	if (iteration->query == NULL || iteration->key == NULL)
		return tcw_fail(&run->context, TCW_PERMANENT_ERROR,
						"iteration has neither a query with a key nor a fetch");
	key = PQescapeIdentifier(run->client.connection, iteration->key, strlen(iteration->key));
	if (key == NULL)
		return out_of_memory(run);
	size = strlen(iteration->query) + 2 * strlen(key) + sizeof(EXACTLY) + 128;
	loop->first_sql = malloc(size);
	loop->next_sql = malloc(size);
	if (loop->first_sql != NULL && loop->next_sql != NULL)
	{
		/* a query may end in a comment */
		snprintf(loop->first_sql, size, "SELECT * FROM (%s\n) AS source WHERE " EXACTLY
				 " ORDER BY %s FETCH FIRST $1 ROWS WITH TIES", iteration->query, key);
		snprintf(loop->next_sql, size, "SELECT * FROM (%s\n) AS source WHERE " EXACTLY
				 " AND %s > $2 ORDER BY %s FETCH FIRST $1 ROWS WITH TIES", iteration->query, key, key);
	}
	PQfreemem(key);
	if (loop->first_sql == NULL || loop->next_sql == NULL)
		return out_of_memory(run);
	return TCW_OK;
}

/* Where to begin: a query's cursor is JSON, to be text of a type not known. */
static TcwStatus
read_cursor(Loop *loop)
{
	TcwContext *context = &loop->run->context;
	const char *const values[] = {context->checkpoint_cursor};
	PGresult   *res = NULL;
	TcwStatus	status = TCW_OK;

	if (!context->has_checkpoint)
		return TCW_OK;
	if (loop->iteration->fetch != NULL)
		loop->cursor = copy_of(context->checkpoint_cursor);
	else
	{
		status = tcw_exec(context, &res, "SELECT $1::jsonb #>> '{}'", 1, values);
		if (status != TCW_OK)
			return status;
		if (PQgetisnull(res, 0, 0))
			status = tcw_fail(context, TCW_PERMANENT_ERROR,
							  "cursor is null, and no key of the query");
		else
			loop->cursor = copy_of(PQgetvalue(res, 0, 0));
		PQclear(res);
	}
	if (status == TCW_OK && loop->cursor == NULL)
		return out_of_memory(loop->run);
	return status;
}

static TcwStatus
fetch_rows(Loop *loop, TcwBatch *batch)
{
	TcwContext *context = &loop->run->context;
	char		number[NUMBER_SIZE];
	const char *const values[] = {number, loop->cursor};
	TcwStatus	status;
	int			last;

	snprintf(number, sizeof(number), "%d", loop->count);
	status = tcw_exec(context, &batch->rows,
					  loop->cursor != NULL ? loop->next_sql : loop->first_sql,
					  loop->cursor != NULL ? 2 : 1, values);
	if (status != TCW_OK)
		return status;
	batch->count = PQntuples(batch->rows);
	if (batch->count == 0)
		return TCW_OK;

	last = batch->count - 1;
	loop->key = 0;
	while (loop->key < PQnfields(batch->rows) &&
		   strcmp(PQfname(batch->rows, loop->key), loop->iteration->key) != 0)
		loop->key++;
	if (loop->key == PQnfields(batch->rows) || PQgetisnull(batch->rows, last, loop->key))
		return tcw_fail(context, TCW_PERMANENT_ERROR, "key \"%s\" of the query is null",
						loop->iteration->key);
	loop->key_type = PQftype(batch->rows, loop->key);
	batch->cursor = PQgetvalue(batch->rows, last, loop->key);
	return TCW_OK;
}

/* Saves or yields behind the batch, in its transaction. */
static TcwStatus
store(Loop *loop, TcwBatch *batch)
{
	TcwRun	   *run = loop->run;
	const TcwIteration *iteration = loop->iteration;
	bool		is_query = iteration->fetch == NULL;
	const Oid	types[6] = {0, is_query ? loop->key_type : 0};
	char		call[STATEMENT_SIZE / 2];
	char		total[NUMBER_SIZE];
	const char *results = run->results != NULL ? run->results
		: run->context.accumulated_results;

	snprintf(call, sizeof(call), "%s($1, %s, $3, %s, $5)",
			 tcw_stop_requested(&run->context) ? "yield" : "save",
			 is_query ? "to_jsonb($2)" : "$2",
			 iteration->total > 0 ? WITH_TOTAL : "$4");
	snprintf(total, sizeof(total), "%lld", (long long) iteration->total);
	return tcw_store(run, call, types, batch->cursor, run->now.items + batch->count,
					 results, iteration->total > 0 ? total : NULL, NULL);
}

/* One batch, in a transaction of its own; "more" is false if there was none. */
static TcwStatus
do_batch(Loop *loop, TcwBatch *batch, bool *more)
{
	TcwRun	   *run = loop->run;
	TcwContext *context = &run->context;
	int			commits = run->commits;
	TcwStatus	status = tcw_exec(context, NULL, "BEGIN", 0, NULL);

	if (status == TCW_OK)
		status = loop->iteration->fetch == NULL ? fetch_rows(loop, batch)
			: loop->iteration->fetch(context, loop->cursor, loop->count, batch);
	*more = batch->count > 0;
	if (status == TCW_OK && *more)
		status = loop->iteration->body(context, batch);
	if (status == TCW_OK &&
		(run->commits != commits ||
		 PQtransactionStatus(run->client.connection) != PQTRANS_INTRANS))
		status = tcw_fail(context, TCW_SQL_ERROR, "batch ended the transaction it was called in");
	if (status == TCW_OK && *more)
		status = store(loop, batch);
	if (status == TCW_OK)
		return tcw_exec(context, NULL, "COMMIT", 0, NULL);

	/* the error to report is the first one */
	tcw_roll_back(run);
	return status;
}

/* Remembers where the batch ended. */
static TcwStatus
advance(Loop *loop, const TcwBatch *batch)
{
	free(loop->cursor);
	loop->cursor = copy_of(batch->cursor);
	return loop->cursor != NULL ? TCW_OK : out_of_memory(loop->run);
}

/* So many that the next batch takes as long as one should. */
static void
adapt(Loop *loop, int count, double took)
{
	double		limit = loop->iteration->seconds;
	double		next = took > 0 ? count * limit / took : 2.0 * loop->count;

	/* a fast one may have been an exception */
	if (next > 2.0 * loop->count)
		next = 2.0 * loop->count;
	if (next > loop->iteration->every)
		next = loop->iteration->every;
	loop->count = next < 1 ? 1 : (int) next;
}

static TcwStatus
run_loop(Loop *loop)
{
	TcwRun	   *run = loop->run;
	TcwStatus	status = TCW_OK;
	bool		more = true;

	while (status == TCW_OK && more && !run->now.yielded &&
		   !tcw_stop_requested(&run->context))
	{
		TcwBatch	batch = {.arg = loop->iteration->arg};
		double		began = tcw_now();

		status = do_batch(loop, &batch, &more);
		if (status == TCW_OK && more)
			status = advance(loop, &batch);
		if (status == TCW_OK && more)
			adapt(loop, batch.count, tcw_now() - began);
		if (loop->iteration->fetch != NULL)
			free(batch.cursor);
		PQclear(batch.rows);
	}
	if (status == TCW_OK && !more)
		run->finished = true;
	return status;
}

/*
 * Hands the source to the body, a batch at a time, from where the checkpoint
 * says; what the body writes, and the checkpoint behind the batch, commit
 * together.  Returns TCW_OK if the source is exhausted, and then the step is
 * done; or if a stop was requested, and then the step goes on later, where it
 * is.  What else the body or a statement came to is returned, with the batch
 * rolled back.  There is one in a run, since there is one cursor.
 */
TcwStatus
tcw_iterate(TcwContext *context, const TcwIteration *iteration)
{
	TcwIteration filled = *iteration;
	Loop		loop = {.run = (TcwRun *) context,.iteration = &filled};
	TcwStatus	status = TCW_OK;

	if (filled.every <= 0)
		filled.every = DEFAULT_EVERY;
	if (filled.seconds <= 0)
		filled.seconds = DEFAULT_SECONDS;
	loop.count = filled.every;
	if (PQtransactionStatus(context->connection) != PQTRANS_IDLE)
		return tcw_fail(context, TCW_PERMANENT_ERROR, "iteration within a transaction");
	if (loop.run->iterated)
		return tcw_fail(context, TCW_PERMANENT_ERROR, "a second iteration in one run");
	loop.run->iterated = true;
	if (filled.fetch == NULL)
		status = write_statements(&loop);
	if (status == TCW_OK)
		status = read_cursor(&loop);
	if (status == TCW_OK)
		status = run_loop(&loop);
	free(loop.first_sql);
	free(loop.next_sql);
	free(loop.cursor);
	return status;
}
