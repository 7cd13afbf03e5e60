/*-------------------------------------------------------------------------
 *
 * guc.h
 *	  The settings, as the server keeps them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_GUC_H
#define TCKPT_GUC_H

#include "datatype/timestamp.h"

/* tasker_checkpoint.enforce */
typedef enum TckptEnforce
{
	TCKPT_ENFORCE_WARNING,
	TCKPT_ENFORCE_ERROR
} TckptEnforce;

/* tasker_checkpoint.require_monotonic_items */
typedef enum TckptMonotonic
{
	TCKPT_MONOTONIC_OFF,
	TCKPT_MONOTONIC_FUNCTIONS,
	TCKPT_MONOTONIC_ALL
} TckptMonotonic;

/* What max_lease can be at most, in seconds */
#define TCKPT_MAX_LEASE	(7 * SECS_PER_DAY)

/* Sizes in bytes; -1 is no limit, unless said otherwise */
extern int	tckpt_history_limit;	/* entries */
extern int	tckpt_history_size;
extern int	tckpt_cursor_limit;
extern int	tckpt_results_limit;
extern int	tckpt_results_warning;	/* 0 never */
extern int	tckpt_enforce;
extern int	tckpt_require_monotonic_items;
extern bool tckpt_require_claim;
extern int	tckpt_max_deliveries;	/* 0 no limit */
extern int	tckpt_max_lease;	/* seconds */
extern bool tckpt_notify;
extern char *tckpt_notify_channel;
extern bool tckpt_archive_history;
extern int	tckpt_max_notifiers;	/* 0: none */

extern void tckpt_guc_init(void);

#endif							/* TCKPT_GUC_H */
