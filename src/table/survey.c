/*-------------------------------------------------------------------------
 *
 * survey.c
 *	  A walk over the steps, each with what the dispatch says of it.
 *
 * Progress and health are views on it.  Those that are not processed and have
 * a checkpoint are met by one statement, and those of the dispatched that it
 * does not meet by their keys; both have the active snapshot.  The dispatch is
 * read first: its rows are kept, and so bound the memory that a walk takes.
 *
 * The statements (survey_sql.h) run as the caller, or as the table's owner if the
 * caller is a superuser (reader.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "dispatch/events.h"
#include "table/reader.h"
#include "table/steps.h"
#include "table/survey.h"
#include "table/survey_sql.h"
#include "tasker_checkpoint.h"

/* Steps that are looked up by their keys at a time */
#define LOOKUP_BATCH	1000

/* A walk that is on its way; what rows come to */
typedef struct Walk
{
	DestReceiver receiver;		/* must be the first */
	const TckptSteps *steps;
	const TckptReader *reader;
	const TckptSurvey *survey;
	bool		says_done;		/* a column tells which steps are processed */
	TckptHolders *holders;		/* NULL: there are none */
	TckptDispatched *dispatched;
	int			ndispatched;
	int			nsorted;		/* so many of them are in the order of steps */
	int			allocated;
	MemoryContext row_context;	/* reset after each row */
} Walk;

static int
by_step(const void *a, const void *b)
{
	return memcmp(&((const TckptDispatched *) a)->step,
				  &((const TckptDispatched *) b)->step, sizeof(pg_uuid_t));
}

static TckptDispatched *
find_dispatched(Walk *walk, const pg_uuid_t *step)
{
	TckptDispatched key = {.step = *step};

	if (walk->nsorted == 0)
		return NULL;
	return bsearch(&key, walk->dispatched, walk->nsorted,
				   sizeof(TckptDispatched), by_step);
}

static TckptDispatched *
add_dispatched(Walk *walk, const pg_uuid_t *step)
{
	TckptDispatched *dispatched;

	if (walk->ndispatched == walk->allocated)
	{
		walk->allocated = Max(walk->allocated * 2, 64);
		walk->dispatched = walk->dispatched == NULL ?
			palloc(walk->allocated * sizeof(TckptDispatched)) :
			repalloc_huge(walk->dispatched, walk->allocated * sizeof(TckptDispatched));
	}
	dispatched = &walk->dispatched[walk->ndispatched++];
	memset(dispatched, 0, sizeof(*dispatched));
	dispatched->step = *step;
	return dispatched;
}

/* Reads the dispatch table. */
static void
read_dispatched(Walk *walk)
{
	MemoryContext caller = CurrentMemoryContext;
	TckptEventScan *scan = tckpt_event_scan_steps(walk->survey->function,
												  walk->survey->step, false);
	TckptEvent	event;
	char	   *queue = NULL;

	for (;;)
	{
		TckptDispatched *dispatched;
		bool		more;

		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(walk->row_context);
		more = tckpt_event_scan_next(scan, &event);
		MemoryContextSwitchTo(caller);
		if (!more)
			break;

		dispatched = add_dispatched(walk, &event.step);
		dispatched->has_row = true;
		dispatched->has_event = event.has_event;
		dispatched->directive = event.directive;
		dispatched->parked = event.parked;
		dispatched->worker = event.worker == NULL ? NULL : pstrdup(event.worker);
		dispatched->available_at = event.available_at;
		dispatched->lease = event.lease;
		dispatched->lease_until = event.lease_until;
		dispatched->deliveries = event.deliveries;
		/* most are in the queue of the one before */
		if (queue == NULL || strcmp(queue, event.queue) != 0)
			queue = pstrdup(event.queue);
		dispatched->queue = queue;
		MemoryContextReset(walk->row_context);
	}
	tckpt_event_scan_end(scan);
	MemoryContextReset(walk->row_context);
}

/*
 * Puts them in the order of steps, in which they are if an index has led to
 * them, each once.
 */
