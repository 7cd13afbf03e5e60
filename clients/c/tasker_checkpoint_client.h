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

typedef struct TckptWorker TckptWorker;

/* What a call came to, and what a handler came to. */
typedef enum TckptStatus
{
	TCKPT_OK,
	TCKPT_TRANSIENT_ERROR,		/* the handler's: try again; no failure if it
								 * was told to stop */
	TCKPT_PERMANENT_ERROR,		/* the handler's: never again */
	TCKPT_SUPERSEDED,			/* TC002: the step goes on elsewhere, stop */
	TCKPT_STORED_BEFORE,		/* TC003: with an earlier try's rows; for the
								 * worker to find out what that means */
	TCKPT_ITEMS_WENT_BACKWARDS, /* TC001 */
	TCKPT_LIMIT_EXCEEDED,		/* 54000 */
	TCKPT_STEP_NOT_FOUND,		/* P0002 */
	TCKPT_NOT_IN_STATE,			/* 55000: processed already, no table attached */
	TCKPT_SQL_ERROR,			/* any other SQLSTATE */
	TCKPT_CONNECTION_LOST
} TckptStatus;

typedef enum TckptDirective
{
	TCKPT_CONTINUE,
	TCKPT_PAUSE,
	TCKPT_CANCEL
} TckptDirective;

/* What the server says to a checkpoint. */
typedef struct TckptReceipt
{
	int64_t		sequence;
	char		event_id[37];
	TckptDirective directive;
	bool		replayed;		/* done before; what the transaction did after
								 * it was not */
} TckptReceipt;

/* A claimed step; all pointers are valid until the last callback returns. */
typedef struct TckptContext
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
	TckptWorker *worker;
	void	   *data;			/* the worker's options.data */
	void	   *result;			/* for on_success; freed by the worker */
	double		retry_delay;	/* after TCKPT_TRANSIENT_ERROR, in seconds; 0 */

	char		sqlstate[6];	/* of the last error, or empty */
	char		error[512];
} TckptContext;

/*
 * A handler, or a callback.  It returns TCKPT_OK, or what it got from a call
 * that failed, or its own error, best by tckpt_fail().
 */
typedef TckptStatus (*TckptHandler) (TckptContext *context);

/* Times are in seconds.  What is left zero has the default. */
typedef struct TckptWorkerOptions
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
	TckptHandler on_start;
	TckptHandler on_success;
	TckptHandler on_transient_failure;
	TckptHandler on_permanent_failure;

	/*
	 * One line without a newline: what went wrong and was dealt with.  Called
	 * in either thread; NULL is stderr.
	 */
	void		(*log) (void *data, const char *message);
} TckptWorkerOptions;

extern TckptWorker *tckpt_worker_new(const TckptWorkerOptions *options);
extern void tckpt_worker_free(TckptWorker *worker);
extern int	tckpt_worker_run(TckptWorker *worker, TckptHandler handler);
extern void tckpt_worker_stop(TckptWorker *worker);

extern TckptStatus tckpt_checkpoint_yield(TckptContext *context,
										  const char *cursor,
										  int64_t items_processed,
										  const char *accumulated_results,
										  TckptReceipt *receipt);
extern TckptStatus tckpt_checkpoint_save(TckptContext *context,
										 const char *cursor,
										 int64_t items_processed,
										 const char *accumulated_results,
										 TckptReceipt *receipt);
extern bool tckpt_heartbeat(TckptContext *context);
extern bool tckpt_stop_requested(const TckptContext *context);

extern TckptStatus tckpt_exec(TckptContext *context, PGresult **result,
							  const char *sql, int nparams,
							  const char *const *values);
extern TckptStatus tckpt_fail(TckptContext *context, TckptStatus status,
							  const char *format,...)
#ifdef __GNUC__
			__attribute__((format(printf, 3, 4)))
#endif
;

#endif							/* TASKER_CHECKPOINT_CLIENT_H */
