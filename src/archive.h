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

#include "access/sdir.h"
#include "datatype/timestamp.h"
#include "storage/itemptr.h"
#include "utils/snapshot.h"
#include "utils/uuid.h"

#include "document.h"

/* A row: successive entries of one step's history */
typedef struct TckptChunk
{
	ItemPointerData tid;
	pg_uuid_t	step;
	int32		generation;		/* clears before it, and one */
	int64		first;			/* sequences; first is last + 1 without entries */
	int64		last;
	TimestampTz last_at;		/* time of the last entry; 0: unknown */
	TimestampTz next_at;		/* of the checkpoint after it; 0: unknown */
	TimestampTz archived_at;
	char	   *cleared_by;		/* NULL: entries were cut */
	Datum		entries;		/* a jsonb, maybe toasted */
	Datum		results;		/* of the checkpoint that was cleared */
	bool		has_results;
} TckptChunk;

/* Where a step's checkpoint stands in its trail */
typedef struct TckptPosition
{
	int32		generation;
	int64		archived;		/* up to this sequence it is in the archive */
	bool		goes_on;		/* the newest row is of the same step */
	bool		is_cleared;		/* that row ended a generation */
} TckptPosition;

typedef struct TckptTrail TckptTrail;

extern void tckpt_archive_cut(Oid function, const pg_uuid_t *step,
							  const TckptDocument *old, int64 cut,
							  TimestampTz next_at);
extern void tckpt_archive_begin(Oid function, const pg_uuid_t *step,
								TimestampTz at);
extern void tckpt_archive_clear(Oid function, const pg_uuid_t *step,
								const TckptDocument *old);
extern bool tckpt_archive_entry(Oid function, const pg_uuid_t *step,
								const TckptHistory *present, int64 sequence,
								TckptDocument *entry);
extern int64 tckpt_archive_purge(Oid function, TimestampTz cutoff,
								 int64 max_rows, bool dry_run);

extern TckptTrail *tckpt_trail_begin(Oid function, const pg_uuid_t *step,
									 Snapshot snapshot,
									 ScanDirection direction);
extern const TckptChunk *tckpt_trail_next(TckptTrail *trail);
extern void tckpt_trail_end(TckptTrail *trail);

extern TckptPosition tckpt_chunk_position(const TckptChunk *newest,
										  const TckptHistory *present);
extern bool tckpt_chunk_precedes(const TckptChunk *clear,
								 const TckptChunk *next);
extern void tckpt_chunk_history(const TckptChunk *chunk,
								TckptHistory *history);

#endif							/* TCKPT_ARCHIVE_H */
