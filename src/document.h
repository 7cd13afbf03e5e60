/*-------------------------------------------------------------------------
 *
 * document.h
 *	  The checkpoint document: read it, cut and extend its history, compose it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_DOCUMENT_H
#define TCKPT_DOCUMENT_H

#include "value.h"

/*
 * The greatest history_truncated: from there on not every reader tells an
 * integer from the next one.
 */
#define TCKPT_MAX_TRUNCATED	INT64CONST(9007199254740992)

typedef struct TckptPair
{
	const char *key;			/* not terminated */
	uint32		keylen;
	TckptValue	value;
} TckptPair;

/* A document taken apart; everything points into the jsonb it was read from */
typedef struct TckptDocument
{
	TckptValue	cursor;
	TckptValue	history;
	TckptValue	timestamp;
	TckptValue	items_processed;
	TckptValue	history_truncated;
	TckptValue	accumulated_results;
	int			nextra;			/* keys that are not ours */
	TckptPair  *extra;			/* in stored order */
	Size		extra_size;		/* as one jsonb object; 0 if there are none */
} TckptDocument;

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

extern bool tckpt_is_json_null(const Jsonb *jb);
extern bool tckpt_document_read(const Jsonb *jb, TckptDocument *doc);
extern bool tckpt_document_pair(const TckptDocument *doc, int i,
								TckptPair *pair);
extern Jsonb *tckpt_document_parts(const TckptValue *cursor,
								   const TckptValue *items_processed,
								   const TckptValue *accumulated_results);
extern Jsonb *tckpt_document_compose(const TckptDocument *doc,
									 const TckptHistory *history);

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

#endif							/* TCKPT_DOCUMENT_H */
