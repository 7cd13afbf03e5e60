/*-------------------------------------------------------------------------
 *
 * tasker_checkpoint_client.h
 *	  A worker for batch steps whose checkpoints tasker_checkpoint keeps.
 *
 * A worker claims one step at a time and calls the handler with where to
 * resume.  While the handler is busy, a thread of the worker's extends the
 * claim's lease on a connection of its own; the handler may compute for as
 * long as it likes.  Everything else happens in the caller's thread.
 *
 * Cursors and results are JSON as text, passed through as they are.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKER_CHECKPOINT_CLIENT_H
#define TASKER_CHECKPOINT_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

typedef struct TcwWorker TcwWorker;

/* What a call came to, and what a handler came to. */
typedef enum TcwStatus
{
	TCW_OK,
	TCW_TRANSIENT_ERROR,		/* the handler's: try again; no failure if it
								 * was told to stop */
	TCW_PERMANENT_ERROR,		/* the handler's: never again */
	TCW_SUPERSEDED,				/* TC002: the step goes on elsewhere, stop */
	TCW_STORED_BEFORE,			/* TC003: with an earlier try's rows; for the
								 * worker to find out what that means */
	TCW_ITEMS_WENT_BACKWARDS,	/* TC001 */
	TCW_LIMIT_EXCEEDED,			/* 54000 */
	TCW_STEP_NOT_FOUND,			/* P0002 */
	TCW_NOT_IN_STATE,			/* 55000: processed already, no table attached */
	TCW_SQL_ERROR,				/* any other SQLSTATE */
	TCW_CONNECTION_LOST
} TcwStatus;

typedef enum TcwDirective
{
	TCW_CONTINUE,
	TCW_PAUSE,
	TCW_CANCEL
} TcwDirective;

/* What the server says to a checkpoint. */
typedef struct TcwReceipt
{
	int64_t		sequence;
	char		event_id[37];
	TcwDirective directive;
	bool		replayed;		/* done before; what the transaction did after
								 * it was not */
} TcwReceipt;

/* A claimed step; all pointers are valid until the last callback returns. */
typedef struct TcwContext
{
	const char *step_uuid;
	const char *event_id;
	bool		has_checkpoint;
	const char *checkpoint_cursor;	/* NULL without a checkpoint */
	int64_t		checkpoint_items_processed;
	const char *accumulated_results;	/* NULL if there are none */
	int64_t		sequence;		/* of the checkpoint, or the last receipt */
	int			deliveries;
	bool		yielded;

	PGconn	   *connection;		/* for the handler's own work */
	TcwWorker  *worker;
	void	   *data;			/* the worker's options.data */
	void	   *result;			/* for on_success; freed by the worker */
	double		retry_delay;	/* after TCW_TRANSIENT_ERROR, in seconds; 0 */

	char		sqlstate[6];	/* of the last error, or empty */
	char		error[512];
} TcwContext;

/*
 * A handler, or a callback.  It returns TCW_OK, or what it got from a call
 * that failed, or its own error, best by tcw_fail().
 */
typedef TcwStatus (*TcwHandler) (TcwContext *context);

/* Times are in seconds.  What is left zero has the default. */
typedef struct TcwWorkerOptions
{
	const char *conninfo;		/* as PQconnectdb() takes it */
	const char *name;			/* the worker's, 1 to 200 bytes; required */
	const char *schema;			/* of the extension; else by search_path */
	const char *channel;		/* to LISTEN on; "tasker_checkpoint" */
	bool		poll_only;		/* no LISTEN: behind a transaction pooler */
	double		lease;			/* 60 */
	double		poll_interval;	/* half the lease, at most 5 */
	double		retry_delay;	/* after other errors than the handler's; 1 */
	double		exit_when_idle; /* run() returns after so long without a step */
	void	   *data;

	/*
	 * Each runs in a transaction: on_start in one that commits only if the
	 * claim still holds, the others in the one that gives the step back.
	 */
	TcwHandler	on_start;
	TcwHandler	on_success;
	TcwHandler	on_transient_failure;
	TcwHandler	on_permanent_failure;

	/*
	 * One line without a newline: what went wrong and was dealt with.  Called
	 * in either thread; NULL is stderr.
	 */
	void		(*log) (void *data, const char *message);
} TcwWorkerOptions;

extern TcwWorker *tcw_worker_new(const TcwWorkerOptions *options);
extern void tcw_worker_free(TcwWorker *worker);
extern int	tcw_worker_run(TcwWorker *worker, TcwHandler handler);
extern void tcw_worker_stop(TcwWorker *worker);

extern TcwStatus tcw_checkpoint_yield(TcwContext *context,
									  const char *cursor,
									  int64_t items_processed,
									  const char *accumulated_results,
									  TcwReceipt *receipt);
extern TcwStatus tcw_checkpoint_save(TcwContext *context,
									 const char *cursor,
									 int64_t items_processed,
									 const char *accumulated_results,
									 TcwReceipt *receipt);
extern bool tcw_heartbeat(TcwContext *context);
extern bool tcw_stop_requested(const TcwContext *context);

extern TcwStatus tcw_exec(TcwContext *context, PGresult **result,
						  const char *sql, int nparams,
						  const char *const *values);
extern TcwStatus tcw_fail(TcwContext *context, TcwStatus status,
						  const char *format,...)
#ifdef __GNUC__
			__attribute__((format(printf, 3, 4)))
#endif
		   ;

#endif							/* TASKER_CHECKPOINT_CLIENT_H */
