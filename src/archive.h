/*-------------------------------------------------------------------------
 *
 * archive.h
 *	  The table tasker_checkpoint_archive: history entries that were cut or
 *	  cleared.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_ARCHIVE_H
#define TCKPT_ARCHIVE_H

#include "datatype/timestamp.h"
#include "utils/uuid.h"

#include "document.h"

/* A row: successive entries of one step's history */
typedef struct TckptChunk
{
	pg_uuid_t	step;
	int32		generation;		/* clears before it, and one */
	int64		first;			/* sequences; first is last + 1 without entries */
	int64		last;
	TimestampTz last_at;		/* time of the last entry; 0 if unreadable */
	TimestampTz archived_at;
	char	   *cleared_by;		/* NULL: the generation goes on */
	Datum		entries;		/* a jsonb array, maybe toasted */
	Datum		results;		/* of the checkpoint that was cleared */
	bool		has_results;
} TckptChunk;

/* Where a step's present history stands in its trail */
typedef struct TckptPosition
{
	int32		generation;
	int64		archived;		/* up to this sequence it is in the archive */
} TckptPosition;

typedef struct TckptTrail TckptTrail;

extern void tckpt_archive_cut(Oid function, const pg_uuid_t *step,
							  const TckptHistory *before,
							  const TckptHistory *after);
extern void tckpt_archive_clear(Oid function, const pg_uuid_t *step,
								const TckptDocument *doc);
extern TckptPosition tckpt_archive_position(Oid function,
											const pg_uuid_t *step,
											const TckptHistory *history);
extern bool tckpt_archive_entry(Oid function, const pg_uuid_t *step,
								const TckptHistory *present, int64 sequence,
								TckptDocument *entry);
extern void tckpt_chunk_history(const TckptChunk *chunk,
								TckptHistory *history);

extern TckptTrail *tckpt_trail_begin(Oid function, const pg_uuid_t *step);
extern const TckptChunk *tckpt_trail_next(TckptTrail *trail);
extern void tckpt_trail_end(TckptTrail *trail);

#endif							/* TCKPT_ARCHIVE_H */
