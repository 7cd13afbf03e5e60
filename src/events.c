/*-------------------------------------------------------------------------
 *
 * events.c
 *	  The table tasker_checkpoint_events: one row for a step that is
 *	  dispatched, paused or cancelled.
 *
 * The only file that knows the table.  A row is locked, read into a
 * TckptEvent, changed there and written back whole; the protocol is
 * dispatch.c's.  Whoever also needs the step's row locks that one first.
 *
 * Statements run as the table's owner, since nobody else has rights on it.
 * They name operators and table by schema and call no function, so that no
 * code of a user's can run under that identity.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "events.h"
#include "tasker_checkpoint.h"

#define EVENTS_TABLE "tasker_checkpoint_events"

/* In the order of event_columns */
enum
{
	COL_STEP,
	COL_EVENT_ID,
	COL_DIRECTIVE,
	COL_WORKER,
	COL_AVAILABLE_AT,
	COL_LEASE,
	COL_LEASE_UNTIL,
	COL_DELIVERIES,
	COL_PARKED,
	COL_SEQUENCE,
	COL_YIELD_EVENT_ID,
	COL_YIELD_DIGEST,
	COL_YIELD_SEQUENCE,
	COL_CONTINUATION,
	COL_SAVE_EVENT_ID,
	COL_SAVE_DIGEST,
	COL_SAVE_SEQUENCE,
	NCOLUMNS
};

#define EVENT_COLUMNS \
	"step_uuid, event_id, directive, worker, available_at, lease, " \
	"lease_until, deliveries, parked, sequence, yield_event_id, " \
	"yield_digest, yield_sequence, continuation_id, save_event_id, " \
	"save_digest, save_sequence"

#define EVENT_PARAMETERS \
	"$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17"

static const Oid event_types[NCOLUMNS] = {
	UUIDOID, UUIDOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, INTERVALOID,
	TIMESTAMPTZOID, INT4OID, BOOLOID, INT8OID, UUIDOID,
	INT8OID, INT8OID, UUIDOID, UUIDOID,
	INT8OID, INT8OID
};

static const Oid candidate_types[] = {
	TIMESTAMPTZOID, TIMESTAMPTZOID, UUIDOID, INT8OID
};

/* $1 now, $2 and $3 the row to go on after, $4 how many */
#define CANDIDATES \
	"SELECT " EVENT_COLUMNS " FROM %s " \
	"WHERE event_id IS NOT NULL " \
	"AND directive OPERATOR(pg_catalog.=) 'continue' AND NOT parked " \
	"AND available_at OPERATOR(pg_catalog.<=) $1 " \
	"AND (worker IS NULL OR lease_until OPERATOR(pg_catalog.<=) $1) " \
	"AND ROW(available_at, step_uuid) OPERATOR(pg_catalog.>) ROW($2, $3) " \
	"ORDER BY available_at, step_uuid LIMIT $4"

#define SELECT_BY(column) \
	"SELECT " EVENT_COLUMNS " FROM %s " \
	"WHERE " column " OPERATOR(pg_catalog.=) $1"

typedef enum Statement
{
	/* as TckptLookup has them */
	STATEMENT_BY_STEP,
	STATEMENT_BY_STEP_SKIP_LOCKED,
	STATEMENT_BY_EVENT,
	STATEMENT_BY_EVENT_SKIP_LOCKED,
	STATEMENT_BY_EVENT_UNLOCKED,
	STATEMENT_CANDIDATES,
	STATEMENT_CANDIDATES_UNLOCKED,
	STATEMENT_INSERT,
	STATEMENT_UPDATE,
	STATEMENT_DELETE,
	STATEMENT_DELETE_ALL,
	NSTATEMENTS
} Statement;

static const struct
{
	const char *text;			/* %s is the table */
	int			nargs;
	const Oid  *types;
}			statements[NSTATEMENTS] =
{
	{SELECT_BY("step_uuid") " FOR UPDATE", 1, event_types},
	{SELECT_BY("step_uuid") " FOR UPDATE SKIP LOCKED", 1, event_types},
	{SELECT_BY("event_id") " FOR UPDATE", 1, event_types},
	{SELECT_BY("event_id") " FOR UPDATE SKIP LOCKED", 1, event_types},
	{SELECT_BY("event_id"), 1, event_types},
	{CANDIDATES " FOR UPDATE SKIP LOCKED", lengthof(candidate_types), candidate_types},
	{CANDIDATES, lengthof(candidate_types), candidate_types},
	{"INSERT INTO %s (" EVENT_COLUMNS ") VALUES (" EVENT_PARAMETERS ") "
		"ON CONFLICT (step_uuid) DO NOTHING", NCOLUMNS, event_types},
	{"UPDATE %s SET (" EVENT_COLUMNS ") = ROW(" EVENT_PARAMETERS ") "
		"WHERE step_uuid OPERATOR(pg_catalog.=) $1", NCOLUMNS, event_types},
	{"DELETE FROM %s WHERE step_uuid OPERATOR(pg_catalog.=) $1", 1, event_types},
	{"DELETE FROM %s", 0, NULL}
};

