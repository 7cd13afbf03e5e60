/*-------------------------------------------------------------------------
 *
 * counters.c
 *	  What was done and refused in this database, counted since the server's
 *	  start or the last reset.
 *
 * The counters are in shared memory, so there are none without preload.  Each
 * database has its own; it takes the first set that is free, and keeps it
 * until the server ends.  They are read and written without a lock.
 *
 * What was done counts when its transaction commits, or is prepared, and not
 * if that, or a savepoint before it, is rolled back.  So it waits in frames, one
 * for each open subtransaction that has counted anything.  What was refused
 * counts at once, since the error rolls it back.
 *
 * Memory is allocated when something is counted, never at commit.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "counters.h"
#include "tasker_checkpoint.h"

/* Databases that can have counters */
#define MAX_DATABASES	256

typedef struct Counters
{
	pg_atomic_uint32 database;	/* InvalidOid: free */
	pg_atomic_uint64 since;		/* a TimestampTz */
	pg_atomic_uint64 values[TCKPT_NCOUNTERS];
} Counters;

/* What a subtransaction has counted */
typedef struct Frame
{
	SubTransactionId subid;
	uint64		values[TCKPT_NCOUNTERS];
} Frame;

static Counters *shared = NULL;

/* In TopMemoryContext, for good; outermost first, so of growing subid */
static Frame *frames = NULL;
static int	nframes = 0;
static int	maxframes = 0;

static shmem_request_hook_type previous_shmem_request = NULL;
static shmem_startup_hook_type previous_shmem_startup = NULL;

static void
shmem_request(void)
{
	if (previous_shmem_request)
		previous_shmem_request();
	RequestAddinShmemSpace(MAX_DATABASES * sizeof(Counters));
}

static void
shmem_startup(void)
{
	bool		found;

	if (previous_shmem_startup)
		previous_shmem_startup();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("tasker_checkpoint statistics",
							 MAX_DATABASES * sizeof(Counters), &found);
	for (int i = 0; !found && i < MAX_DATABASES; i++)
	{
		pg_atomic_init_u32(&shared[i].database, InvalidOid);
		pg_atomic_init_u64(&shared[i].since, (uint64) GetCurrentTimestamp());
		for (int j = 0; j < TCKPT_NCOUNTERS; j++)
			pg_atomic_init_u64(&shared[i].values[j], 0);
	}
	LWLockRelease(AddinShmemInitLock);
}

/* This database's counters; NULL if it has none. */
static Counters *
own_counters(void)
{
	static Counters *own = NULL;

	/* a background worker may end before it has a database */
	if (shared == NULL || !OidIsValid(MyDatabaseId))
		return NULL;

	for (int i = 0; own == NULL && i < MAX_DATABASES; i++)
	{
		uint32		database = InvalidOid;

		/* else "database" is set to whose they are */
		if (pg_atomic_compare_exchange_u32(&shared[i].database, &database,
										   MyDatabaseId) ||
			database == MyDatabaseId)
			own = &shared[i];
	}
	return own;
}

/* Counts what is so whatever becomes of the transaction.  Cannot fail. */
void
tckpt_stats_count_now(TckptCounter counter, uint64 n)
{
	Counters   *own = own_counters();

	if (own != NULL && n > 0)
		pg_atomic_fetch_add_u64(&own->values[counter], n);
}

/* Counts what is so if the current subtransaction and all around it commit. */
void
tckpt_stats_count(TckptCounter counter, uint64 n)
{
	SubTransactionId subid = GetCurrentSubTransactionId();

	if (shared == NULL || n == 0)
		return;

	if (nframes == 0 || frames[nframes - 1].subid != subid)
	{
		if (nframes == maxframes)
		{
			int			size = Max(maxframes * 2, 4);

			if (frames == NULL)
				frames = MemoryContextAlloc(TopMemoryContext,
											size * sizeof(Frame));
			else
				frames = repalloc_huge(frames, size * sizeof(Frame));
			maxframes = size;
		}
		memset(&frames[nframes], 0, sizeof(Frame));
		frames[nframes++].subid = subid;
	}
	frames[nframes - 1].values[counter] += n;
}

/*
 * HOT updates of a table that this backend has made and not yet reported; 0
 * where nothing is counted.  For a difference within one command.
 */
int64
tckpt_stats_hot_updates(Oid relid)
{
	PgStat_TableStatus *entry = shared == NULL ? NULL : find_tabstat_entry(relid);

	return entry == NULL ? 0 : (int64) tckpt_tabstat_hot_updates(entry);
}

