/*-------------------------------------------------------------------------
 *
 * statement.c
 *	  The statements on the steps table: their text, their plans, their
 *	  execution.
 *
 * They run by SPI as the calling user: grants, row security and the table's
 * other triggers apply.  What only reads is read as the table's owner where the
 * caller is a superuser.  They name everything with its schema.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "table/statement.h"
#include "tasker_checkpoint.h"

/* What stands for processed, whether or not there is such a column. */
const char *
tckpt_processed_column(const TckptSteps *steps)
{
	return steps->processed != InvalidAttrNumber ? "processed" : "false";
}

/*
 * Whether a statement looks for the newest version of a row first, and for no more.
 * An index has those of a key in the order of their places, and the newest is
 * nearly always the last: where an old snapshot keeps the others, a look from the
 * front meets all of them.  A plan of partitions would not be of one index.
 */
static bool
is_newest_first(const TckptSteps *steps, TckptStatement statement)
{
	return (statement == TCKPT_STATEMENT_READ || statement == TCKPT_STATEMENT_PEEK ||
			statement == TCKPT_STATEMENT_STATE) &&
		get_rel_relkind(steps->trigger.relid) == RELKIND_RELATION;
}

/*
 * Which row it is.  Of an array that is not known yet the planner expects ten rows,
 * so that the first of them is cheapest found in the index's order.
 */
static char *
condition_text(const TckptSteps *steps, TckptStatement statement)
{
	if (is_newest_first(steps, statement))
		return psprintf("%s OPERATOR(pg_catalog.=) ANY ($1) ORDER BY %s.%s DESC LIMIT 1",
						steps->key, steps->table, steps->key);
	if (statement == TCKPT_STATEMENT_STATES)
		return psprintf("%s OPERATOR(pg_catalog.=) ANY ($1)", steps->key);
	return psprintf("%s OPERATOR(pg_catalog.=) $1%s", steps->key,
					statement == TCKPT_STATEMENT_LOCK ? " FOR NO KEY UPDATE" :
					statement == TCKPT_STATEMENT_TRY_LOCK ? " FOR NO KEY UPDATE SKIP LOCKED" : "");
}

/* The text of a statement. */
static char *
statement_text(const TckptSteps *steps, TckptStatement statement)
{
	StringInfoData set;

	if (statement == TCKPT_STATEMENT_READ)
		return psprintf("SELECT %s FROM %s WHERE %s", steps->checkpoint, steps->table,
						condition_text(steps, statement));
	if (statement == TCKPT_STATEMENT_STATES)
		return psprintf("SELECT NULL::pg_catalog.jsonb, %s, %s FROM %s WHERE %s",
						tckpt_processed_column(steps), steps->key, steps->table,
						condition_text(steps, statement));
	if (statement == TCKPT_STATEMENT_PEEK || statement == TCKPT_STATEMENT_STATE ||
		statement == TCKPT_STATEMENT_LOCK || statement == TCKPT_STATEMENT_TRY_LOCK)
		return psprintf("SELECT %s, %s FROM %s WHERE %s",
						statement == TCKPT_STATEMENT_STATE ? "NULL::pg_catalog.jsonb" : steps->checkpoint,
						tckpt_processed_column(steps), steps->table,
						condition_text(steps, statement));

	initStringInfo(&set);
	if (statement == TCKPT_STATEMENT_RESET)
		appendStringInfoString(&set, steps->reset);
	else
		appendStringInfo(&set, "%s = $2", steps->checkpoint);
	if (statement != TCKPT_STATEMENT_STORE && OidIsValid(steps->updated_at))
		appendStringInfo(&set, "%supdated_at = $3", set.len > 0 ? ", " : "");

	/* a table with none of these columns */
	if (set.len == 0)
		return statement_text(steps, TCKPT_STATEMENT_LOCK);

	return psprintf("UPDATE %s SET %s WHERE %s", steps->table, set.data,
					condition_text(steps, statement));
}

