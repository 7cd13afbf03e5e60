/*-------------------------------------------------------------------------
 *
 * write.h
 *	  One row's write, as the guard has it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_TABLE_WRITE_H
#define TCKPT_TABLE_WRITE_H

#include "access/htup.h"

#include "document/document.h"
#include "table/attached.h"
#include "table/guard.h"

typedef struct TckptWrite
{
	Oid			guard;			/* the trigger's function */
	Relation	rel;
	TupleDesc	tupdesc;
	const Trigger *trigger;
	int			attno;			/* of the checkpoint */
	const pg_uuid_t *step;		/* NULL if the row has no key yet */
	HeapTuple	old;			/* NULL for an INSERT */
	HeapTuple	new;
	Datum		oldvalue;		/* (Datum) 0: no checkpoint */
	Datum		newvalue;		/* (Datum) 0: NULL */
	const TckptAnnouncement *own;	/* NULL: a statement of others */
	bool		has_olddoc;		/* the stored checkpoint is an object */
	TckptDocument olddoc;		/* else empty */
} TckptWrite;

/*
 * Whether events and archive are those of this table.  On another the trigger
 * was made by hand: it composes, and leaves both alone.
 */
static inline bool
tckpt_write_is_attached(const TckptWrite *write)
{
	return tckpt_attached_covers(write->guard, write->rel, write->trigger);
}

#endif							/* TCKPT_TABLE_WRITE_H */
