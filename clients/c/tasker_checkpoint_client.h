/*-------------------------------------------------------------------------
 *
 * tasker_checkpoint_client.h
 *	  A worker for batch steps whose checkpoints tasker_checkpoint keeps.
 *
 * A worker claims one step at a time and calls a handler with where to resume.
 * Everything happens in the thread that called tcw_worker_run(), but that the
 * lease of a long run is extended by another, on a connection of its own.
 * Workers in several threads know nothing of each other.
 *
 * Cursors and results are JSON as text, passed through as they are.  Times are
 * in seconds.  What is left zero in a struct has its default; a later version
 * that adds to a struct has another soname.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKER_CHECKPOINT_CLIENT_H
#define TASKER_CHECKPOINT_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#ifdef __cplusplus
extern "C"
{
#endif

#if defined(__GNUC__)
#define TCW_PRINTF(m, n) __attribute__((format(printf, m, n)))
#else
#define TCW_PRINTF(m, n)
#endif

#define TCW_UUID_SIZE	37

typedef struct TcwWorker TcwWorker;
typedef struct TcwContext TcwContext;

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
	TCW_LIMIT_EXCEEDED,			/* 54000; permanent */
	TCW_STEP_NOT_FOUND,			/* P0002 */
	TCW_WRONG_STATE,			/* 55000: processed already, no table attached */
	TCW_ALREADY_YIELDED,		/* save or yield behind a yield; not asked */
	TCW_SQL_ERROR,				/* any other SQLSTATE */
	TCW_CONNECTION_LOST,
	TCW_SYSTEM_ERROR			/* no memory, no thread */
} TcwStatus;

typedef enum TcwDirective
{
	TCW_CONTINUE,
	TCW_PAUSE,
	TCW_CANCEL
} TcwDirective;

/* The last error of a client or a run. */
typedef struct TcwError
{
	TcwStatus	status;
	char		sqlstate[6];	/* empty if it was not the server's */
	char		message[512];
	char		detail[512];
	char		hint[512];
} TcwError;

/* What the server says to a checkpoint. */
typedef struct TcwReceipt
{
	int64_t		sequence;
	char		event_id[TCW_UUID_SIZE];
	TcwDirective directive;
	bool		replayed;		/* done before; what the transaction did after
								 * it was not */
} TcwReceipt;

/*
 * The extension's functions on an open connection, in its transaction.  To be
 * filled in by whoever calls them; it owns nothing.
 */
typedef struct TcwClient
{
	PGconn	   *connection;
	const char *schema;			/* of the extension; NULL: by search_path */
	TcwError	error;
} TcwClient;

/* A claimed step; all pointers are valid until the last callback returns. */
struct TcwContext
{
	const char *step_uuid;
	const char *event_id;
	const char *queue;
	bool		has_checkpoint;
	const char *checkpoint_cursor;	/* NULL without a checkpoint */
	int64_t		checkpoint_items_processed;
	const char *accumulated_results;	/* NULL if there are none */
	int64_t		sequence;		/* of the checkpoint, or the last receipt */
	int			deliveries;
	bool		yielded;

	PGconn	   *connection;		/* for the handler's own work */
	TcwClient  *client;			/* the same, and the run's last error */
	TcwWorker  *worker;
	void	   *data;			/* the worker's options.data */
	void	   *result;			/* for on_success; the worker calls free() */
	double		retry_delay;	/* after TCW_TRANSIENT_ERROR; below 0, as it
								 * is at first: as the worker has it */
};

/*
 * A handler, or a callback.  It returns TCW_OK, or what it got from a call
 * that failed, or its own error, best by tcw_fail().
 */
typedef TcwStatus (*TcwHandler) (TcwContext *context);

/* A queue to claim from. */
typedef struct TcwQueue
{
	const char *name;
	TcwHandler	handler;		/* NULL: the one given to tcw_worker_run() */
} TcwQueue;

