/*-------------------------------------------------------------------------
 *
 * event.c
 *	  An event: what the dispatch says of a step.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "dispatch/event.h"
#include "tasker_checkpoint.h"

static const char *const directive_names[] = {"continue", "pause", "cancel"};

const char *
tckpt_directive_name(TckptDirective directive)
{
	return directive_names[directive];
}

/*
 * Gives the row an event id that nobody knows yet: a UUID of version 7, of
 * whose bits 74 are random.  The time in front of them keeps the index's new
 * entries together.
 */
void
tckpt_event_new_id(TckptEvent *event)
{
	unsigned char *data = event->event_id.data;
	uint64		msecs = (uint64) GetCurrentTimestamp() / 1000 +
		(uint64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000;

	if (!pg_strong_random(data, UUID_LEN))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	for (int i = 0; i < 6; i++)
		data[i] = (unsigned char) (msecs >> (40 - 8 * i));
	data[6] = (data[6] & 0x0f) | 0x70;
	data[8] = (data[8] & 0x3f) | 0x80;
	event->has_event = true;

	/* what was saved under the old one is nobody's to repeat */
	event->saved.is_set = false;
}

/* Whether a worker has it, under a lease that has not run out. */
bool
tckpt_event_is_leased(const TckptEvent *event, TimestampTz now)
{
	return event->worker != NULL && event->lease_until > now;
}

bool
tckpt_is_queue_among(char *const *queues, int nqueues, const char *queue)
{
	for (int i = 0; i < nqueues; i++)
		if (strcmp(queues[i], queue) == 0)
			return true;
	return false;
}

/* Whether it is in one of these queues; none stand for all. */
bool
tckpt_event_is_in(const TckptEvent *event, char *const *queues, int nqueues)
{
	return nqueues == 0 || tckpt_is_queue_among(queues, nqueues, event->queue);
}

/* When its delay or its lease ends, or has ended. */
TimestampTz
tckpt_event_due(const TckptEvent *event)
{
	return event->worker == NULL ? event->available_at :
		Max(event->available_at, event->lease_until);
}

bool
tckpt_event_is_claimable(const TckptEvent *event, TimestampTz now)
{
	return event->has_event && event->directive == TCKPT_CONTINUE &&
		!event->parked && event->available_at <= now &&
		!tckpt_event_is_leased(event, now);
}

static bool
same_receipt(const TckptReceipt *a, const TckptReceipt *b)
{
	return a->is_set == b->is_set &&
		(!a->is_set ||
		 (tckpt_same_uuid(&a->event_id, &b->event_id) &&
		  a->digest == b->digest && a->sequence == b->sequence));
}

/* Whether two versions of a row say the same to a writer of the step. */
bool
tckpt_event_is_same_for_writers(const TckptEvent *a, const TckptEvent *b)
{
	return a->has_event == b->has_event &&
		tckpt_same_uuid(&a->event_id, &b->event_id) &&
		a->directive == b->directive &&
		same_receipt(&a->yielded, &b->yielded) &&
		tckpt_same_uuid(&a->continuation, &b->continuation) &&
		same_receipt(&a->saved, &b->saved);
}
