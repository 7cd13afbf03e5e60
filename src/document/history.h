/*-------------------------------------------------------------------------
 *
 * history.h
 *	  A checkpoint's history: read it, cut it, extend it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_HISTORY_H
#define TCKPT_HISTORY_H

#include "document/document.h"

/*
 * The greatest history_truncated: from there on not every reader tells an
 * integer from the next one.
 */
#define TCKPT_MAX_TRUNCATED	INT64CONST(9007199254740992)

/*
 * A stored history, of which the entries from "first" on are kept, followed
 * by a new one where entry.data is set.
 */
typedef struct TckptHistory
{
	const JsonbContainer *array;	/* NULL: no stored entries */
	const char *data;			/* where its elements begin */
	uint32		nstored;
	uint32		first;
	const uint32 *offsets;		/* nstored + 1 of them */
	TckptValue	entry;
	int64		sequence;		/* entries ever, those cut included */
} TckptHistory;

extern void tckpt_history_read(const TckptDocument *doc,
							   TckptHistory *history);
extern void tckpt_history_read_present(const TckptDocument *doc,
									   TckptHistory *history);
extern void tckpt_history_append(TckptHistory *history,
								 const TckptDocument *doc);
extern void tckpt_history_cut(TckptHistory *history, int64 entries,
							  int64 size);
extern bool tckpt_history_entry(const TckptHistory *history, int64 sequence,
								TckptDocument *entry);
extern Jsonb *tckpt_history_since(const TckptHistory *history, int64 sequence);
extern uint32 tckpt_history_length(const TckptHistory *history);
extern int64 tckpt_document_sequence(const TckptDocument *doc);

/* For those who write one */
extern uint32 tckpt_history_bytes(const TckptHistory *history);
extern void tckpt_history_write(const TckptHistory *history, char *dest);

#endif							/* TCKPT_HISTORY_H */
