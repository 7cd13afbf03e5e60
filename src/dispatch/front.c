/*-------------------------------------------------------------------------
 *
 * front.c
 *	  Where this session has found the fronts of long queues.
 *
 * What can be claimed no more has left versions of its row in front, and an old
 * snapshot keeps them there: each walk from the front would pass all of them.
 * So a session that has found the front of a queue long remembers for a while
 * where it has found the first event, and begins there.  What a slow commit has
 * put before that place, or what comes with a priority that was not met, is found
 * by the next walk from the front, which comes after a while that grows with its
 * cost; and before, by a session that is woken for it.
 *
 * Code of others may run while a walk is under way, and walk itself: so each has a
 * copy, and what it finds is remembered unless the front was searched for anew.  What
 * a transaction that rolls back has found, it may have found by its own claims: all
 * is forgotten then.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/instrument.h"
#include "utils/timestamp.h"

#include "dispatch/front.h"
#include "tasker_checkpoint.h"

/* Buffers that a search for the first event of a queue reads if its front is short */
#define SHORT_FRONT		64

/*
 * A search from the front is due after so many times what the last one took, not
 * before so long and not after so long, in microseconds
 */
#define FRONT_SHARE		50
#define FRONT_INTERVAL	USECS_PER_SEC
#define FRONT_LIMIT		(5 * USECS_PER_SEC)

/* Commits so late are found where a walk begins, in microseconds */
#define LATE_COMMIT		(USECS_PER_SEC / 10)

#define MAX_QUEUES		16

static TckptFront fronts[MAX_QUEUES];
static uint64 nsearches = 0;

static int64
buffers_read(void)
{
	return pgBufferUsage.shared_blks_hit + pgBufferUsage.shared_blks_read;
}

/* Begins to count what a search costs. */
TckptSearch
tckpt_front_search(void)
{
	TckptSearch search = {
		.began = GetCurrentTimestamp(),
		.buffers = buffers_read()
	};

	return search;
}

/* Then events have times before the places that were found by it. */
static bool
is_clock_set_back(TimestampTz now)
{
	for (int i = 0; i < MAX_QUEUES; i++)
		if (fronts[i].since > now)
			return true;
	return false;
}

/* The front of a queue, where it is known and still good; or NULL. */
TckptFront *
tckpt_front_find(Oid relid, const char *queue, TimestampTz now)
{
	if (is_clock_set_back(now))
		tckpt_front_forget();
	for (int i = 0; i < MAX_QUEUES; i++)
		if (fronts[i].relid == relid && fronts[i].due > now &&
			strcmp(fronts[i].queue, queue) == 0)
		{
			TckptFront *front = palloc(sizeof(TckptFront));

			*front = fronts[i];
			return front;
		}
	return NULL;
}

/* Remembers what was found since. */
static void
remember(const TckptFront *front)
{
	for (int i = 0; i < MAX_QUEUES; i++)
		if (fronts[i].number == front->number)
			fronts[i] = *front;
}

/* Room for the front of one more queue; NULL if all are good still. */
static TckptFront *
find_room(TimestampTz now)
{
	for (int i = 0; i < MAX_QUEUES; i++)
		if (fronts[i].due <= now)
			return &fronts[i];
	return NULL;
}

/* The place of a priority; NULL if there is no more room. */
static TckptPlace *
find_place(TckptFront *front, int priority)
{
	int			i = 0;

	while (i < front->nplaces && front->places[i].priority > priority)
		i++;
	if (i < front->nplaces && front->places[i].priority == priority)
		return &front->places[i];
	if (front->nplaces == TCKPT_MAX_PLACES)
		return NULL;
	memmove(&front->places[i + 1], &front->places[i],
			(front->nplaces - i) * sizeof(TckptPlace));
	front->nplaces++;
	front->places[i].priority = priority;
	front->places[i].from = 0;
	return &front->places[i];
}

static void
set_place(TckptFront *front, int priority, TimestampTz at)
{
	TckptPlace *place = find_place(front, priority);

	if (place == NULL)
		return;
	place->from = at - LATE_COMMIT;
	front->since = Max(front->since, at);
}

/* The first event of a priority was found at this time, or none before it. */
void
tckpt_front_move(TckptFront *front, int priority, TimestampTz at)
{
	set_place(front, priority, at);
	remember(front);
}

/*
 * An event is offered.  Where a walk from what is remembered would not meet it, since
 * it was committed late, or its priority was not met before, that is mended.
 */
void
tckpt_front_include(Oid relid, const TckptEvent *event)
{
	for (int i = 0; i < MAX_QUEUES; i++)
	{
		TckptFront *front = &fronts[i];
		TckptPlace *place;

		if (front->relid != relid || strcmp(front->queue, event->queue) != 0 ||
			(!front->complete &&
			 event->priority < front->places[front->nplaces - 1].priority))
			continue;
		place = find_place(front, event->priority);
		if (place == NULL)
			front->due = 0;
		else if (place->from == 0 || place->from > event->available_at)
			place->from = event->available_at - LATE_COMMIT;
	}
}

/* Below its places nothing was found. */
void
tckpt_front_complete(TckptFront *front)
{
	front->complete = true;
	remember(front);
}

/*
 * A search from the front of a queue has found its first event, or NULL.  If that
 * took long, those that follow begin there.
 */
void
tckpt_front_learn(Oid relid, const char *queue, const TckptSearch *search,
				  TimestampTz now, const TckptEvent *first)
{
	TckptFront *front = find_room(now);
	TimestampTz end = GetCurrentTimestamp();

	if (front == NULL || buffers_read() - search->buffers <= SHORT_FRONT)
		return;
	front->number = ++nsearches;
	front->relid = relid;
	strlcpy(front->queue, queue, sizeof(front->queue));
	front->since = now;
	front->due = end + Min(Max(FRONT_INTERVAL, FRONT_SHARE * (end - search->began)),
						   FRONT_LIMIT);
	front->complete = first == NULL;
	front->nplaces = 0;
	if (first != NULL)
		set_place(front, first->priority, first->available_at);
	if (first == NULL || first->priority < 0)
		set_place(front, 0, now);
}

/* Whoever walks meanwhile has nothing to remember either. */
void
tckpt_front_forget(void)
{
	memset(fronts, 0, sizeof(fronts));
}
