/*-------------------------------------------------------------------------
 *
 * document.h
 *	  The checkpoint document, taken apart.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_DOCUMENT_H
#define TCKPT_DOCUMENT_H

#include "document/value.h"

/*
 * The document's own keys in stored order: shorter ones first.  No two have
 * the same length, so the length alone tells which one a key can be.
 */
typedef enum TckptKey
{
	TCKPT_KEY_CURSOR,
	TCKPT_KEY_HISTORY,
	TCKPT_KEY_TIMESTAMP,
	TCKPT_KEY_ITEMS,
	TCKPT_KEY_TRUNCATED,
	TCKPT_KEY_RESULTS
} TckptKey;

#define TCKPT_NOWN_KEYS	(TCKPT_KEY_RESULTS + 1)

typedef struct TckptOwnKey
{
	const char *name;
	uint32		len;
	Size		field;			/* in TckptDocument */
} TckptOwnKey;

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

extern bool tckpt_is_json_null(const Jsonb *jb);
extern bool tckpt_document_read(const Jsonb *jb, TckptDocument *doc);
extern bool tckpt_document_time(const TckptDocument *doc, TimestampTz *at);
extern int64 tckpt_document_items(const TckptDocument *doc);
extern bool tckpt_container_read(const JsonbContainer *root,
								 TckptDocument *doc);
extern bool tckpt_document_pair(const TckptDocument *doc, int i,
								TckptPair *pair);

/* For those who build one */
extern const TckptOwnKey tckpt_own_keys[TCKPT_NOWN_KEYS];
extern int	tckpt_key_cmp(const char *a, uint32 alen, const char *b, uint32 blen);
extern TckptPair tckpt_own_pair(TckptKey key, TckptValue value);

#endif							/* TCKPT_DOCUMENT_H */
