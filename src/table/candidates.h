/*-------------------------------------------------------------------------
 *
 * candidates.h
 *	  Tables that could be the steps table, and whose are trusted to be.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_CANDIDATES_H
#define TCKPT_CANDIDATES_H

#include "nodes/pg_list.h"

/* How the comment on a checkpoint column begins, if attach made it */
#define TCKPT_COMMENT_PREFIX	"progress of a batch worker: "

extern List *tckpt_candidates(Oid function, bool unlogged);
extern bool tckpt_is_trusted(Oid relid, Oid function);
extern char *tckpt_attach_call(Oid function, const char *table, const char *key);

#endif							/* TCKPT_CANDIDATES_H */
