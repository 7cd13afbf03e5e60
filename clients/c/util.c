/*-------------------------------------------------------------------------
 *
 * util.c
 *	  Time, pipes, and values as SQL reads them.
 *
 *-------------------------------------------------------------------------
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

double
tcw_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}

/* For poll(), rounded up; what is over is over. */
int
tcw_milliseconds(double seconds)
{
	if (seconds <= 0)
		return 0;
	return seconds < 1e6 ? (int) (seconds * 1000) + 1 : 1000000000;
}

/* A pipe that neither blocks nor is inherited; false, with errno set. */
bool
tcw_open_pipe(int *fds)
{
	if (pipe(fds) != 0)
	{
		fds[0] = fds[1] = -1;
		return false;
	}
	for (int i = 0; i < 2; i++)
	{
		fcntl(fds[i], F_SETFD, FD_CLOEXEC);
		fcntl(fds[i], F_SETFL, O_NONBLOCK);
	}
	return true;
}

void
tcw_close_pipe(int *fds)
{
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* The same in any locale, and with any intervalstyle. */
void
tcw_write_interval(char *buffer, double seconds)
{
	snprintf(buffer, INTERVAL_SIZE, "%lld milliseconds", (long long) (seconds * 1000));
}

/*
 * An array's text of a list that ends with NULL, to be freed.  NULL without
 * memory.
 */
char *
tcw_write_array(const char *const *elements)
{
	size_t		size = 3;
	char	   *array;
	char	   *to;

	for (int i = 0; elements[i] != NULL; i++)
		size += 2 * strlen(elements[i]) + 3;
	to = array = malloc(size);
	if (array == NULL)
		return NULL;

	*to++ = '{';
	for (int i = 0; elements[i] != NULL; i++)
	{
		if (i > 0)
			*to++ = ',';
		*to++ = '"';
		for (const char *from = elements[i]; *from != '\0'; from++)
		{
			if (*from == '"' || *from == '\\')
				*to++ = '\\';
			*to++ = *from;
		}
		*to++ = '"';
	}
	*to++ = '}';
	*to = '\0';
	return array;
}
