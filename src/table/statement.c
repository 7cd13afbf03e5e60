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
 * An old snapshot keeps each version of a row, and an UPDATE by the key meets all
 * of them.  Where they pile up the newest is found first, by a cursor, and updated
 * there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "executor/instrument.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "table/statement.h"
#include "tasker_checkpoint.h"

/* The cursor whose row is updated */
#define FOUND_CURSOR	"tasker_checkpoint_found"

/* Buffers that a write reads if it meets few versions of its row */
#define FEW_BUFFERS		200

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
			statement == TCKPT_STATEMENT_STATE || statement == TCKPT_STATEMENT_FIND) &&
		get_rel_relkind(steps->trigger.relid) == RELKIND_RELATION;
}

/*
 * Which row it is.  Of an array that is not known yet the planner expects ten rows,
 * so that the first of them is cheapest found in the index's order.
 */
static char *
condition_text(const TckptSteps *steps, TckptStatement statement)
{
	if (statement == TCKPT_STATEMENT_WRITE_FOUND)
		return psprintf("CURRENT OF %s", FOUND_CURSOR);
	if (is_newest_first(steps, statement))
		return psprintf("%s OPERATOR(pg_catalog.=) ANY ($1) ORDER BY %s.%s DESC LIMIT 1%s",
						steps->key, steps->table, steps->key,
						statement == TCKPT_STATEMENT_FIND ? " FOR NO KEY UPDATE" : "");
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
	if (statement == TCKPT_STATEMENT_FIND)
		return psprintf("SELECT %s FROM %s WHERE %s", steps->key, steps->table,
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

	/*
	 * the key is read, so that policies on what may be read apply to the new
	 * row, too
	 */
	return psprintf("UPDATE %s SET %s WHERE %s%s%s", steps->table, set.data,
					condition_text(steps, statement),
					statement == TCKPT_STATEMENT_WRITE_FOUND ? " RETURNING " : "",
					statement == TCKPT_STATEMENT_WRITE_FOUND ? steps->key : "");
}

/* DDL, as the caller.  Raises what it does. */
void
tckpt_run_ddl(const char *sql)
{
	SPI_connect();
	if (SPI_execute(sql, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "SPI_execute failed: %s", sql);
	SPI_finish();
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
 * Makes a generic plan now, while it must go along the index: under row security
 * the planner expects so few rows that it would sort them, and to sort them it
 * meets all versions.
 */
static void
plan_along_index(SPIPlanPtr plan, bool kept)
{
	int			level = NewGUCNestLevel();
	CachedPlan *made;

	(void) set_config_option("enable_sort", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	made = SPI_plan_get_cached_plan(plan);
	if (made != NULL)
		ReleaseCachedPlan(made, kept ? CurrentResourceOwner : NULL);
	AtEOXact_GUC(false, level);
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
	if (is_newest_first(steps, statement))
		plan_along_index(plan, *kept == plan);
	return plan;
}

static void
forget_plan(TckptSteps *steps, TckptStatement statement)
{
	if (steps->plans[statement] != NULL)
		SPI_freeplan(steps->plans[statement]);
	steps->plans[statement] = NULL;
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
 * Whether a rule has made something else of an UPDATE, which may change as many
 * rows elsewhere.
 */
static bool
is_rewritten(SPIPlanPtr plan)
{
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(plan));
	ListCell   *lc;

	if (source->commandTag != CMDTAG_UPDATE)
		return false;
	foreach(lc, source->query_list)
	{
		Query	   *query = lfirst_node(Query, lc);

		if (query->canSetTag)
			return query->querySource != QSRC_ORIGINAL;
	}
	return true;
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
	if ((rc != SPI_OK_SELECT && rc != SPI_OK_UPDATE && rc != SPI_OK_UPDATE_RETURNING) ||
		is_rewritten(plan))
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

static int64
buffers_read(void)
{
	return pgBufferUsage.shared_blks_hit + pgBufferUsage.shared_blks_read;
}

/*
 * Whether a cursor goes along an index, as it is meant to, and no further than to
 * the newest version: then an UPDATE can go by its place.
 */
static bool
is_along_index(Portal portal)
{
	PlannedStmt *planned = linitial_node(PlannedStmt, portal->stmts);
	Plan	   *lock = outerPlan(planned->planTree);

	return IsA(planned->planTree, Limit) && IsA(lock, LockRows) && IsA(outerPlan(lock), IndexScan);
}

/*
 * Updates the newest version of a row where a cursor finds and locks it, as an UPDATE
 * by the key would after it has waited.  False if that was not tried, or there is no
 * such row that the caller may change.
 */
static bool
write_found(TckptSteps *steps, const Jsonb *checkpoint,
			const TckptAnnouncement *announcement, const TckptReader *reader,
			uint64 *changed)
{
	const pg_uuid_t *step = &announcement->request->step;
	SPIPlanPtr	plan;
	Datum		values[3] = {array_of_keys(step, 1)};
	Portal		portal;
	bool		along_index;
	bool		found = false;

	/* one is open while a trigger of the table's calls us again */
	if (!is_newest_first(steps, TCKPT_STATEMENT_FIND) || has_subclass(steps->trigger.relid) ||
		PortalIsValid(GetPortalByName(FOUND_CURSOR)))
		return false;

	plan = statement_plan(steps, TCKPT_STATEMENT_FIND, reader);
	portal = SPI_cursor_open(FOUND_CURSOR, plan, values, " nn", false);

	/* code of the table's owner that runs meanwhile must not close it */
	PinPortal(portal);
	along_index = is_along_index(portal);
	if (along_index)
	{
		SPI_cursor_fetch(portal, true, 1);
		found = SPI_processed > 0;
		if (found)
			*changed = tckpt_steps_execute(steps, TCKPT_STATEMENT_WRITE_FOUND, step, 1,
										   checkpoint, announcement, reader);
	}
	UnpinPortal(portal);
	SPI_cursor_close(portal);

	/* it was made anew, by whom the other plan was not good for */
	if (!along_index)
		forget_plan(steps, TCKPT_STATEMENT_FIND);
	return found;
}

/*
 * Runs the UPDATE that is announced, inside SPI_connect.  Returns the number of rows
 * that it changed.
 */
uint64
tckpt_steps_execute_write(TckptSteps *steps, const Jsonb *checkpoint,
						  const TckptAnnouncement *announcement,
						  const TckptReader *reader)
{
	int64		before = buffers_read();
	uint64		changed = 0;

	if (!steps->versions_pile_up ||
		!write_found(steps, checkpoint, announcement, reader, &changed))
		changed = tckpt_steps_execute(steps, TCKPT_STATEMENT_WRITE, &announcement->request->step,
									  1, checkpoint, announcement, reader);
	steps->versions_pile_up = buffers_read() - before > FEW_BUFFERS;
	return changed;
}
