/*-------------------------------------------------------------------------
 *
 * archive.h
 *	  What is archived when, and which of it belongs to a step's checkpoint.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_ARCHIVE_H
#define TCKPT_ARCHIVE_H

#include "archive/trail.h"

/* Where a step's checkpoint stands in its trail */
typedef struct TckptPosition
{
	int32		generation;
	int64		archived;		/* up to this sequence it is in the archive */
	bool		goes_on;		/* the newest row is of the same step */
	bool		is_cleared;		/* that row ended a generation */
} TckptPosition;

extern bool tckpt_archive_is_used(Oid function);
extern void tckpt_archive_cut(Oid function, const pg_uuid_t *step,
							  const TckptDocument *old, int64 cut,
							  TimestampTz next_at);
extern void tckpt_archive_begin(Oid function, const pg_uuid_t *step,
								TimestampTz at);
extern void tckpt_archive_close(Oid function, const pg_uuid_t *step,
								const TckptDocument *doc);
extern void tckpt_archive_clear(Oid function, const pg_uuid_t *step,
								const TckptDocument *old);
extern bool tckpt_archive_entry(Oid function, const pg_uuid_t *step,
								const TckptHistory *present, int64 sequence,
								TckptDocument *entry);
extern TckptPosition tckpt_chunk_position(const TckptChunk *newest,
										  const TckptHistory *present);
extern bool tckpt_chunk_precedes(const TckptChunk *clear,
								 const TckptChunk *next);
#endif							/* TCKPT_ARCHIVE_H */
