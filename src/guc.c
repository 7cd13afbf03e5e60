/*-------------------------------------------------------------------------
 *
 * guc.c
 *	  Every setting: its bounds, its unit, its description.
 *
 * They are an operator's limits.  PGC_SUSET keeps a worker's session from
 * lifting them, also by way of a setting made before the library is loaded.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "datatype/timestamp.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/jsonb.h"

#include "guc.h"
#include "tasker_checkpoint.h"

/* No jsonb can be larger, and no array longer */
#define MAX_SIZE	JENTRY_OFFLENMASK
#define MAX_ENTRIES JB_CMASK

/* Each has a ring of a few hundred kB in shared memory */
#define MAX_NOTIFIERS	64

int			tckpt_history_limit = 10;
int			tckpt_history_size = 64 * 1024;
int			tckpt_cursor_limit = 64 * 1024;
int			tckpt_results_limit = 1024 * 1024;
int			tckpt_results_warning = 256 * 1024;
int			tckpt_enforce = TCKPT_ENFORCE_ERROR;
int			tckpt_require_monotonic_items = TCKPT_MONOTONIC_FUNCTIONS;
bool		tckpt_require_claim = false;
int			tckpt_max_deliveries = 20;
int			tckpt_max_lease = SECS_PER_HOUR;
bool		tckpt_notify = true;
char	   *tckpt_notify_channel = NULL;
bool		tckpt_archive_history = false;
int			tckpt_max_notifiers = 2;

static const struct config_enum_entry enforce_options[] = {
	{"warning", TCKPT_ENFORCE_WARNING, false},
	{"error", TCKPT_ENFORCE_ERROR, false},
	{NULL, 0, false}
};

static const struct config_enum_entry monotonic_options[] = {
	{"off", TCKPT_MONOTONIC_OFF, false},
	{"functions", TCKPT_MONOTONIC_FUNCTIONS, false},
	{"all", TCKPT_MONOTONIC_ALL, false},
	{NULL, 0, false}
};

/* NOTIFY takes a channel name of 1 to NAMEDATALEN - 1 bytes. */
static bool
check_notify_channel(char **newval, void **extra, GucSource source)
{
	size_t		len = strlen(*newval);

	if (len == 0 || len >= NAMEDATALEN)
	{
		GUC_check_errdetail("A channel name must have 1 to %d bytes.",
							NAMEDATALEN - 1);
		return false;
	}
	return true;
}

static void
define_size(const char *name, const char *description, int *variable,
			int no_limit)
{
	DefineCustomIntVariable(name, description,
							no_limit == 0 ?
							"As a jsonb value of its own, uncompressed; 0 turns it off." :
							"As a jsonb value of its own, uncompressed; -1 is no limit.",
							variable, *variable, no_limit, MAX_SIZE,
							PGC_SUSET, GUC_UNIT_BYTE, NULL, NULL, NULL);
}

void
tckpt_guc_init(void)
{
	DefineCustomIntVariable("tasker_checkpoint.history_limit",
							"Entries that a checkpoint's history keeps.",
							"The oldest are cut; 0 keeps none, -1 all.",
							&tckpt_history_limit, tckpt_history_limit,
							-1, MAX_ENTRIES,
							PGC_SUSET, 0, NULL, NULL, NULL);
	define_size("tasker_checkpoint.history_size",
				"Size up to which a checkpoint's history keeps entries; the oldest are cut.",
				&tckpt_history_size, -1);
	define_size("tasker_checkpoint.cursor_limit",
				"Size that a checkpoint's cursor can have.",
				&tckpt_cursor_limit, -1);
	define_size("tasker_checkpoint.results_limit",
				"Size that a checkpoint's accumulated results and keys of its own can have.",
				&tckpt_results_limit, -1);
	define_size("tasker_checkpoint.results_warning",
				"Size of accumulated results that is warned of when it is first passed.",
				&tckpt_results_warning, 0);
	DefineCustomEnumVariable("tasker_checkpoint.enforce",
							 "Whether a checkpoint over a limit, or with fewer items than before, is an error.",
							 "\"warning\" stores it and warns, for a first roll-out.",
							 &tckpt_enforce, tckpt_enforce, enforce_options,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("tasker_checkpoint.require_monotonic_items",
							 "Writers whose items_processed must not fall below the stored one.",
							 "\"functions\" is yield and save, \"all\" other statements too.",
							 &tckpt_require_monotonic_items,
							 tckpt_require_monotonic_items, monotonic_options,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("tasker_checkpoint.require_claim",
							 "Whether a new checkpoint must be written under a claim.",
							 "Clears, edits, inserts and an operator's functions need none.",
							 &tckpt_require_claim, tckpt_require_claim,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("tasker_checkpoint.max_deliveries",
							"Claims without a new checkpoint after which an event is parked.",
							"0 is no limit.",
							&tckpt_max_deliveries, tckpt_max_deliveries,
							0, PG_INT32_MAX,
							PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("tasker_checkpoint.max_lease",
							"Longest lease that a worker can ask for.",
							NULL,
							&tckpt_max_lease, tckpt_max_lease,
							1, TCKPT_MAX_LEASE,
							PGC_SUSET, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomBoolVariable("tasker_checkpoint.notify",
							 "Whether a yield wakes the listeners when it commits.",
							 NULL,
							 &tckpt_notify, tckpt_notify,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("tasker_checkpoint.notify_channel",
							   "Channel on which a yield wakes the listeners.",
							   NULL,
							   &tckpt_notify_channel, "tasker_checkpoint",
							   PGC_SUSET, 0, check_notify_channel, NULL, NULL);

	DefineCustomBoolVariable("tasker_checkpoint.archive_history",
							 "Whether history entries go to the archive before they are cut.",
							 "Also those of a checkpoint that is cleared.",
							 &tckpt_archive_history, tckpt_archive_history,
							 PGC_SUSET, 0, NULL, NULL, NULL);

	/* without preload it does nothing, but must not be warned of as unknown */
	DefineCustomIntVariable("tasker_checkpoint.max_notifiers",
							"Databases that can have a notifier at the same time.",
							"At 0, and without preload, transactions notify by themselves.",
							&tckpt_max_notifiers, tckpt_max_notifiers,
							0, MAX_NOTIFIERS,
							process_shared_preload_libraries_in_progress ?
							PGC_POSTMASTER : PGC_SIGHUP,
							0, NULL, NULL, NULL);

	MarkGUCPrefixReserved("tasker_checkpoint");
}
