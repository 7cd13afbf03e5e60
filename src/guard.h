/*-------------------------------------------------------------------------
 *
 * guard.h
 *	  What a function of ours tells the guard about its own UPDATE, and what
 *	  the guard answers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_GUARD_H
#define TCKPT_GUARD_H

#include "access/attnum.h"
#include "utils/uuid.h"

#include "events.h"

/*
 * Which function it is.  rewind may lower items, and asks for no event; clear
 * stands for all that remove a checkpoint.
 */
typedef enum TckptCallKind
{
	TCKPT_CALL_YIELD,
	TCKPT_CALL_SAVE,
	TCKPT_CALL_REWIND,
	TCKPT_CALL_CLEAR
} TckptCallKind;

/* Whether a write goes on */
typedef enum TckptVerdict
{
	TCKPT_ADMITTED,
	TCKPT_REPEATED,				/* this event's last write was the same */
	TCKPT_SUPERSEDED			/* its event is not the step's any more */
} TckptVerdict;

typedef struct TckptCall
{
	TckptCallKind kind;
	Oid			function;		/* the SQL function */
	pg_uuid_t	step;
	Oid			relid;			/* the attached table */
	AttrNumber	processed;		/* its column, or InvalidAttrNumber */
	const pg_uuid_t *event_id;	/* what the caller passed; NULL: unfenced */
	int64		digest;			/* of cursor, items and results */
	bool		quiet;			/* superseded is an answer, not an error */
	bool		has_written;	/* so has its transaction, before the call */
	MemoryContext context;		/* where the answer is to live */

	/* the answer */
	bool		guarded;		/* the guard came to a decision */
	bool		replayed;		/* nothing written: it was done before */
	bool		superseded;		/* nothing written: another has the step */
	int64		sequence;
	TimestampTz checkpointed_at;
	bool		progressed;		/* cursor or items are not what they were */
	Oid			stored_in;		/* the table, or its partition */
	int64		hot_before;		/* HOT updates of that, as this backend counts */
	bool		has_row;		/* there is a dispatch row, now locked */
	TckptEvent	event;			/* that row */
} TckptCall;

extern TckptCall *tckpt_guard_expect(TckptCall *call);

#endif							/* TCKPT_GUARD_H */
