/*-------------------------------------------------------------------------
 *
 * unguarded.h
 *	  Whether the table that is in use is the one that is guarded.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_UNGUARDED_H
#define TCKPT_UNGUARDED_H

#include "nodes/pg_list.h"

typedef struct TckptUnguarded
{
	char	   *detail;
	char	   *statement;		/* NULL: none that could be given */
} TckptUnguarded;

extern List *tckpt_unguarded(Oid function);

#endif							/* TCKPT_UNGUARDED_H */
