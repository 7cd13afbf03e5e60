/*-------------------------------------------------------------------------
 *
 * event_row.c
 *	  Rows of the table tasker_checkpoint_events.
 *
 * The only file that knows its columns.  A row is read into a TckptEvent, and
 * written back whole.  A save is recognized by its event being the present one,
 * so that its receipt needs neither that nor the sequence, which the row has.
 *
 * The table's owner can store whatever its constraints allow, and drop those.
 * So a row that is read need not be whole; what is missing is taken for what
 * harms nobody, and the next write stores it so.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "dispatch/event_row.h"
#include "guc.h"
#include "tasker_checkpoint.h"

#define NCOLUMNS	TCKPT_EVENT_NCOLUMNS

static const Oid column_types[NCOLUMNS] = {
	[TCKPT_EVENT_STEP] = UUIDOID,
	[TCKPT_EVENT_DIRECTIVE] = TEXTOID,
	[TCKPT_EVENT_PARKED] = BOOLOID,
	[TCKPT_EVENT_QUEUE] = TEXTOID,
	[TCKPT_EVENT_PRIORITY] = INT2OID,
	[TCKPT_EVENT_EVENT_ID] = UUIDOID,
	[TCKPT_EVENT_CONTINUATION] = UUIDOID,
	[TCKPT_EVENT_WORKER] = TEXTOID,
	[TCKPT_EVENT_AVAILABLE_AT] = TIMESTAMPTZOID,
	[TCKPT_EVENT_LEASE] = INTERVALOID,
	[TCKPT_EVENT_LEASE_UNTIL] = TIMESTAMPTZOID,
	[TCKPT_EVENT_DELIVERIES] = INT4OID,
	[TCKPT_EVENT_SEQUENCE] = INT8OID,
	[TCKPT_EVENT_YIELD_EVENT_ID] = UUIDOID,
	[TCKPT_EVENT_YIELD_DIGEST] = INT8OID,
	[TCKPT_EVENT_YIELD_SEQUENCE] = INT8OID,
	[TCKPT_EVENT_YIELD_CHECKPOINTED_AT] = TIMESTAMPTZOID,
	[TCKPT_EVENT_SAVE_DIGEST] = INT8OID,
	[TCKPT_EVENT_SAVE_CHECKPOINTED_AT] = TIMESTAMPTZOID
};

static const TckptOwnTable events_table = {
	"tasker_checkpoint_events", NCOLUMNS, column_types, &(TckptOwnLookup) {0}
};

static Expr *
make_column(Relation rel, int column)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), column);

	return (Expr *) makeVar(1, att->attnum, att->atttypid, att->atttypmod,
							att->attcollation, 0);
}

/* What the partial index says of its rows, as the planner would have it. */
static List *
claimable_condition(Relation rel)
{
	Form_pg_attribute directive = TupleDescAttr(RelationGetDescr(rel), TCKPT_EVENT_DIRECTIVE);
	NullTest   *has_event = makeNode(NullTest);
	Expr	   *goes_on;
	Expr	   *not_parked;

	has_event->arg = make_column(rel, TCKPT_EVENT_EVENT_ID);
	has_event->nulltesttype = IS_NOT_NULL;
	goes_on = make_opclause(TextEqualOperator, BOOLOID, false,
							make_column(rel, TCKPT_EVENT_DIRECTIVE),
							(Expr *) makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1,
											   CStringGetTextDatum(tckpt_directive_name(TCKPT_CONTINUE)),
											   false, false),
							InvalidOid, directive->attcollation);
	set_opfuncid((OpExpr *) goes_on);
	not_parked = makeBoolExpr(NOT_EXPR, list_make1(make_column(rel, TCKPT_EVENT_PARKED)), -1);
	return list_make3(has_event, goes_on, not_parked);
}

/* Rows are looked for by these, or one by one where one is missing. */
const TckptOwnIndex tckpt_event_lookups[] = {
	[TCKPT_BY_STEP] = {
		.definition = "(step_uuid)",
		.nkeys = 1,
		.keys = {TCKPT_EVENT_ATTNO(TCKPT_EVENT_STEP)},
		.last = &(TckptOwnLookup) {0}
	},
	[TCKPT_BY_EVENT] = {
		.definition = "(event_id)",
		.nkeys = 1,
		.keys = {TCKPT_EVENT_ATTNO(TCKPT_EVENT_EVENT_ID)},
		.last = &(TckptOwnLookup) {0}
	}
};