static void
sort_dispatched(Walk *walk)
{
	TckptDispatched *all = walk->dispatched;
	int			n = Min(walk->ndispatched, 1);

	while (n < walk->ndispatched && by_step(&all[n - 1], &all[n]) < 0)
		n++;
	if (n < walk->ndispatched)
	{
		qsort(all, walk->ndispatched, sizeof(TckptDispatched), by_step);
		n = 1;
		for (int i = 1; i < walk->ndispatched; i++)
			if (by_step(&all[n - 1], &all[i]) != 0)
				all[n++] = all[i];
	}
	walk->ndispatched = walk->nsorted = n;
}

static void
note_held(const pg_uuid_t *step, const TckptHolder *holder, void *arg)
{
	Walk	   *walk = arg;
	TckptDispatched *dispatched;

	if (walk->survey->step != NULL && !tckpt_same_uuid(step, walk->survey->step))
		return;
	dispatched = find_dispatched(walk, step);
	if (dispatched == NULL)
		dispatched = add_dispatched(walk, step);
	dispatched->holder = holder;
}

/*
 * Whether nothing is known to be under way with a step.  A table may have no column
 * that says so; then one that is completed is like one that never began, and what
 * its last checkpoints look like is nobody's trouble.
 */
static bool
is_done(const Walk *walk, const TckptSurveyed *step)
{
	return walk->survey->health && !walk->says_done &&
		step->dispatched == NULL && !step->in_process;
}

/* Fills in what the row says. */
static void
read_surveyed(Walk *walk, TupleTableSlot *slot, TckptSurveyed *step)
{
	Datum	   *values = slot->tts_values;
	bool	   *nulls = slot->tts_isnull;
	TckptDispatched *dispatched;

	memset(step, 0, sizeof(*step));
	step->found = true;
	step->step = *DatumGetUUIDP(values[TCKPT_SURVEY_STEP]);
	dispatched = find_dispatched(walk, &step->step);
	if (dispatched != NULL)
	{
		dispatched->met = true;
		step->dispatched = dispatched->has_row ? dispatched : NULL;
		step->holder = dispatched->holder;
	}

	step->in_process = !nulls[TCKPT_SURVEY_IN_PROCESS] && DatumGetBool(values[TCKPT_SURVEY_IN_PROCESS]);
	step->processed = is_done(walk, step) ||
		(!nulls[TCKPT_SURVEY_PROCESSED] && DatumGetBool(values[TCKPT_SURVEY_PROCESSED]));
	if (!nulls[TCKPT_SURVEY_CHECKPOINT] && !step->processed)
		step->checkpoint = DatumGetJsonbP(values[TCKPT_SURVEY_CHECKPOINT]);
	step->has_task = !nulls[TCKPT_SURVEY_TASK];
	if (step->has_task)
		step->task = *DatumGetUUIDP(values[TCKPT_SURVEY_TASK]);
	if (!nulls[TCKPT_SURVEY_STEP_NAME])
		step->step_name = TextDatumGetCString(values[TCKPT_SURVEY_STEP_NAME]);
	if (!nulls[TCKPT_SURVEY_TASK_NAME])
		step->task_name = TextDatumGetCString(values[TCKPT_SURVEY_TASK_NAME]);
	step->has_inputs = !nulls[TCKPT_SURVEY_INPUTS];
	step->inputs = values[TCKPT_SURVEY_INPUTS];

	if (step->holder == NULL && !nulls[TCKPT_SURVEY_XMAX] && !nulls[TCKPT_SURVEY_TABLEOID] &&
		TransactionIdIsValid(DatumGetTransactionId(values[TCKPT_SURVEY_XMAX])))
		step->holder = tckpt_holder_of_row(walk->holders,
										   DatumGetObjectId(values[TCKPT_SURVEY_TABLEOID]),
										   (ItemPointer) DatumGetPointer(values[TCKPT_SURVEY_CTID]));
}

