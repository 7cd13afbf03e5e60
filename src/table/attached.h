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

#include "table/registration.h"

/* The statements on the steps table; $1 is the step, or an array of steps */
typedef enum TckptStatement
{
	TCKPT_STATEMENT_READ,
	TCKPT_STATEMENT_PEEK,
	TCKPT_STATEMENT_STATE,
	TCKPT_STATEMENT_STATES,		/* $1 many steps */
	TCKPT_STATEMENT_LOCK,
	TCKPT_STATEMENT_TRY_LOCK,
	TCKPT_STATEMENT_WRITE,		/* $2 the checkpoint, $3 updated_at */
	TCKPT_STATEMENT_FIND,		/* of a cursor */
	TCKPT_STATEMENT_WRITE_FOUND,	/* $1 unused, else as WRITE */
	TCKPT_STATEMENT_STORE,		/* $2 the checkpoint */
	TCKPT_STATEMENT_RESET		/* $2 unused, $3 updated_at */
} TckptStatement;

#define TCKPT_NSTATEMENTS (TCKPT_STATEMENT_RESET + 1)

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
	bool		versions_pile_up;	/* the last write met many of a row */
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
extern bool tckpt_is_not_null(Oid relid, AttrNumber attno);
extern AttrNumber tckpt_processed_attno(Oid relid);
extern AttrNumber tckpt_updated_at_attno(Oid relid);
extern Datum tckpt_retry_columns(const TckptTrigger *trigger);

#endif							/* TCKPT_ATTACHED_H */