/* Kept statements, and the schema for which they were prepared */
static SPIPlanPtr plans[NSTATEMENTS];
static char *plans_schema = NULL;

static const char *const directive_names[] = {"continue", "pause", "cancel"};

const char *
tckpt_directive_name(TckptDirective directive)
{
	return directive_names[directive];
}

static TckptDirective
directive_of(Datum value)
{
	char	   *name = TextDatumGetCString(value);

	for (int i = 0; i < (int) lengthof(directive_names); i++)
		if (strcmp(name, directive_names[i]) == 0)
			return (TckptDirective) i;
	elog(ERROR, "unrecognized directive \"%s\"", name);
}

/* Gives the row a random event id that nobody knows yet (UUID version 4). */
void
tckpt_event_new_id(TckptEvent *event)
{
	if (!pg_strong_random(event->event_id.data, UUID_LEN))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	event->event_id.data[6] = (event->event_id.data[6] & 0x0f) | 0x40;
	event->event_id.data[8] = (event->event_id.data[8] & 0x3f) | 0x80;
	event->has_event = true;
}

/* Prepares a statement, or finds it prepared; inside SPI_connect. */
static SPIPlanPtr
statement_plan(Oid namespace, Statement statement)
{
	char	   *schema = get_namespace_name(namespace);

	if (plans_schema == NULL || strcmp(plans_schema, schema) != 0)
	{
		for (int i = 0; i < NSTATEMENTS; i++)
		{
			if (plans[i] != NULL)
				SPI_freeplan(plans[i]);
			plans[i] = NULL;
		}
		if (plans_schema != NULL)
			pfree(plans_schema);
		plans_schema = NULL;
		plans_schema = MemoryContextStrdup(TopMemoryContext, schema);
	}

	if (plans[statement] == NULL)
	{
		char	   *table = quote_qualified_identifier(schema, EVENTS_TABLE);
		char	   *text = psprintf(statements[statement].text, table);
		SPIPlanPtr	plan = SPI_prepare_cursor(text, statements[statement].nargs,
											  unconstify(Oid *, statements[statement].types),
											  CURSOR_OPT_GENERIC_PLAN);

		if (plan == NULL)
			elog(ERROR, "SPI_prepare_cursor failed: %s",
				 SPI_result_code_string(SPI_result));
		if (SPI_keepplan(plan) != 0)
			elog(ERROR, "SPI_keepplan failed");
		plans[statement] = plan;
	}
	return plans[statement];
}

/* The owner of the table, under whose identity no code of others may run. */
static Oid
events_owner(Oid namespace)
{
	HeapTuple	tuple = SearchSysCache2(RELNAMENSP,
										CStringGetDatum(EVENTS_TABLE),
										ObjectIdGetDatum(namespace));
	Form_pg_class form;
	Oid			owner;
	bool		has_code;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"%s\" does not exist", EVENTS_TABLE),
				 errhint("Create the extension again.")));
	form = (Form_pg_class) GETSTRUCT(tuple);
	owner = form->relowner;
	has_code = form->relhastriggers || form->relhasrules || form->relrowsecurity;
	ReleaseSysCache(tuple);

	if (has_code)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" must have no trigger, rule or row security",
						EVENTS_TABLE),
				 errdetail("It would run with the rights of the table's owner."),
				 errhint("Drop it, VACUUM the table, and revoke what was granted on it.")));
	return owner;
}

/*
 * Every statement here has an index to go by.  The table's statistics are no
 * guide: it may have been empty when they were taken, or a plan was made, and
 * have a hundred thousand rows a second later.  Returns what ends the settings.
 */
static int
require_index_scans(void)
{
	static const char *const settings[] = {
		"enable_seqscan", "enable_bitmapscan", "enable_sort"
	};
	int			nestlevel = NewGUCNestLevel();

	for (int i = 0; i < (int) lengthof(settings); i++)
		(void) set_config_option(settings[i], "off", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	return nestlevel;
}

/*
 * Runs a statement as the table's owner, inside SPI_connect.  An error resets
 * user and settings as it ends the (sub)transaction.  "newest" also sees what
 * was committed after the transaction's snapshot.  Returns the rows found or
 * changed.
 */
static uint64
execute_as_owner(Oid function, Statement statement, Datum *values,
				 const char *nulls, bool newest)
{
	Oid			namespace = get_func_namespace(function);
	Oid			owner = events_owner(namespace);
	SPIPlanPtr	plan;
	Oid			user;
	int			security;
	int			nestlevel;
	int			rc;

	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(owner, security | SECURITY_LOCAL_USERID_CHANGE);
	nestlevel = require_index_scans();
	plan = statement_plan(namespace, statement);
	if (newest)
		rc = SPI_execute_snapshot(plan, values, nulls, GetLatestSnapshot(),
								  InvalidSnapshot, false, false, 0);
	else
		rc = SPI_execute_plan(plan, values, nulls, false, 0);
	AtEOXact_GUC(true, nestlevel);
	SetUserIdAndSecContext(user, security);

	if (rc < 0)
		elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(rc));
	return SPI_processed;
}

