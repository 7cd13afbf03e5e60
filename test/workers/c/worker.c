/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The C client's worker for the harness; ../README.md says what it does.
 *
 * A worker has one place for a step; several at a time are several workers, in
 * a thread each.
 *
 *-------------------------------------------------------------------------
 */
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"

#define MAX_WORKERS	16
#define MAX_QUEUES	16

static TcwWorker *workers[MAX_WORKERS];
static int	nworkers;

static TcwStatus
change_step(TcwContext *context, const char *set, const char *results,
			const char *to_state)
{
	char		sql[512];
	const char *const values[] = {context->step_uuid, results};
	const char *const transition[] = {context->step_uuid, to_state};
	TcwStatus	status;

	snprintf(sql, sizeof(sql), "UPDATE tasker.workflow_steps SET %s, updated_at = now()"
			 " WHERE workflow_step_uuid = $1", set);
	status = tcw_exec(context, NULL, sql, results != NULL ? 2 : 1, values);
	if (status == TCW_OK && to_state != NULL)
		status = tcw_exec(context, NULL,
						  "INSERT INTO tasker.workflow_step_transitions (workflow_step_uuid, to_state)"
						  " VALUES ($1, $2)", 2, transition);
	return status;
}

/* What goes on elsewhere, or after a yield, is no new attempt. */
static TcwStatus
on_start(TcwContext *context)
{
	return change_step(context, "attempts = coalesce(attempts, 0)"
					   " + CASE WHEN in_process THEN 0 ELSE 1 END, in_process = true",
					   NULL, NULL);
}

static TcwStatus
on_success(TcwContext *context)
{
	return change_step(context, "results = $2, processed = true, processed_at = now(),"
					   " in_process = false", context->result, "complete");
}

static TcwStatus
on_transient_failure(TcwContext *context)
{
	return change_step(context, "in_process = false", NULL, "waiting_for_retry");
}

static TcwStatus
on_permanent_failure(TcwContext *context)
{
	return change_step(context, "in_process = false", NULL, "error");
}

static void
stop(int signo)
{
	(void) signo;
	for (int i = 0; i < nworkers; i++)
		tcw_worker_stop(workers[i]);
}

/* A second SIGINT ends the process. */
static void
handle_signals(void)
{
	struct sigaction action = {.sa_handler = stop};

	sigaction(SIGTERM, &action, NULL);
	action.sa_flags = SA_RESETHAND;
	sigaction(SIGINT, &action, NULL);
}

static void *
run(void *arg)
{
	TcwStatus	status = tcw_worker_run(arg, handle);

	if (status != TCW_OK)
		fprintf(stderr, "worker ends: %s\n", tcw_worker_error(arg)->message);
	return status == TCW_OK ? NULL : arg;
}

/* All in threads but the first; false if one of them failed. */
static bool
run_all(void)
{
	pthread_t	threads[MAX_WORKERS];
	bool		ok;

	for (int i = 1; i < nworkers; i++)
		if (pthread_create(&threads[i], NULL, run, workers[i]) != 0)
			abort();
	ok = run(workers[0]) == NULL;
	for (int i = 1; i < nworkers; i++)
	{
		void	   *failed;

		pthread_join(threads[i], &failed);
		ok = ok && failed == NULL;
	}
	return ok;
}

/* Separated by commas, which are overwritten. */
static void
split_queues(char *list, TcwQueue *queues)
{
	int			n = 0;

	for (char *name = strtok(list, ","); name != NULL && n < MAX_QUEUES; name = strtok(NULL, ","))
		queues[n++].name = name;
}

int
main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"dsn", required_argument, NULL, 'd'},
		{"name", required_argument, NULL, 'n'},
		{"poll-only", no_argument, NULL, 'p'},
		{"listen", no_argument, NULL, 'L'},
		{"lease", required_argument, NULL, 'l'},
		{"exit-when-idle", required_argument, NULL, 'i'},
		{"queues", required_argument, NULL, 'q'},
		{"concurrency", required_argument, NULL, 'c'},
		{"retry-delay", required_argument, NULL, 'r'},
		{0}
	};
	TcwQueue	queues[MAX_QUEUES + 1] = {{0}};
	TcwWorkerOptions options = {
		.on_start = on_start,
		.on_success = on_success,
		.on_transient_failure = on_transient_failure,
		.on_permanent_failure = on_permanent_failure
	};
	int			concurrency = 1;
	int			c;
	bool		ok;

	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1)
	{
		switch (c)
		{
			case 'd':
				options.conninfo = optarg;
				break;
			case 'n':
				options.name = optarg;
				options.data = optarg;
				break;
			case 'p':
				options.wait = TCW_WAIT_POLL;
				break;
			case 'L':
				options.wait = TCW_WAIT_LISTEN;
				break;
			case 'l':
				options.lease = atof(optarg);
				break;
			case 'i':
				options.exit_when_idle = atof(optarg);
				break;
			case 'q':
				split_queues(optarg, queues);
				options.queues = queues;
				break;
			case 'c':
				concurrency = atoi(optarg);
				break;
			case 'r':
				options.retry_delay = atof(optarg);
				break;
			default:
				return 2;
		}
	}
	if (options.conninfo == NULL || options.name == NULL ||
		concurrency < 1 || concurrency > MAX_WORKERS)
	{
		fprintf(stderr, "%s: --dsn and --name are required, --concurrency is 1 to %d\n",
				argv[0], MAX_WORKERS);
		return 2;
	}

	for (; nworkers < concurrency; nworkers++)
	{
		workers[nworkers] = tcw_worker_new(&options);
		if (workers[nworkers] == NULL)
		{
			perror(argv[0]);
			return 1;
		}
	}
	handle_signals();
	ok = run_all();
	for (int i = 0; i < nworkers; i++)
		tcw_worker_free(workers[i]);
	return ok ? 0 : 1;
}
