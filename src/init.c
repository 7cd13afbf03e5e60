/*-------------------------------------------------------------------------
 *
 * init.c
 *	  The module's entry: lets each part set itself up.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "api/wait.h"
#include "counters.h"
#include "dispatch/transaction.h"
#include "guc.h"
#include "table/attached.h"
#include "tasker_checkpoint.h"
#include "wakeup/pending.h"
#include "wakeup/ring.h"
#include "wakeup/waiting.h"

TCKPT_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	tckpt_guc_init();
	tckpt_attached_init();
	tckpt_ring_init();
	tckpt_stats_init();
	tckpt_transaction_init();
	tckpt_wakeup_init();
	tckpt_waiting_init();
	tckpt_wait_init();
}
