/*-------------------------------------------------------------------------
 *
 * chunk.h
 *	  Rows of the table tasker_checkpoint_archive.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_CHUNK_H
#define TCKPT_CHUNK_H

#include "access/htup.h"
#include "datatype/timestamp.h"
#include "utils/uuid.h"

#include "document/history.h"
#include "rows/write.h"

/* The table's columns in their order */
enum
{
	TCKPT_CHUNK_STEP,
	TCKPT_CHUNK_GENERATION,
	TCKPT_CHUNK_FIRST_SEQUENCE,
	TCKPT_CHUNK_LAST_SEQUENCE,
	TCKPT_CHUNK_LAST_AT,
	TCKPT_CHUNK_NEXT_AT,
	TCKPT_CHUNK_ARCHIVED_AT,
	TCKPT_CHUNK_CLEARED_BY,
	TCKPT_CHUNK_ENTRIES,
	TCKPT_CHUNK_RESULTS,
	TCKPT_CHUNK_NCOLUMNS
};

#define TCKPT_CHUNK_ATTNO(column)	((AttrNumber) ((column) + 1))

/* A row: successive entries of one step's history */
typedef struct TckptChunk
{
	ItemPointerData tid;
	pg_uuid_t	step;
	int32		generation;		/* clears before it, and one */
	int64		first;			/* sequence; last + 1 without entries */
	int64		last;
	TimestampTz last_at;		/* time of the last entry; 0: unknown */
	TimestampTz next_at;		/* of the checkpoint after it; 0: unknown */
	TimestampTz archived_at;
	char	   *cleared_by;		/* NULL: entries were cut */
	Datum		entries;		/* a jsonb, maybe toasted */
	Datum		results;		/* of the checkpoint that was cleared */
	bool		has_results;
} TckptChunk;

extern Relation tckpt_chunk_table(Oid function, LOCKMODE lockmode);
extern bool tckpt_chunk_may_exist(Oid function);
extern bool tckpt_chunk_read(TupleDesc tupdesc, HeapTuple tuple,
							 TckptChunk *chunk);
extern void tckpt_chunk_update(Oid function, TckptChunk *chunk);
extern void tckpt_chunk_insert(Oid function, const TckptChunk *chunk);
extern void tckpt_chunk_history(const TckptChunk *chunk,
								TckptHistory *history);
extern int64 tckpt_chunk_purge(Oid function, TimestampTz cutoff,
							   int64 max_rows, bool dry_run);

#endif							/* TCKPT_CHUNK_H */
