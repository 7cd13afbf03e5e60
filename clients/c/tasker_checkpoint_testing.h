/*-------------------------------------------------------------------------
 *
 * tasker_checkpoint_testing.h
 *	  For tests of handlers: one step, run to its end on one connection.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKER_CHECKPOINT_TESTING_H
#define TASKER_CHECKPOINT_TESTING_H

#include "tasker_checkpoint_client.h"

#ifdef __cplusplus
extern "C"
{
#endif

/*
 * stop_at		a stop is requested from the n-th checkpoint on, and the step is
 *				not continued
 * crash_at		the n-th checkpoint is not stored, its transaction is rolled
 *				back, and the claim is left, as after kill -9
 * worker		callbacks, data, schema, name, lease of the worker; or NULL
 */
typedef struct TcwTestOptions
{
	int			stop_at;
	int			crash_at;
	const TcwWorkerOptions *worker;
} TcwTestOptions;

/* What came of it. */
typedef struct TcwTestResult
{
	TcwEventKind ended;			/* of the last run */
	int			runs;
	int			checkpoints;	/* accepted */
	int64_t		sequence;		/* of the last one */
	void	   *result;			/* the handler's, for the caller to free */
	TcwError	error;			/* the last */
} TcwTestResult;

extern TcwStatus tcw_test_run_step(PGconn *connection, const char *step_uuid,
								   TcwHandler handler,
								   const TcwTestOptions *options,
								   TcwTestResult *result);
extern TcwStatus tcw_test_expire_lease(TcwClient *client,
									   const char *step_uuid);

#ifdef __cplusplus
}
#endif

#endif							/* TASKER_CHECKPOINT_TESTING_H */
