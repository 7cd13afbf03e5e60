/*-------------------------------------------------------------------------
 *
 * readable.h
 *	  What readers of a checkpoint can take: numbers and nesting.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_READABLE_H
#define TCKPT_READABLE_H

#include "document/history.h"

/* Digits of a number, and levels of a document, itself the first */
#define TCKPT_MAX_DIGITS	1000
#define TCKPT_MAX_NESTING	64

typedef enum TckptBreach
{
	TCKPT_READABLE,
	TCKPT_NUMBER_TOO_GREAT,
	TCKPT_TOO_MANY_DIGITS,
	TCKPT_NESTED_TOO_DEEPLY
} TckptBreach;

/* What is wrong with a part of a document */
typedef struct TckptUnreadable
{
	TckptBreach breach;
	int			digits;			/* of a number, or before its point */
} TckptUnreadable;

extern bool tckpt_value_is_readable(const TckptValue *value, int level,
									TckptUnreadable *found);
extern bool tckpt_pair_is_readable(const TckptPair *pair,
								   TckptUnreadable *found);
extern bool tckpt_checkpoint_is_readable(const Jsonb *checkpoint);
extern void tckpt_history_cut_unreadable(TckptHistory *history);

#endif							/* TCKPT_READABLE_H */
