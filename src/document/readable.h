/*-------------------------------------------------------------------------
 *
 * readable.h
 *	  What readers of a checkpoint can take: numbers, nesting, length as text.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_READABLE_H
#define TCKPT_READABLE_H

#include "document/history.h"

/* Digits of a number, and levels of a document, itself the first */
#define TCKPT_MAX_DIGITS	1000
#define TCKPT_MAX_NESTING	64

/*
 * Bytes of a checkpoint as text, without what the guard writes into it.  The
 * conversion to a client's encoding may make four of each, up to 1 GB.
 */
#define TCKPT_MAX_TEXT		(256 * 1024 * 1024)

typedef enum TckptBreach
{
	TCKPT_READABLE,
	TCKPT_NUMBER_TOO_GREAT,
	TCKPT_TOO_MANY_DIGITS,
	TCKPT_NESTED_TOO_DEEPLY,
	TCKPT_TEXT_TOO_LONG
} TckptBreach;

/* What is wrong with a part of a document */
typedef struct TckptUnreadable
{
	TckptBreach breach;
	int			digits;			/* of a number, or before its point */
	Size		length;			/* as text, of the keys up to this one */
} TckptUnreadable;

extern bool tckpt_value_is_readable(const TckptValue *value, int level,
									TckptUnreadable *found);
extern bool tckpt_document_is_readable(const TckptDocument *doc,
									   const TckptDocument *old,
									   TckptPair *pair,
									   TckptUnreadable *found);
extern bool tckpt_checkpoint_is_readable(const Jsonb *checkpoint);
extern void tckpt_history_cut_unreadable(TckptHistory *history);

#endif							/* TCKPT_READABLE_H */