/* A step has one row. */
const TckptOwnIndex tckpt_event_step_key = {
	.definition = "(step_uuid)",
	.unique = true,
	.nkeys = 1,
	.keys = {TCKPT_EVENT_ATTNO(TCKPT_EVENT_STEP)},
	.last = &(TckptOwnLookup) {0}
};

/* Who claims needs the oldest first, however many there are. */
const TckptOwnIndex tckpt_event_claimable = {
	.definition = "(queue, priority DESC, available_at) WHERE event_id IS NOT NULL AND directive = 'continue' AND NOT parked",
	.ordered = true,
	.nkeys = 3,
	.keys = {
		TCKPT_EVENT_ATTNO(TCKPT_EVENT_QUEUE),
		TCKPT_EVENT_ATTNO(TCKPT_EVENT_PRIORITY),
		TCKPT_EVENT_ATTNO(TCKPT_EVENT_AVAILABLE_AT)
	},
	.descending = {false, true, false},
	.condition = claimable_condition,
	.last = &(TckptOwnLookup) {0}
};

/* Opens the table, whose first column is the step. */
Relation
tckpt_event_table(Oid function, LOCKMODE lockmode)
{
	return tckpt_own_open(function, &events_table, lockmode);
}

/* A queue that has no name, or too long a one, which nobody could ask for. */
static void
read_queue(Datum value, bool isnull, char *queue)
{
	text	   *name = isnull ? NULL : DatumGetTextPP(value);
	size_t		length = name == NULL ? 0 : VARSIZE_ANY_EXHDR(name);

	if (length == 0 || length >= NAMEDATALEN)
		strlcpy(queue, TCKPT_DEFAULT_QUEUE, NAMEDATALEN);
	else
	{
		memcpy(queue, VARDATA_ANY(name), length);
		queue[length] = '\0';
	}
}

/* A step whose directive is unknown is held back, until it is resumed. */
static TckptDirective
read_directive(Datum value, bool isnull)
{
	text	   *name = isnull ? NULL : DatumGetTextPP(value);

	for (int i = 0; name != NULL && i <= TCKPT_CANCEL; i++)
		if (VARSIZE_ANY_EXHDR(name) == strlen(tckpt_directive_name(i)) &&
			memcmp(VARDATA_ANY(name), tckpt_directive_name(i), VARSIZE_ANY_EXHDR(name)) == 0)
			return (TckptDirective) i;
	return TCKPT_PAUSE;
}

/* No more of a name than a worker can have. */
static char *
read_worker(Datum value)
{
	text	   *name = DatumGetTextPSlice(value, 0, TCKPT_MAX_WORKER_LENGTH + MAX_MULTIBYTE_CHAR_LEN);
	int			length = VARSIZE_ANY_EXHDR(name);

	if (length > TCKPT_MAX_WORKER_LENGTH)
		length = pg_mbcliplen(VARDATA_ANY(name), length, TCKPT_MAX_WORKER_LENGTH);
	return pnstrdup(VARDATA_ANY(name), length);
}

/* In microseconds, within what can be asked for; else claim's default. */
static int64
read_lease(Datum value, bool isnull)
{
	const int64 longest = TCKPT_MAX_LEASE * USECS_PER_SEC;
	Interval   *lease = isnull ? NULL : DatumGetIntervalP(value);

	if (lease == NULL || lease->month < 0 || lease->day < 0 || lease->time < 0 ||
		(lease->month == 0 && lease->day == 0 && lease->time == 0))
		return USECS_PER_MINUTE;
	if (lease->month > 0 || lease->day > TCKPT_MAX_LEASE / SECS_PER_DAY ||
		lease->time > longest)
		return longest;
	return Min(lease->day * USECS_PER_DAY + lease->time, longest);
}

/*
 * A time that is missing, or before Unix had any, has passed long ago; one that is
 * no time of ours otherwise is endless.  So all can be reckoned with: before 17 there
 * is no interval from -infinity on.
 */