/* Begins to read key, checkpoint and, if so, processed; see reader.h. */
void
tckpt_steps_read_as(const TckptSteps *steps, bool processed, TckptReader *reader)
{
	AttrNumber	columns[] = {
		steps->trigger.key, steps->trigger.checkpoint,
		processed ? steps->processed : InvalidAttrNumber
	};

	tckpt_read_as(steps->trigger.relid, columns, lengthof(columns), reader);
}

/*
 * The plan of a statement, kept unless it is one for this time alone.  One for an
 * array is a generic one: its planning does not look at the keys.
 */
static SPIPlanPtr
statement_plan(TckptSteps *steps, TckptStatement statement,
			   const TckptReader *reader)
{
	SPIPlanPtr *kept = &steps->plans[statement];
	bool		array = statement == TCKPT_STATEMENT_STATES || is_newest_first(steps, statement);
	Oid			types[] = {array ? UUIDARRAYOID : UUIDOID, JSONBOID, steps->updated_at};
	int			nargs = OidIsValid(steps->updated_at) ? 3 : 2;
	SPIPlanPtr	plan;

	if (*kept != NULL && !reader->forced)
		return *kept;
	plan = tckpt_read_prepare(reader, statement_text(steps, statement), nargs,
							  types, array ? CURSOR_OPT_GENERIC_PLAN : 0);
	if (!reader->forced)
	{
		if (SPI_keepplan(plan) != 0)
			elog(ERROR, "SPI_keepplan failed");
		*kept = plan;
	}
	return plan;
}

/* Executes a plan while the guard expects what is announced. */
static int
execute_announced(SPIPlanPtr plan, Datum *values, const char *nulls,
				  bool read_only, const TckptAnnouncement *announcement)
{
	const TckptAnnouncement *previous = tckpt_guard_expect(announcement);
	int			rc = 0;

	PG_TRY();
	{
		rc = SPI_execute_plan(plan, values, nulls, read_only, 0);
	}
	PG_FINALLY();
	{
		(void) tckpt_guard_expect(previous);
	}
	PG_END_TRY();
	return rc;
}

static Datum
array_of_keys(const pg_uuid_t *keys, int nkeys)
{
	Datum	   *values = palloc(nkeys * sizeof(Datum));

	for (int i = 0; i < nkeys; i++)
		values[i] = UUIDPGetDatum(&keys[i]);
	return PointerGetDatum(construct_array(values, nkeys, UUIDOID, UUID_LEN, false,
										   TYPALIGN_CHAR));
}

/*
 * Runs a statement, inside SPI_connect, on a step, or on those of an array.
 * Returns the number of rows that it found or changed.
 */
uint64
tckpt_steps_execute(TckptSteps *steps, TckptStatement statement,
					const pg_uuid_t *key, int nkeys, const Jsonb *checkpoint,
					const TckptAnnouncement *announcement,
					const TckptReader *reader)
{
	SPIPlanPtr	plan = statement_plan(steps, statement, reader);
	Datum		values[3];
	char		nulls[] = {' ', checkpoint == NULL ? 'n' : ' ', ' ', '\0'};
	int			rc;

	values[0] = SPI_getargtypeid(plan, 0) == UUIDARRAYOID ?
		array_of_keys(key, nkeys) : UUIDPGetDatum(key);
	values[1] = checkpoint == NULL ? (Datum) 0 : JsonbPGetDatum(checkpoint);

	/* the clock in UTC is what a column without time zone gets */
	values[2] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());

	rc = execute_announced(plan, values, nulls, statement == TCKPT_STATEMENT_READ,
						   announcement);
	if (rc != SPI_OK_SELECT && rc != SPI_OK_UPDATE)
	{
		tckpt_attached_distrust();
		ereport(ERROR,
				(tckpt_refused(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("step \"%s\" could not be updated",
						tckpt_step_name(key)),
				 errdetail("A rule on table %s rewrote the statement.",
						   steps->table),
				 errhint("Drop the rule.")));
	}
	tckpt_require_table(reader, plan, steps->trigger.relid, steps->table);
	return SPI_processed;
}