static uint64
execute(Oid function, Statement statement, Datum *values, const char *nulls)
{
	return execute_as_owner(function, statement, values, nulls, false);
}

/*
 * Under REPEATABLE READ a row may be there that the transaction's snapshot does
 * not have yet.  The fence must not take that for none, no more than core does
 * where it checks a foreign key: raises 40001.
 */
static void
require_none_newer(Oid function, Statement statement, Datum *values)
{
	if (IsolationUsesXactSnapshot() &&
		execute_as_owner(function, statement, values, NULL, true) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent update"),
				 errhint("Run the transaction again.")));
}

static void
read_uuid(Datum value, pg_uuid_t *uuid)
{
	*uuid = *DatumGetUUIDP(value);
}

/* A row of the last SELECT; strings are copied into the given context. */
static void
read_event(uint64 row, MemoryContext context, TckptEvent *event)
{
	Datum		values[NCOLUMNS];
	bool		nulls[NCOLUMNS];

	heap_deform_tuple(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
					  values, nulls);
	memset(event, 0, sizeof(*event));

	read_uuid(values[COL_STEP], &event->step);
	event->has_event = !nulls[COL_EVENT_ID];
	if (event->has_event)
		read_uuid(values[COL_EVENT_ID], &event->event_id);
	event->directive = directive_of(values[COL_DIRECTIVE]);
	if (!nulls[COL_WORKER])
	{
		event->worker = MemoryContextStrdup(context,
											TextDatumGetCString(values[COL_WORKER]));
		event->lease = DatumGetIntervalP(values[COL_LEASE])->time;
		event->lease_until = DatumGetTimestampTz(values[COL_LEASE_UNTIL]);
	}
	event->available_at = DatumGetTimestampTz(values[COL_AVAILABLE_AT]);
	event->deliveries = DatumGetInt32(values[COL_DELIVERIES]);
	event->parked = DatumGetBool(values[COL_PARKED]);
	event->sequence = DatumGetInt64(values[COL_SEQUENCE]);

	event->yielded.is_set = !nulls[COL_YIELD_EVENT_ID];
	if (event->yielded.is_set)
	{
		read_uuid(values[COL_YIELD_EVENT_ID], &event->yielded.event_id);
		event->yielded.digest = DatumGetInt64(values[COL_YIELD_DIGEST]);
		event->yielded.sequence = DatumGetInt64(values[COL_YIELD_SEQUENCE]);
		read_uuid(values[COL_CONTINUATION], &event->continuation);
	}
	event->saved.is_set = !nulls[COL_SAVE_EVENT_ID];
	if (event->saved.is_set)
	{
		read_uuid(values[COL_SAVE_EVENT_ID], &event->saved.event_id);
		event->saved.digest = DatumGetInt64(values[COL_SAVE_DIGEST]);
		event->saved.sequence = DatumGetInt64(values[COL_SAVE_SEQUENCE]);
	}
}

