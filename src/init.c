/*-------------------------------------------------------------------------
 *
 * init.c
 *	  The module's entry: lets each part set itself up.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "attached.h"
#include "guc.h"
#include "notifier.h"
#include "stats.h"
#include "tasker_checkpoint.h"
#include "transaction.h"
#include "wakeup.h"

TCKPT_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	tckpt_guc_init();
	tckpt_attached_init();
	tckpt_notifier_init();
	tckpt_stats_init();
	tckpt_transaction_init();
	tckpt_wakeup_init();
}