typedef enum TcwWait
{
	TCW_WAIT_SERVER,			/* in the server, until there is a step */
	TCW_WAIT_LISTEN,			/* for notifications, and poll */
	TCW_WAIT_POLL
} TcwWait;

typedef enum TcwLevel
{
	TCW_DEBUG,
	TCW_INFO,
	TCW_WARNING,
	TCW_ERROR
} TcwLevel;

typedef enum TcwEventKind
{
	TCW_EVENT_CLAIMED,
	TCW_EVENT_RESUMED,
	TCW_EVENT_SAVED,
	/* how a run ends */
	TCW_EVENT_YIELDED,
	TCW_EVENT_COMPLETED,
	TCW_EVENT_INTERRUPTED,
	TCW_EVENT_RELEASED,
	TCW_EVENT_FAILED,
	TCW_EVENT_SUPERSEDED,
	TCW_EVENT_ABANDONED,
	/* the worker itself */
	TCW_EVENT_CONNECTED,
	TCW_EVENT_COULD_NOT_CONNECT,
	TCW_EVENT_CONNECTION_LOST,
	TCW_EVENT_POLLING,
	TCW_EVENT_STOPPING
} TcwEventKind;

/* What does not apply is NULL, or below 0. */
typedef struct TcwEvent
{
	TcwEventKind kind;
	TcwLevel	level;
	const char *name;			/* as in the log */
	const char *step;
	const char *queue;
	const char *worker;
	int			deliveries;
	int64_t		sequence;
	int64_t		items;
	double		seconds;		/* since the claim */
	double		delay;
	const char *directive;
	const TcwError *error;
} TcwEvent;

typedef struct TcwWorkerOptions
{
	const char *conninfo;		/* as PQconnectdb() takes it; may be empty */
	const char *name;			/* 1 to 200 bytes; HOST:PID */
	const char *schema;			/* of the extension; else by search_path */
	const TcwQueue *queues;		/* to the first without a name; NULL: all */
	TcwWait		wait;
	const char *channel;		/* to LISTEN on; "tasker_checkpoint" */
	double		poll;			/* half the lease, at most 5 */
	double		lease;			/* 60 */
	double		retry_delay;	/* the first; 1 */
	double		exit_when_idle; /* run() returns after so long without a step */
	void	   *data;

	/* The delay after an error that names none, in place of the usual. */
	double		(*retry) (TcwContext *context, TcwStatus status);

	/*
	 * Connections of the application's own, with data.  NULL or a bad one: it
	 * is tried again.  They are called by either thread; without the second
	 * it is PQfinish() that closes them.
	 */
	PGconn	   *(*connect) (void *data);
	void		(*disconnect) (void *data, PGconn *connection);

	/*
	 * Each runs in a transaction: on_start in one that commits only if the
	 * claim still holds, the others in the one that gives the step back.
	 */
	TcwHandler	on_start;
	TcwHandler	on_success;
	TcwHandler	on_transient_failure;
	TcwHandler	on_permanent_failure;

	/* Of either thread: a line without its newline, and what is in it. */
	void		(*log) (void *data, TcwLevel level, const char *line);
	void		(*observe) (void *data, const TcwEvent *event);
} TcwWorkerOptions;

/*
 * Workers
 */
extern TcwWorker *tcw_worker_new(const TcwWorkerOptions *options);
extern void tcw_worker_free(TcwWorker *worker);
extern TcwStatus tcw_worker_run(TcwWorker *worker, TcwHandler handler);
extern void tcw_worker_stop(TcwWorker *worker);
extern const TcwError *tcw_worker_error(const TcwWorker *worker);

/*
 * For handlers
 */
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
extern bool tcw_stop_requested(TcwContext *context);
extern bool tcw_heartbeat(TcwContext *context);
extern TcwStatus tcw_finish(TcwContext *context, void *result);
extern TcwStatus tcw_exec(TcwContext *context, PGresult **result,
						  const char *sql, int nparams,
						  const char *const *values);
