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

typedef struct TckptCall
{
	pg_uuid_t	step;
	Oid			relid;			/* the attached table */
	AttrNumber	processed;		/* its column, or InvalidAttrNumber */

	/* the answer */
	bool		guarded;		/* the guard composed the checkpoint */
	int64		sequence;
} TckptCall;

extern TckptCall *tckpt_guard_expect(TckptCall *call);

#endif							/* TCKPT_GUARD_H */
