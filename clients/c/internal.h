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
#ifndef TCKPT_INTERNAL_H
#define TCKPT_INTERNAL_H

#include <pthread.h>
#include <signal.h>

#include "tasker_checkpoint_client.h"

#define UUID_LENGTH			36
#define STATEMENT_LENGTH	512

/*
 * "lock" guards what the threads share of a claim, "heart_lock" the heart's
 * connection; the latter is never taken while the former is held.
 */
struct TckptWorker
{
	TckptWorkerOptions options;
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

extern double tckpt_now(void);
extern int	tckpt_milliseconds(double seconds);
extern void tckpt_log(const TckptWorker *worker, const char *format,...)
			__attribute__((format(printf, 2, 3)));

extern PGconn *tckpt_connect(const TckptWorker *worker);
extern const char *tckpt_call(const TckptWorker *worker, const char *call,
							  char *buffer);
extern TckptStatus tckpt_exec_fenced(TckptContext *context, const char *call,
									 int nparams, const char *const *values);

extern void *tckpt_heart_main(void *arg);
extern void tckpt_heart_set(TckptWorker *worker, const char *event_id,
							bool finished);

#endif							/* TCKPT_INTERNAL_H */
