/*-------------------------------------------------------------------------
 *
 * internal.h
 *	  What the client's own files share.
 *
 * Two connections: the caller's thread claims, listens and runs the handler on
 * one, a thread, the heart, extends the lease on the other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCW_INTERNAL_H
#define TCW_INTERNAL_H

#include <pthread.h>
#include <signal.h>

#include "tasker_checkpoint_client.h"

#define UUID_LENGTH			36
#define STATEMENT_LENGTH	512

/*
 * "lock" guards what the threads share of a claim, "heart_lock" the heart's
 * connection; the latter is never taken while the former is held.
 */
struct TcwWorker
{
	TcwWorkerOptions options;
	PGconn	   *connection;
	char	   *schema;			/* quoted, NULL before the first connection */
	char		abandoned[UUID_LENGTH + 1]; /* claim held as it was lost */
	int64_t		committed;		/* the step's last sequence known to be */
	int			stop_pipe[2];	/* a byte in it says stop */
	volatile sig_atomic_t stop;

	pthread_t	thread;
	int			heart_pipe[2];	/* a byte in it says look again */

	pthread_mutex_t lock;
	char		beating[UUID_LENGTH + 1];	/* claim to extend, or empty */
	double		beat_at;
	bool		lost;			/* it was superseded */
	bool		told;			/* the last receipt said pause or cancel */
	bool		finished;		/* the thread is to end */

	pthread_mutex_t heart_lock;
	PGconn	   *heart;
};

extern double tcw_now(void);
extern int	tcw_milliseconds(double seconds);
extern void tcw_log(const TcwWorker *worker, const char *format,...)
			__attribute__((format(printf, 2, 3)));

extern PGconn *tcw_connect(const TcwWorker *worker);
extern const char *tcw_call(const TcwWorker *worker, const char *call,
							char *buffer);
extern TcwStatus tcw_exec_fenced(TcwContext *context, const char *call,
								 int nparams, const char *const *values);

extern void *tcw_heart_main(void *arg);
extern void tcw_heart_set(TcwWorker *worker, const char *event_id,
						  bool finished);

#endif							/* TCW_INTERNAL_H */
