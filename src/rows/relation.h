/*-------------------------------------------------------------------------
 *
 * relation.h
 *	  The extension's own tables: found, and looked at before they are used.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_RELATION_H
#define TCKPT_RELATION_H

#include "access/attnum.h"
#include "nodes/pg_list.h"
#include "storage/lockdefs.h"
#include "utils/relcache.h"

#define TCKPT_OWN_MAX_KEYS	4

/* What was looked up last; see tckpt_changes() */
typedef struct TckptOwnLookup
{
	uint64		at;
	Oid			by;				/* a function of ours; for an index its table */
	Oid			found;
} TckptOwnLookup;

/* A table as it was created: the C goes by its columns' positions */
typedef struct TckptOwnTable
{
	const char *name;
	int			ncolumns;
	const Oid  *types;
	TckptOwnLookup *last;
} TckptOwnTable;

/* What an index must be, whatever its name, to find rows by */
typedef struct TckptOwnIndex
{
	const char *definition;		/* what makes one, after the table's name */
	bool		unique;			/* on these columns alone, over all rows */
	bool		ordered;		/* rows are wanted in its order */
	int			nkeys;
	AttrNumber	keys[TCKPT_OWN_MAX_KEYS];
	bool		descending[TCKPT_OWN_MAX_KEYS];

	/* what holds of all rows that are looked for; NULL: nothing is known */
	List	   *(*condition) (Relation rel);
	TckptOwnLookup *last;
} TckptOwnIndex;

extern Relation tckpt_own_open(Oid function, const TckptOwnTable *table,
							   LOCKMODE lockmode);
extern bool tckpt_own_is_empty(Oid function, const TckptOwnTable *table);
extern Oid	tckpt_own_find_index(Relation rel, const TckptOwnIndex *wanted);
extern Oid	tckpt_own_index(Relation rel, const TckptOwnIndex *wanted);
extern bool tckpt_own_is_key(Relation rel, Relation index,
							 const TckptOwnIndex *wanted);
extern void tckpt_own_raise_no_index(Relation rel,
									 const TckptOwnIndex *wanted);

#endif							/* TCKPT_RELATION_H */
