/*-------------------------------------------------------------------------
 *
 * protocol.h
 *	  The protocol of a step's dispatch: replay, fence, and what a checkpoint
 *	  does to the event.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_PROTOCOL_H
#define TCKPT_PROTOCOL_H

#include "dispatch/events.h"

/*
 * Which function it is.  rewind may lower items, and asks for no event; clear
 * stands for all that remove a checkpoint.
 */
typedef enum TckptRequestKind
{
	TCKPT_YIELD,
	TCKPT_SAVE,
	TCKPT_REWIND,
	TCKPT_CLEAR
} TckptRequestKind;

/* What a function of ours asks for; nobody changes it on the way */
typedef struct TckptRequest
{
	TckptRequestKind kind;
	Oid			function;		/* the SQL function */
	pg_uuid_t	step;
	const pg_uuid_t *event_id;	/* what the caller passed; NULL: unfenced */
	int64		digest;			/* of cursor, items and results */
	bool		quiet;			/* superseded is an answer, not an error */
	bool		has_written;	/* so has its transaction, before the call */
} TckptRequest;

/* Whether a write goes on */
typedef enum TckptVerdict
{
	TCKPT_ADMITTED,
	TCKPT_REPEATED,				/* this event's last write was the same */
	TCKPT_SUPERSEDED			/* its event is not the step's any more */
} TckptVerdict;

/* The step's dispatch row, as it was found, and then as it was written */
typedef struct TckptDispatch
{
	MemoryContext context;		/* where it lives */
	bool		has_row;
	TckptEvent	event;
} TckptDispatch;

/* A new checkpoint, as far as it concerns the event */
typedef struct TckptComposed
{
	int64		sequence;
	TimestampTz checkpointed_at;
	bool		progressed;		/* cursor or items are not what they were */
} TckptComposed;

extern TckptVerdict tckpt_dispatch_admit(const TckptRequest *request,
										 TckptDispatch *dispatch);
extern const TckptReceipt *tckpt_dispatch_receipt(const TckptRequest *request,
												  const TckptDispatch *dispatch);
extern bool tckpt_dispatch_record(const TckptRequest *request,
								  const TckptComposed *composed,
								  TckptDispatch *dispatch);
extern void tckpt_dispatch_record_replay(const TckptRequest *request,
										 TckptDispatch *dispatch);

extern void tckpt_dispatch_require_no_claim(const pg_uuid_t *step);
extern void tckpt_dispatch_require_unclaimed(Oid function,
											 const pg_uuid_t *step);
extern void tckpt_dispatch_require_no_event(Oid function,
											const pg_uuid_t *step);

extern bool tckpt_dispatch_supersede(Oid function, const pg_uuid_t *step,
									 int64 sequence, TckptEvent *event);
extern void tckpt_dispatch_offer(TckptEvent *event, TimestampTz available_at);
extern void tckpt_dispatch_extend(TckptEvent *event);
extern void tckpt_dispatch_forget(Oid function, const TckptEvent *event);
extern void tckpt_dispatch_hold(const TckptEvent *event, bool changes);
extern void tckpt_dispatch_wake(const TckptEvent *event, bool anyway);

#endif							/* TCKPT_PROTOCOL_H */
