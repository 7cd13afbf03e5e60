/*-------------------------------------------------------------------------
 *
 * write.h
 *	  Rows of the extension's own tables, written below the executor.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_ROWS_WRITE_H
#define TCKPT_ROWS_WRITE_H

#include "access/tableam.h"
#include "executor/tuptable.h"

#include "rows/relation.h"

extern void tckpt_own_insert(Relation rel, TupleTableSlot *slot);
extern bool tckpt_own_insert_new(Relation rel, TupleTableSlot *slot,
								 const TckptOwnIndex *key);
extern TM_Result tckpt_own_update(Relation rel, ItemPointer tid,
								  TupleTableSlot *slot,
								  const TckptOwnIndex *key);
extern TM_Result tckpt_own_delete(Relation rel, ItemPointer tid);

#endif							/* TCKPT_ROWS_WRITE_H */
