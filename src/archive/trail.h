/*-------------------------------------------------------------------------
 *
 * trail.h
 *	  A walk over a step's rows of the archive, oldest or newest first.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_TRAIL_H
#define TCKPT_TRAIL_H

#include "access/sdir.h"
#include "utils/snapshot.h"

#include "archive/chunk.h"

typedef struct TckptTrail TckptTrail;

extern TckptTrail *tckpt_trail_begin(Oid function, const pg_uuid_t *step,
									 Snapshot snapshot,
									 ScanDirection direction);
extern const TckptChunk *tckpt_trail_next(TckptTrail *trail);
extern void tckpt_trail_end(TckptTrail *trail);

#endif							/* TCKPT_TRAIL_H */
