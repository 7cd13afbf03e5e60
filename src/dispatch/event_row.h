/*-------------------------------------------------------------------------
 *
 * event_row.h
 *	  Rows of the table tasker_checkpoint_events.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_EVENT_ROW_H
#define TCKPT_EVENT_ROW_H

#include "access/htup.h"

#include "dispatch/event.h"
#include "rows/write.h"

/* The table's columns in their order */
enum
{
	TCKPT_EVENT_STEP,
	TCKPT_EVENT_DIRECTIVE,
	TCKPT_EVENT_PARKED,
	TCKPT_EVENT_QUEUE,
	TCKPT_EVENT_PRIORITY,
	TCKPT_EVENT_EVENT_ID,
	TCKPT_EVENT_CONTINUATION,
	TCKPT_EVENT_YIELD_EVENT_ID,
	TCKPT_EVENT_YIELD_DIGEST,
	TCKPT_EVENT_YIELD_SEQUENCE,
	TCKPT_EVENT_YIELD_CHECKPOINTED_AT,
	TCKPT_EVENT_WORKER,
	TCKPT_EVENT_LEASE,
	TCKPT_EVENT_DELIVERIES,
	TCKPT_EVENT_AVAILABLE_AT,
	TCKPT_EVENT_LEASE_UNTIL,
	TCKPT_EVENT_SEQUENCE,
	TCKPT_EVENT_SAVE_DIGEST,
	TCKPT_EVENT_SAVE_CHECKPOINTED_AT,
	TCKPT_EVENT_NCOLUMNS
};

#define TCKPT_EVENT_ATTNO(column)	((AttrNumber) ((column) + 1))

/* What a row is looked for by */
typedef enum TckptLookup
{
	TCKPT_BY_STEP,
	TCKPT_BY_EVENT
} TckptLookup;

/* Indexes by which rows are looked for, one by one where one is missing */
extern const TckptOwnIndex tckpt_event_lookups[];

/* A step has one row */
extern const TckptOwnIndex tckpt_event_step_key;

/* Who claims needs the oldest first, however many there are */
extern const TckptOwnIndex tckpt_event_claimable;

extern Relation tckpt_event_table(Oid function, LOCKMODE lockmode);
extern bool tckpt_event_read(Relation rel, HeapTuple tuple, TckptEvent *event);
extern TupleTableSlot *tckpt_event_row(Relation rel, const TckptEvent *event);

#endif							/* TCKPT_EVENT_ROW_H */
