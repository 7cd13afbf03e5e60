/*-------------------------------------------------------------------------
 *
 * front.h
 *	  Where this session has found the fronts of long queues.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_FRONT_H
#define TCKPT_FRONT_H

#include "dispatch/event_row.h"

/* Priorities of a queue that are remembered */
#define TCKPT_MAX_PLACES	8

/* The first event of a priority is not before this */
typedef struct TckptPlace
{
	int			priority;
	TimestampTz from;
} TckptPlace;

/* The front of a queue, as it is known to one who walks */
typedef struct TckptFront
{
	uint64		number;			/* of the search that has found it */
	Oid			relid;
	char		queue[NAMEDATALEN];
	TimestampTz since;			/* it is good from then on, */
	TimestampTz due;			/* and until then */
	bool		complete;		/* there was nothing of other priorities */
	int			nplaces;		/* at least one */
	TckptPlace	places[TCKPT_MAX_PLACES];	/* of falling priority */
} TckptFront;

/* A search from the front, to see what it costs */
typedef struct TckptSearch
{
	TimestampTz began;
	int64		buffers;
} TckptSearch;

extern TckptSearch tckpt_front_search(void);
extern TckptFront *tckpt_front_find(Oid relid, const char *queue, TimestampTz now);
extern void tckpt_front_learn(Oid relid, const char *queue,
							  const TckptSearch *search, TimestampTz now,
							  const TckptEvent *first);
extern void tckpt_front_move(TckptFront *front, int priority, TimestampTz at);
extern void tckpt_front_include(Oid relid, const TckptEvent *event);
extern void tckpt_front_complete(TckptFront *front);
extern void tckpt_front_forget(void);

#endif							/* TCKPT_FRONT_H */
