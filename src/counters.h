/*-------------------------------------------------------------------------
 *
 * counters.h
 *	  What was done and refused in this database, counted since the server's
 *	  start or the last reset.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_COUNTERS_H
#define TCKPT_COUNTERS_H

/* In the order of tasker_checkpoint_stats() */
typedef enum TckptCounter
{
	TCKPT_YIELDS,
	TCKPT_SAVES,
	TCKPT_HOT_CHECKPOINTS,
	TCKPT_REPLAYS,
	TCKPT_FENCED,
	TCKPT_REFUSED_TC001,
	TCKPT_REFUSED_TC003,
	TCKPT_REFUSED_54000,
	TCKPT_REFUSED_23514,
	TCKPT_REFUSED_55000,
	TCKPT_STALE_WRITES,
	TCKPT_TRUNCATED_ENTRIES,
	TCKPT_CLAIMS,
	TCKPT_EXPIRED_CLAIMS,
	TCKPT_PARKED,
	TCKPT_NOTIFICATIONS_SENT,
	TCKPT_NOTIFICATIONS_BATCHED,
	TCKPT_NOTIFICATIONS_LOST
} TckptCounter;

#define TCKPT_NCOUNTERS (TCKPT_NOTIFICATIONS_LOST + 1)

extern void tckpt_stats_init(void);
extern void tckpt_stats_count(TckptCounter counter, uint64 n);
extern void tckpt_stats_count_now(TckptCounter counter, uint64 n);
extern int64 tckpt_stats_hot_updates(Oid relid);
extern void tckpt_stats_count_refusal(int sqlstate);

#endif							/* TCKPT_COUNTERS_H */