/* Each execution says what it returns before its first row. */
static void
receiver_startup(DestReceiver *self, int operation, TupleDesc typeinfo)
{
	Walk	   *walk = (Walk *) self;

	tckpt_require_columns(walk->steps->table, typeinfo, tckpt_survey_types,
						  TCKPT_SURVEY_NCOLUMNS);
}

/* A row without a key, which a table may have got, is no step. */
static bool
receiver_receive(TupleTableSlot *slot, DestReceiver *self)
{
	Walk	   *walk = (Walk *) self;
	MemoryContext caller = MemoryContextSwitchTo(walk->row_context);
	TckptSurveyed step;

	slot_getallattrs(slot);
	if (!slot->tts_isnull[TCKPT_SURVEY_STEP])
	{
		read_surveyed(walk, slot, &step);
		walk->survey->look(&step, walk->survey->arg);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextReset(walk->row_context);
	return true;
}

static void
receiver_shutdown(DestReceiver *self)
{
}

static void
run(Walk *walk, SPIPlanPtr plan, ParamListInfo params)
{
	SPIExecuteOptions options = {
		.read_only = true,
		.dest = &walk->receiver,
		.params = params
	};

	if (SPI_execute_plan_extended(plan, &options) != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute_plan_extended failed");
	tckpt_require_table(walk->reader, plan, walk->steps->trigger.relid,
						walk->steps->table);
}

/* The steps that are not processed and have a checkpoint. */
static void
walk_table(Walk *walk, const char *sql)
{
	SPIPlanPtr	plan = tckpt_read_prepare(walk->reader, sql, 0, NULL,
										  CURSOR_OPT_PARALLEL_OK);

	run(walk, plan, NULL);
}

static void
look_up(Walk *walk, SPIPlanPtr plan, Datum *keys, int nkeys)
{
	ParamListInfo params = makeParamList(1);

	params->params[0].value = PointerGetDatum(construct_array(keys, nkeys, UUIDOID, UUID_LEN,
															  false, TYPALIGN_CHAR));
	params->params[0].isnull = false;
	params->params[0].pflags = PARAM_FLAG_CONST;
	params->params[0].ptype = UUIDARRAYOID;
	run(walk, plan, params);
}

/*
 * Those of the dispatched that were not met.  The plan is a generic one: it
 * goes by the key's index, and its planning does not look at the keys.
 */
static void
walk_dispatched(Walk *walk, const char *sql)
{
	Oid			types[] = {UUIDARRAYOID};
	Datum	   *keys = palloc(LOOKUP_BATCH * sizeof(Datum));
	SPIPlanPtr	plan = NULL;
	int			nkeys = 0;

	for (int i = 0; i < walk->ndispatched; i++)
	{
		if (!walk->dispatched[i].met)
			keys[nkeys++] = UUIDPGetDatum(&walk->dispatched[i].step);
		if (nkeys < LOOKUP_BATCH && (nkeys == 0 || i + 1 < walk->ndispatched))
			continue;
		if (plan == NULL)
			plan = tckpt_read_prepare(walk->reader, sql, 1, types,
									  CURSOR_OPT_GENERIC_PLAN);
		look_up(walk, plan, keys, nkeys);
		nkeys = 0;
	}
}

/* The one that is asked for; false if there is none. */
static bool
walk_step(Walk *walk, const char *sql)
{
	/* it is looked up also if it is not dispatched */
	if (walk->ndispatched == 0)
	{
		(void) add_dispatched(walk, walk->survey->step);
		walk->nsorted = 1;
	}
	walk_dispatched(walk, sql);
	return walk->dispatched[0].met;
}

/* Those that the table does not have. */
static void
look_at_the_rest(Walk *walk)
{
	MemoryContext caller = MemoryContextSwitchTo(walk->row_context);

	for (int i = 0; i < walk->ndispatched; i++)
	{
		TckptDispatched *dispatched = &walk->dispatched[i];
		TckptSurveyed step = {.step = dispatched->step};

		if (dispatched->met)
			continue;
		CHECK_FOR_INTERRUPTS();
		step.holder = dispatched->holder;
		if (dispatched->has_row)
			step.dispatched = dispatched;
		walk->survey->look(&step, walk->survey->arg);
		MemoryContextReset(walk->row_context);
	}
	MemoryContextSwitchTo(caller);
}

/* The columns without which there is nothing to tell. */
static void
needed_columns(const TckptTrigger *trigger, AttrNumber columns[3])
{
	columns[0] = trigger->key;
	columns[1] = trigger->checkpoint;
	columns[2] = tckpt_processed_attno(trigger->relid);
}

/* Whether the caller can read the steps table; row security does not count. */
bool
tckpt_survey_may_read(const TckptTrigger *trigger)
{
	AttrNumber	columns[3];

	needed_columns(trigger, columns);
	for (int i = 0; i < (int) lengthof(columns); i++)
		if (columns[i] != InvalidAttrNumber && !tckpt_may_read(trigger->relid, columns[i]))
			return false;
	return true;
}

/*
 * Raises 42501 as core does, before any SQL of ours is in the way, and before
 * the table is locked: who may not read it must not hold others up.  Of a table
 * that is gone the lock will tell.
 */
static void
require_rights(const TckptTrigger *trigger)
{
	Oid			namespace = get_rel_namespace(trigger->relid);
	char	   *schema = get_namespace_name(namespace);
	bool		granted = tckpt_survey_may_read(trigger);
	char	   *table = get_rel_name(trigger->relid);

	if (schema == NULL || table == NULL)
		return;
	if (tckpt_schema_aclcheck(namespace, GetUserId(), ACL_USAGE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_SCHEMA, schema);
	if (!granted)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, table);
}

/*
 * Looks at the steps that are not processed and have a checkpoint, and at all
 * that are dispatched, in no order; or at one.  "trigger" is that of the
 * attached table, as it was found.  Raises 42501, and P0002 if the one is not
 * there.
 */
void
tckpt_survey(const TckptTrigger *trigger, const TckptSurvey *survey)
{
	TckptReader reader = {0};
	Walk		walk = {
		.reader = &reader,
		.survey = survey
	};
	TckptSteps *steps;
	bool		row_security;
	AttrNumber	columns[3];
	TckptSurveySql sql;
	bool		missing = false;

	require_rights(trigger);
	walk.steps = steps = tckpt_attached_open(survey->function, AccessShareLock);
	row_security = tckpt_steps_has_row_security(steps);
	walk.says_done = steps->processed != InvalidAttrNumber;
	walk.receiver.receiveSlot = receiver_receive;
	walk.receiver.rStartup = receiver_startup;
	walk.receiver.rShutdown = receiver_shutdown;
	walk.receiver.rDestroy = receiver_shutdown;
	walk.receiver.mydest = DestTuplestore;	/* anything but DestNone */
	walk.row_context = AllocSetContextCreate(CurrentMemoryContext,
											 "tasker_checkpoint survey",
											 ALLOCSET_DEFAULT_SIZES);
	read_dispatched(&walk);
	sort_dispatched(&walk);
	/* those whose rows are held come in no order, and more than once */
	if (survey->health && (walk.holders = tckpt_holders_find()) != NULL)
	{
		tckpt_holders_of_events(walk.holders, survey->function, note_held, &walk);
		sort_dispatched(&walk);
	}

	needed_columns(&steps->trigger, columns);
	tckpt_read_as(steps->trigger.relid, columns, lengthof(columns), &reader);
	sql = tckpt_survey_sql(steps, survey, walk.holders != NULL);
	SPI_connect();
	if (survey->step != NULL)
		missing = !walk_step(&walk, sql.lookup);
	else
	{
		walk_table(&walk, sql.walk);
		walk_dispatched(&walk, sql.lookup);
	}
	SPI_finish();
	tckpt_read_done(&reader);

	if (missing)
		tckpt_steps_raise_missing(steps, survey->step);
	/* under row security one that is not seen may be there */
	if (survey->step == NULL && !row_security)
		look_at_the_rest(&walk);
	MemoryContextDelete(walk.row_context);
}
