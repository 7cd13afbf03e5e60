/*-------------------------------------------------------------------------
 *
 * segment.c
 *	  Shared memory that is there with and without preload.
 *
 * With preload it is allocated at the server's start.  Without, it is a named
 * segment, which the first one to ask for it makes; servers before 17 have no such.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "tasker_checkpoint.h"
#include "wakeup/segment.h"

/* Of one version of the library, which knows what is in it */
#define SEGMENT_NAME	"tasker_checkpoint " TCKPT_VERSION

#define TRANCHE_NAME	"tasker_checkpoint waiting"

/* One that could not be had is asked for again after so long, in milliseconds */
#define ATTACH_RETRY	10000

/* At its beginning; the lock is its user's */
static TckptSegment *segment = NULL;

static Size (*segment_size) (void);

static shmem_request_hook_type previous_shmem_request = NULL;
static shmem_startup_hook_type previous_shmem_startup = NULL;

static void
init_segment(void *area)
{
	TckptSegment *new = area;

	memset(new, 0, segment_size());
	new->tranche = tckpt_new_tranche(TRANCHE_NAME);
	LWLockInitialize(&new->lock, new->tranche);
}

static void
shmem_request(void)
{
	if (previous_shmem_request)
		previous_shmem_request();
	RequestAddinShmemSpace(segment_size());
}

static void
shmem_startup(void)
{
	bool		found;

	if (previous_shmem_startup)
		previous_shmem_startup();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	segment = ShmemInitStruct(TRANCHE_NAME, segment_size(), &found);
	if (!found)
		init_segment(segment);
	LWLockRelease(AddinShmemInitLock);
	tckpt_name_tranche(segment->tranche, TRANCHE_NAME);
}

/* "size" says how large it is; but for what this file needs it is zero at first. */
void
tckpt_segment_init(Size (*size) (void))
{
	segment_size = size;
	if (!process_shared_preload_libraries_in_progress)
		return;

	previous_shmem_request = shmem_request_hook;
	shmem_request_hook = shmem_request;
	previous_shmem_startup = shmem_startup_hook;
	shmem_startup_hook = shmem_startup;
}

/* In a subtransaction: an error is the log's only. */
static void
attach_named_segment(void)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		TckptSegment *named;

		HOLD_INTERRUPTS();
		named = tckpt_named_segment(SEGMENT_NAME, segment_size(), init_segment);
		tckpt_name_tranche(named->tranche, TRANCHE_NAME);
		RESUME_INTERRUPTS();
		ReleaseCurrentSubTransaction();
		segment = named;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		ereport(LOG,
				(errcode(error->sqlerrcode),
				 errmsg("could not attach shared memory of tasker_checkpoint: %s",
						error->message),
				 errdetail("Sessions that wait for work are not woken by what this one commits.")));
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
}

/*
 * The shared memory, in a transaction the first time; NULL if there is none.  It
 * stays until the session ends.
 */
TckptSegment *
tckpt_segment_attach(void)
{
	static TimestampTz tried_at = 0;
	TimestampTz now;

	if (segment != NULL || !TCKPT_HAS_NAMED_SEGMENTS)
		return segment;

	now = GetCurrentTimestamp();
	if (tried_at == 0 || TimestampDifferenceExceeds(tried_at, now, ATTACH_RETRY))
	{
		tried_at = now;
		attach_named_segment();
	}
	return segment;
}