extern TcwStatus tcw_fail(TcwContext *context, TcwStatus status,
						  const char *format,...) TCW_PRINTF(3, 4);

/* One page of a source, and the transaction that does it. */
typedef struct TcwBatch
{
	int			count;			/* of items; 0 from a fetch: no more */
	PGresult   *rows;			/* a query's */
	void	   *items;			/* a fetch's */
	char	   *cursor;			/* JSON, behind them; of a fetch's malloc() */
	void	   *arg;			/* the iteration's */
} TcwBatch;

/*
 * What is not TCW_OK ends the iteration, and rolls the batch back.  A fetch
 * fills in the batch; its cursor is NULL at first.
 */
typedef TcwStatus (*TcwBody) (TcwContext *context, TcwBatch *batch);
typedef TcwStatus (*TcwFetch) (TcwContext *context, const char *cursor,
							   int count, TcwBatch *batch);

typedef struct TcwIteration
{
	const char *query;			/* a SELECT */
	const char *key;			/* its column that is unique and not null */
	TcwFetch	fetch;			/* in place of both */
	TcwBody		body;
	int			every;			/* items in a batch, at most; 1000 */
	double		seconds;		/* that a batch should take, at most; 10 */
	int64_t		total;			/* of items, for the progress view */
	void	   *arg;
} TcwIteration;

extern TcwStatus tcw_iterate(TcwContext *context,
							 const TcwIteration *iteration);
extern TcwStatus tcw_set_results(TcwContext *context, const char *results);

/*
 * On any connection.  Answers are written to the last argument, if it is not
 * NULL and the status is TCW_OK; a PGresult is the caller's to clear.  Lists of
 * queues end with NULL; NULL is all.
 */
extern TcwStatus tcw_client_dispatch(TcwClient *client, const char *step_uuid,
									 const char *queue, const int *priority,
									 double delay, char *event_id);
extern TcwStatus tcw_client_claim(TcwClient *client, const char *worker,
								  double lease, int max_steps,
								  const char *step_uuid,
								  const char *const *queues,
								  PGresult **deliveries);
extern TcwStatus tcw_client_load(TcwClient *client, const char *step_uuid,
								 PGresult **state);
extern TcwStatus tcw_client_yield(TcwClient *client, const char *step_uuid,
								  const char *cursor, int64_t items_processed,
								  const char *accumulated_results,
								  const char *event_id, TcwReceipt *receipt);
extern TcwStatus tcw_client_save(TcwClient *client, const char *step_uuid,
								 const char *cursor, int64_t items_processed,
								 const char *accumulated_results,
								 const char *event_id, TcwReceipt *receipt);
extern TcwStatus tcw_client_heartbeat(TcwClient *client, const char *event_id,
									  bool *held);
extern TcwStatus tcw_client_complete(TcwClient *client, const char *event_id,
									 bool *held);
extern TcwStatus tcw_client_release(TcwClient *client, const char *event_id,
									double delay, bool interrupted,
									bool *held);
extern TcwStatus tcw_client_pause(TcwClient *client, const char *step_uuid,
								  bool *changed);
extern TcwStatus tcw_client_resume(TcwClient *client, const char *step_uuid,
								   bool *changed);
extern TcwStatus tcw_client_cancel(TcwClient *client, const char *step_uuid,
								   bool *changed);
extern TcwStatus tcw_client_rewind(TcwClient *client, const char *step_uuid,
								   int64_t to_sequence, const char *results,
								   TcwReceipt *receipt);
extern TcwStatus tcw_client_progress(TcwClient *client, const char *step_uuid,
									 PGresult **rows);

extern const char *tcw_status_name(TcwStatus status);

#ifdef __cplusplus
}
#endif

#endif							/* TASKER_CHECKPOINT_CLIENT_H */