static TimestampTz
read_time(Datum value, bool isnull)
{
	const TimestampTz first = (UNIX_EPOCH_JDATE - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY;
	TimestampTz t = isnull ? first : DatumGetTimestampTz(value);

	return t < first ? first : t > PG_INT64_MAX / 2 ? DT_NOEND : t;
}

/* These two: a receipt of which a part is missing is none. */
static void
read_yielded(const Datum *values, const bool *nulls, TckptEvent *event)
{
	TckptReceipt *receipt = &event->yielded;

	receipt->is_set = !nulls[TCKPT_EVENT_YIELD_EVENT_ID] &&
		!nulls[TCKPT_EVENT_YIELD_DIGEST] && !nulls[TCKPT_EVENT_YIELD_SEQUENCE] &&
		!nulls[TCKPT_EVENT_YIELD_CHECKPOINTED_AT] && !nulls[TCKPT_EVENT_CONTINUATION];
	if (receipt->is_set)
	{
		receipt->event_id = *DatumGetUUIDP(values[TCKPT_EVENT_YIELD_EVENT_ID]);
		receipt->digest = DatumGetInt64(values[TCKPT_EVENT_YIELD_DIGEST]);
		receipt->sequence = DatumGetInt64(values[TCKPT_EVENT_YIELD_SEQUENCE]);
		receipt->checkpointed_at = DatumGetTimestampTz(values[TCKPT_EVENT_YIELD_CHECKPOINTED_AT]);
		event->continuation = *DatumGetUUIDP(values[TCKPT_EVENT_CONTINUATION]);
	}
}

/* A save's is of the present event, and of the last checkpoint known here. */
static void
read_saved(const Datum *values, const bool *nulls, TckptEvent *event)
{
	TckptReceipt *receipt = &event->saved;

	receipt->is_set = event->has_event && !nulls[TCKPT_EVENT_SAVE_DIGEST] &&
		!nulls[TCKPT_EVENT_SAVE_CHECKPOINTED_AT];
	if (receipt->is_set)
	{
		receipt->event_id = event->event_id;
		receipt->digest = DatumGetInt64(values[TCKPT_EVENT_SAVE_DIGEST]);
		receipt->sequence = event->sequence;
		receipt->checkpointed_at = DatumGetTimestampTz(values[TCKPT_EVENT_SAVE_CHECKPOINTED_AT]);
	}
}

static void
read_claim(const Datum *values, const bool *nulls, TckptEvent *event)
{
	event->worker = read_worker(values[TCKPT_EVENT_WORKER]);
	event->lease = read_lease(values[TCKPT_EVENT_LEASE], nulls[TCKPT_EVENT_LEASE]);
	event->lease_until = read_time(values[TCKPT_EVENT_LEASE_UNTIL], nulls[TCKPT_EVENT_LEASE_UNTIL]);
}

/* False if the row is no step's. */
bool
tckpt_event_read(Relation rel, HeapTuple tuple, TckptEvent *event)
{
	Datum		values[NCOLUMNS];
	bool		nulls[NCOLUMNS];

	heap_deform_tuple(tuple, RelationGetDescr(rel), values, nulls);
	memset(event, 0, sizeof(*event));
	event->tid = tuple->t_self;
	event->ours = TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
	if (nulls[TCKPT_EVENT_STEP])
		return false;

	event->step = *DatumGetUUIDP(values[TCKPT_EVENT_STEP]);
	event->directive = read_directive(values[TCKPT_EVENT_DIRECTIVE], nulls[TCKPT_EVENT_DIRECTIVE]);
	read_queue(values[TCKPT_EVENT_QUEUE], nulls[TCKPT_EVENT_QUEUE], event->queue);
	if (!nulls[TCKPT_EVENT_PRIORITY])
		event->priority = DatumGetInt16(values[TCKPT_EVENT_PRIORITY]);
	event->parked = nulls[TCKPT_EVENT_PARKED] || DatumGetBool(values[TCKPT_EVENT_PARKED]);
	event->has_event = !nulls[TCKPT_EVENT_EVENT_ID];
	if (event->has_event)
		event->event_id = *DatumGetUUIDP(values[TCKPT_EVENT_EVENT_ID]);
	if (event->has_event && !nulls[TCKPT_EVENT_WORKER])
		read_claim(values, nulls, event);
	event->available_at = read_time(values[TCKPT_EVENT_AVAILABLE_AT], nulls[TCKPT_EVENT_AVAILABLE_AT]);
	if (!nulls[TCKPT_EVENT_DELIVERIES])
		event->deliveries = Max(DatumGetInt32(values[TCKPT_EVENT_DELIVERIES]), 0);
	if (!nulls[TCKPT_EVENT_SEQUENCE])
		event->sequence = Max(DatumGetInt64(values[TCKPT_EVENT_SEQUENCE]), 0);

	read_yielded(values, nulls, event);
	read_saved(values, nulls, event);
	return true;
}

static void
fill_yielded(const TckptEvent *event, Datum *values, bool *nulls)
{
	const TckptReceipt *receipt = &event->yielded;

	values[TCKPT_EVENT_YIELD_EVENT_ID] = UUIDPGetDatum(&receipt->event_id);
	values[TCKPT_EVENT_YIELD_DIGEST] = Int64GetDatum(receipt->digest);
	values[TCKPT_EVENT_YIELD_SEQUENCE] = Int64GetDatum(receipt->sequence);
	values[TCKPT_EVENT_YIELD_CHECKPOINTED_AT] = TimestampTzGetDatum(receipt->checkpointed_at);
	values[TCKPT_EVENT_CONTINUATION] = UUIDPGetDatum(&event->continuation);
	nulls[TCKPT_EVENT_YIELD_EVENT_ID] = nulls[TCKPT_EVENT_YIELD_DIGEST] =
		nulls[TCKPT_EVENT_YIELD_SEQUENCE] = nulls[TCKPT_EVENT_YIELD_CHECKPOINTED_AT] =
		nulls[TCKPT_EVENT_CONTINUATION] = !receipt->is_set;
}

static void
fill_saved(const TckptEvent *event, Datum *values, bool *nulls)
{
	values[TCKPT_EVENT_SAVE_DIGEST] = Int64GetDatum(event->saved.digest);
	values[TCKPT_EVENT_SAVE_CHECKPOINTED_AT] = TimestampTzGetDatum(event->saved.checkpointed_at);
	nulls[TCKPT_EVENT_SAVE_DIGEST] = nulls[TCKPT_EVENT_SAVE_CHECKPOINTED_AT] =
		!event->saved.is_set;
}

/* The row as it is to be stored; it may point into "event". */
TupleTableSlot *
tckpt_event_row(Relation rel, const TckptEvent *event)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(rel),
													&TTSOpsVirtual);
	Datum	   *values = slot->tts_values;
	bool	   *nulls = slot->tts_isnull;
	Interval   *lease = palloc0(sizeof(Interval));

	memset(nulls, false, NCOLUMNS * sizeof(bool));
	lease->time = event->lease;

	values[TCKPT_EVENT_STEP] = UUIDPGetDatum(&event->step);
	values[TCKPT_EVENT_DIRECTIVE] = CStringGetTextDatum(tckpt_directive_name(event->directive));
	values[TCKPT_EVENT_PARKED] = BoolGetDatum(event->parked);
	values[TCKPT_EVENT_QUEUE] = CStringGetTextDatum(event->queue[0] != '\0' ?
													event->queue : TCKPT_DEFAULT_QUEUE);
	values[TCKPT_EVENT_PRIORITY] = Int16GetDatum(event->priority);
	values[TCKPT_EVENT_EVENT_ID] = UUIDPGetDatum(&event->event_id);
	nulls[TCKPT_EVENT_EVENT_ID] = !event->has_event;
	if (event->worker != NULL)
		values[TCKPT_EVENT_WORKER] = CStringGetTextDatum(event->worker);
	values[TCKPT_EVENT_LEASE] = IntervalPGetDatum(lease);
	values[TCKPT_EVENT_LEASE_UNTIL] = TimestampTzGetDatum(event->lease_until);
	nulls[TCKPT_EVENT_WORKER] = nulls[TCKPT_EVENT_LEASE] = nulls[TCKPT_EVENT_LEASE_UNTIL] =
		event->worker == NULL;
	values[TCKPT_EVENT_AVAILABLE_AT] = TimestampTzGetDatum(event->available_at);
	values[TCKPT_EVENT_DELIVERIES] = Int32GetDatum(event->deliveries);
	values[TCKPT_EVENT_SEQUENCE] = Int64GetDatum(event->sequence);
	fill_yielded(event, values, nulls);
	fill_saved(event, values, nulls);

	return ExecStoreVirtualTuple(slot);
}
