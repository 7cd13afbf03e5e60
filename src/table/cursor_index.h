/*-------------------------------------------------------------------------
 *
 * cursor_index.h
 *	  Indexes that hold the cursor's text, and so bound it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_CURSOR_INDEX_H
#define TCKPT_CURSOR_INDEX_H

#include "nodes/pg_list.h"

#include "table/attached.h"

/* Bytes that a B-tree takes of an entry */
#define TCKPT_INDEX_LIMIT	2704

typedef struct TckptCursorIndex
{
	char	   *name;			/* as SQL wants it */
	bool		partitioned;
} TckptCursorIndex;

extern List *tckpt_cursor_indexes(const TckptSteps *steps);

#endif							/* TCKPT_CURSOR_INDEX_H */
