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

#include "table/registration.h"

typedef struct TckptCursorIndex
{
	Oid			relid;
	char	   *name;			/* as SQL wants it */
	bool		entire;			/* it has the whole cursor, not what is within */
} TckptCursorIndex;

extern List *tckpt_cursor_indexes(const TckptTrigger *trigger);

#endif							/* TCKPT_CURSOR_INDEX_H */
