/*-------------------------------------------------------------------------
 *
 * attached.h
 *	  Which table is the steps table, and what its columns are.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_ATTACHED_H
#define TCKPT_ATTACHED_H

#include "access/attnum.h"
#include "executor/spi.h"
#include "storage/lockdefs.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"

#include "registration.h"

/* Statements kept for the table; steps.c says which */
#define TCKPT_NSTATEMENTS 8

typedef struct TckptSteps
{
	TckptTrigger trigger;
	char	   *table;			/* these as SQL wants them */
	char	   *trigger_name;
	char	   *key;
	char	   *checkpoint;
	char	   *reset;			/* what a retry sets, as in UPDATE; may be "" */
	AttrNumber	processed;		/* InvalidAttrNumber: no such column */
	Oid			updated_at;		/* its type; InvalidOid: no such column */
	SPIPlanPtr	plans[TCKPT_NSTATEMENTS];	/* NULL: none is kept */
	MemoryContext context;		/* of all this, but for the plans */
	struct TckptSteps *next;	/* in the list of those replaced */
} TckptSteps;

extern void tckpt_attached_init(void);
extern Oid	tckpt_attached_find(Oid function);
extern TckptSteps *tckpt_attached_open(Oid function, LOCKMODE lockmode);
extern bool tckpt_attached_covers(Oid guard, Relation rel,
								  const Trigger *trigger);
extern void tckpt_attached_distrust(void);
extern AttrNumber tckpt_column_of_type(Oid relid, const char *name, Oid type);

#endif							/* TCKPT_ATTACHED_H */