/* Counts an error that is about to be raised. */
void
tckpt_stats_count_refusal(int sqlstate)
{
	switch (sqlstate)
	{
		case ERRCODE_TCKPT_CLAIM_SUPERSEDED:
			tckpt_stats_count_now(TCKPT_FENCED, 1);
			break;
		case ERRCODE_TCKPT_ITEMS_WENT_BACKWARDS:
			tckpt_stats_count_now(TCKPT_REFUSED_TC001, 1);
			break;
		case ERRCODE_TCKPT_STORED_BEFORE:
			tckpt_stats_count_now(TCKPT_REFUSED_TC003, 1);
			break;
		case ERRCODE_PROGRAM_LIMIT_EXCEEDED:
			tckpt_stats_count_now(TCKPT_REFUSED_54000, 1);
			break;
		case ERRCODE_CHECK_VIOLATION:
			tckpt_stats_count_now(TCKPT_REFUSED_23514, 1);
			break;
		case ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE:
			tckpt_stats_count_now(TCKPT_REFUSED_55000, 1);
			break;
		default:
			break;
	}
}

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
			/* those of subtransactions were added to their parents' */
			for (int i = 0; nframes > 0 && i < TCKPT_NCOUNTERS; i++)
				tckpt_stats_count_now(i, frames[0].values[i]);
			nframes = 0;
			break;
		case XACT_EVENT_ABORT:
			nframes = 0;
			break;
		default:
			break;
	}
}

/*
 * The innermost frame, if it is the subtransaction's, goes to its parent or is
 * dropped.  Those inside it have ended before.
 */
static void
subxact_callback(SubXactEvent event, SubTransactionId mySubid,
				 SubTransactionId parentSubid, void *arg)
{
	Frame	   *frame;

	if (nframes == 0 || frames[nframes - 1].subid != mySubid)
		return;

	frame = &frames[nframes - 1];
	if (event == SUBXACT_EVENT_ABORT_SUB)
		nframes--;
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		frame->subid = parentSubid;
		if (nframes > 1 && frame[-1].subid == parentSubid)
		{
			for (int i = 0; i < TCKPT_NCOUNTERS; i++)
				frame[-1].values[i] += frame->values[i];
			nframes--;
		}
	}
}

void
tckpt_stats_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;

	previous_shmem_request = shmem_request_hook;
	shmem_request_hook = shmem_request;
	previous_shmem_startup = shmem_startup_hook;
	shmem_startup_hook = shmem_startup;
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}

/* This database's counters; says so if it has none. */
static Counters *
find_counters(void)
{
	Counters   *own = own_counters();

	if (shared == NULL)
		ereport(NOTICE,
				(errmsg("statistics are not kept"),
				 errhint("Add tasker_checkpoint to shared_preload_libraries and restart the server.")));
	else if (own == NULL)
		ereport(NOTICE,
				(errmsg("statistics are not kept"),
				 errdetail("%d other databases have used the extension since the server's start.",
						   MAX_DATABASES)));
	return own;
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_stats);
/* This database's counters, NULLs without any. */
Datum
tasker_checkpoint_stats(PG_FUNCTION_ARGS)
{
	Counters   *own = find_counters();
	TupleDesc	tupdesc;
	Datum		values[TCKPT_NCOUNTERS + 1] = {0};
	bool		nulls[TCKPT_NCOUNTERS + 1];

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	memset(nulls, own == NULL, sizeof(nulls));
	if (own != NULL)
	{
		for (int i = 0; i < TCKPT_NCOUNTERS; i++)
			values[i] = Int64GetDatum((int64) pg_atomic_read_u64(&own->values[i]));
		values[TCKPT_NCOUNTERS] = TimestampTzGetDatum((TimestampTz) pg_atomic_read_u64(&own->since));
	}
	return HeapTupleGetDatum(heap_form_tuple(tupdesc, values, nulls));
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_stats_reset);
/* Sets this database's counters to 0. */
Datum
tasker_checkpoint_stats_reset(PG_FUNCTION_ARGS)
{
	Counters   *own = find_counters();

	if (own != NULL)
	{
		for (int i = 0; i < TCKPT_NCOUNTERS; i++)
			pg_atomic_write_u64(&own->values[i], 0);
		pg_atomic_write_u64(&own->since, (uint64) GetCurrentTimestamp());
	}
	PG_RETURN_VOID();
}
