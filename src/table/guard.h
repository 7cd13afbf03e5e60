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

#include "dispatch/protocol.h"

/* What came of a request */
typedef struct TckptOutcome
{
	bool		guarded;		/* the guard came to a decision */
	TckptVerdict verdict;		/* nothing is written unless it is admitted */
	int64		sequence;		/* of the checkpoint, also of a repeated one */
	Oid			stored_in;		/* the table, or its partition */
	int64		hot_before;		/* HOT updates of that, as this backend counts */
	TckptDispatch dispatch;
} TckptOutcome;

/* An UPDATE that is under way */
typedef struct TckptAnnouncement
{
	const TckptRequest *request;
	Oid			relid;			/* the attached table */
	AttrNumber	processed;		/* its column, or InvalidAttrNumber */
	TckptOutcome *outcome;
} TckptAnnouncement;

extern const TckptAnnouncement *tckpt_guard_expect(const TckptAnnouncement *announcement);

#endif							/* TCKPT_GUARD_H */
