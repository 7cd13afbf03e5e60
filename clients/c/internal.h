/*-------------------------------------------------------------------------
 *
 * internal.h
 *	  What the client's own files share.
 *
 * A worker has one connection, for waiting, claiming and the handler.  Its
 * second thread, the heart, makes one of its own when a run takes long.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCW_INTERNAL_H
#define TCW_INTERNAL_H

#include <pthread.h>
#include <signal.h>

#include "tasker_checkpoint_testing.h"

#define NAME_SIZE			192
#define INTERVAL_SIZE		40
#define NUMBER_SIZE			24
#define STATEMENT_SIZE		512

/* what the loop itself asks is answered within this, or never */
#define LINK_TIMEOUT		35.0

/* How far a step is. */
typedef struct TcwProgress
{
	int64_t		sequence;
	int64_t		items;
	bool		yielded;
	char		fence[TCW_UUID_SIZE];	/* event to end the run with */
} TcwProgress;

/* A claimed step and its handler; the context is what that sees of it. */
typedef struct TcwRun
{
	TcwContext	context;		/* first: a pointer to it is one to this */
	TcwClient	client;
	double		began;
	int64_t		items_before;

	/*
	 * "now" counts the last receipt, "stored" only what has committed; they
	 * differ while its transaction is open.
	 */
	TcwProgress now;
	TcwProgress stored;
	bool		open;
	int			commits;

	char	   *results;		/* to be saved by iterate() */
	bool		iterated;
	bool		saw_stop;
	bool		finished;

	/* of a test */
	int			checkpoints;
	bool		crashed;
} TcwRun;

/*
 * "lock" guards what the threads share of a claim, "heart_lock" the heart's
 * connection; the latter is never taken while the former is held.
 */
struct TcwWorker
{
	TcwWorkerOptions options;
	const char *name;
	char		own_name[NAME_SIZE];	/* if none was given */
	char	   *queues;			/* as an array's text; NULL: all */
	TcwClient	client;			/* its connection is NULL, or good */
	bool		cannot_wait;	/* in the server */
	bool		has_worked;		/* has been let claim, once */
	bool		slept;			/* the last wait in the server did not return
								 * at once */
	double		refused_since;
	double		backoff;
	char		abandoned[TCW_UUID_SIZE];	/* claim held as it was lost */
	unsigned short seed[3];
	int			stop_pipe[2];	/* a byte in it says stop */
	volatile sig_atomic_t stop;

	pthread_t	thread;
	bool		has_told;		/* that the worker stops; the thread's own */
	int			heart_pipe[2];	/* a byte in it says look again */
	pthread_mutex_t lock;
	char		beating[TCW_UUID_SIZE]; /* claim to extend, or empty */
	double		beat_at;
	bool		lost;			/* it was superseded */
	bool		told;			/* the last receipt said pause or cancel */
	bool		ending;			/* the thread is to end */

	pthread_mutex_t heart_lock;
	TcwClient	heart;

	const TcwTestOptions *test;
};

/* util.c */
extern double tcw_now(void);
extern int	tcw_milliseconds(double seconds);
extern bool tcw_open_pipe(int *fds);
extern void tcw_close_pipe(int *fds);
extern void tcw_write_interval(char *buffer, double seconds);
extern char *tcw_write_array(const char *const *elements);

/* error.c */
extern TcwStatus tcw_set_error(TcwError *error, TcwStatus status,
							   const char *sqlstate, const char *message);
extern TcwStatus tcw_check(TcwClient *client, const PGresult *res);
extern bool tcw_is_refusal(const TcwError *error);

/* query.c */
extern TcwStatus tcw_query(TcwClient *client, PGresult **result,
						   const char *sql, int nparams, const Oid *types,
						   const char *const *values);
extern TcwStatus tcw_query_soon(TcwClient *client, PGresult **result,
								const char *sql, int nparams,
								const char *const *values, int bell);
extern const char *tcw_call(const TcwClient *client, const char *command,
							const char *call, char *buffer);
extern void tcw_read_receipt(PGresult *res, TcwReceipt *receipt);

/* connect.c */
extern PGconn *tcw_connect(TcwWorker *worker, TcwError *error);
extern void tcw_disconnect(TcwWorker *worker, TcwClient *client);

/* log.c */
extern TcwEvent tcw_event(const TcwWorker *worker, TcwEventKind kind);
extern void tcw_tell(const TcwWorker *worker, const TcwEvent *event);
extern void tcw_tell_of_worker(TcwWorker *worker, TcwEventKind kind,
							   const TcwError *error);

/* transaction.c */
extern bool tcw_follow(TcwRun *run);
extern void tcw_unfollow(TcwRun *run);
extern void tcw_progressed(TcwRun *run, const TcwReceipt *receipt,
						   int64_t items, bool yielded);
extern void tcw_look_back(TcwRun *run);
extern void tcw_roll_back(TcwRun *run);

/* context.c */
extern TcwStatus tcw_store(TcwRun *run, const char *call, const Oid *types,
						   const char *cursor, int64_t items,
						   const char *results, const char *total,
						   TcwReceipt *receipt);

extern bool tcw_must_stop(TcwRun *run);

/* run.c */
extern TcwEvent tcw_run_event(const TcwRun *run, TcwEventKind kind);
extern TcwEventKind tcw_run(TcwWorker *worker, TcwRun *run,
							PGresult *delivery, TcwHandler handler);

/* wait.c */
extern void tcw_await(TcwWorker *worker, double seconds);
extern void tcw_listen(TcwWorker *worker);

/* heart.c */
extern bool tcw_heart_start(TcwWorker *worker);
extern void tcw_heart_end(TcwWorker *worker);
extern void tcw_heart_set(TcwWorker *worker, const char *event_id);

#endif							/* TCW_INTERNAL_H */