/* Writes the row, by INSERT or UPDATE.  Returns the rows written. */
static uint64
write_event(Oid function, Statement statement, const TckptEvent *event)
{
	Datum		values[NCOLUMNS] = {0};
	char		nulls[NCOLUMNS + 1];
	Interval	lease = {0};
	uint64		written;

	SPI_connect();

	memset(nulls, ' ', NCOLUMNS);
	nulls[NCOLUMNS] = '\0';

	values[COL_STEP] = UUIDPGetDatum(&event->step);
	if (event->has_event)
		values[COL_EVENT_ID] = UUIDPGetDatum(&event->event_id);
	else
		nulls[COL_EVENT_ID] = 'n';
	values[COL_DIRECTIVE] = CStringGetTextDatum(tckpt_directive_name(event->directive));
	if (event->worker != NULL)
	{
		lease.time = event->lease;
		values[COL_WORKER] = CStringGetTextDatum(event->worker);
		values[COL_LEASE] = IntervalPGetDatum(&lease);
		values[COL_LEASE_UNTIL] = TimestampTzGetDatum(event->lease_until);
	}
	else
		nulls[COL_WORKER] = nulls[COL_LEASE] = nulls[COL_LEASE_UNTIL] = 'n';
	values[COL_AVAILABLE_AT] = TimestampTzGetDatum(event->available_at);
	values[COL_DELIVERIES] = Int32GetDatum(event->deliveries);
	values[COL_PARKED] = BoolGetDatum(event->parked);
	values[COL_SEQUENCE] = Int64GetDatum(event->sequence);

	if (event->yielded.is_set)
	{
		values[COL_YIELD_EVENT_ID] = UUIDPGetDatum(&event->yielded.event_id);
		values[COL_YIELD_DIGEST] = Int64GetDatum(event->yielded.digest);
		values[COL_YIELD_SEQUENCE] = Int64GetDatum(event->yielded.sequence);
		values[COL_CONTINUATION] = UUIDPGetDatum(&event->continuation);
	}
	else
		nulls[COL_YIELD_EVENT_ID] = nulls[COL_YIELD_DIGEST] =
			nulls[COL_YIELD_SEQUENCE] = nulls[COL_CONTINUATION] = 'n';
	if (event->saved.is_set)
	{
		values[COL_SAVE_EVENT_ID] = UUIDPGetDatum(&event->saved.event_id);
		values[COL_SAVE_DIGEST] = Int64GetDatum(event->saved.digest);
		values[COL_SAVE_SEQUENCE] = Int64GetDatum(event->saved.sequence);
	}
	else
		nulls[COL_SAVE_EVENT_ID] = nulls[COL_SAVE_DIGEST] =
			nulls[COL_SAVE_SEQUENCE] = 'n';

	written = execute(function, statement, values, nulls);
	SPI_finish();
	return written;
}

/*
 * Finds a row by its step or its current event, and locks it until the
 * transaction ends, unless the lookup says otherwise.  Without one the result
 * is false, and "event" an empty row.  Raises 40001 where the transaction's
 * snapshot is too old to say.
 */
bool
tckpt_event_find(Oid function, TckptLookup lookup, const pg_uuid_t *id,
				 TckptEvent *event)
{
	MemoryContext caller = CurrentMemoryContext;
	Datum		values[] = {UUIDPGetDatum(id)};
	bool		found;

	SPI_connect();
	found = execute(function, (Statement) lookup, values, NULL) > 0;
	if (found)
		read_event(0, caller, event);
	else
	{
		require_none_newer(function, (Statement) lookup, values);
		memset(event, 0, sizeof(*event));
	}
	SPI_finish();
	return found;
}

/*
 * Events that can be claimed by "now", the one that waits longest first, past
 * the one in "after" if that is not NULL.  Those locked by others are left
 * out; "lock" locks the rest.  Returns their number.
 */
int
tckpt_event_candidates(Oid function, TimestampTz now, const TckptEvent *after,
					   int limit, bool lock, TckptEvent **events)
{
	MemoryContext caller = CurrentMemoryContext;
	pg_uuid_t	zero = {0};
	Datum		values[] = {
		TimestampTzGetDatum(now),
		TimestampTzGetDatum(after != NULL ? after->available_at : DT_NOBEGIN),
		UUIDPGetDatum(after != NULL ? &after->step : &zero),
		Int64GetDatum(limit)
	};
	int			count;

	SPI_connect();
	count = (int) execute(function,
						  lock ? STATEMENT_CANDIDATES : STATEMENT_CANDIDATES_UNLOCKED,
						  values, NULL);
	*events = MemoryContextAlloc(caller, Max(count, 1) * sizeof(TckptEvent));
	for (int i = 0; i < count; i++)
		read_event(i, caller, &(*events)[i]);
	SPI_finish();
	return count;
}

/* False if somebody else made a row for this step meanwhile. */
bool
tckpt_event_insert(Oid function, const TckptEvent *event)
{
	return write_event(function, STATEMENT_INSERT, event) > 0;
}

/* The row must have been locked. */
void
tckpt_event_update(Oid function, const TckptEvent *event)
{
	if (write_event(function, STATEMENT_UPDATE, event) != 1)
		elog(ERROR, "dispatch row was lost while it was locked");
}

void
tckpt_event_delete(Oid function, const pg_uuid_t *step)
{
	Datum		values[] = {UUIDPGetDatum(step)};

	SPI_connect();
	(void) execute(function, STATEMENT_DELETE, values, NULL);
	SPI_finish();
}

/* Empties the table; returns how many rows it had. */
int64
tckpt_event_delete_all(Oid function)
{
	int64		count;

	SPI_connect();
	count = (int64) execute_as_owner(function, STATEMENT_DELETE_ALL, NULL, NULL, true);
	SPI_finish();
	return count;
}
