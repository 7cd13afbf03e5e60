/*-------------------------------------------------------------------------
 *
 * build.c
 *	  Checkpoint documents, and entries of their history, built by copying.
 *
 * Values are copied as they lie in the jsonb they come from; nothing is unpacked.
 * What is built here is, to the byte, what core would build for the same value.
 *
 * Pure functions of their arguments: no SPI, no catalogs, no settings.  What
 * no jsonb can hold raises 54000, as core has it.  Results live in the
 * caller's memory context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "document/build.h"
#include "tasker_checkpoint.h"

/*
 * Builds an object of pairs in stored order.  A value without data stands for
 * the history.
 */
static Jsonb *
build_object(const TckptPair *pairs, int npairs, const TckptHistory *history)
{
	Size		head = VARHDRSZ + sizeof(uint32) + 2 * npairs * sizeof(JEntry);
	Size		limit = 0;
	Jsonb	   *jb;
	char	   *data;
	uint32		offset = 0;

	for (int i = 0; i < npairs; i++)
		limit += pairs[i].keylen + INTALIGN(pairs[i].value.len) + sizeof(int32);
	if (limit > JENTRY_OFFLENMASK)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("checkpoint is too large to be stored"),
				 errdetail("A jsonb value can take up to %u bytes.",
						   JENTRY_OFFLENMASK),
				 errhint("Keep what is large in a table of your own.")));

	jb = palloc(head + limit);
	data = (char *) &jb->root.children[npairs * 2];
	jb->root.header = npairs | JB_FOBJECT;

	for (int i = 0; i < npairs * 2; i++)
	{
		const TckptPair *pair = &pairs[i % npairs];
		uint32		start = offset;
		JEntry		entry;

		if (i < npairs)
		{
			entry = JENTRY_ISSTRING;
			memcpy(data + offset, pair->key, pair->keylen);
			offset += pair->keylen;
		}
		else
		{
			entry = pair->value.type;
			while (TCKPT_IS_ALIGNED_TYPE(entry) && offset != INTALIGN(offset))
				data[offset++] = '\0';
			if (pair->value.data == NULL)
				tckpt_history_write(history, data + offset);
			else
				memcpy(data + offset, pair->value.data, pair->value.len);
			offset += pair->value.len;
		}

		if (i % JB_OFFSET_STRIDE == 0)
			entry |= JENTRY_HAS_OFF | offset;
		else
			entry |= offset - start;
		jb->root.children[i] = entry;
	}

	SET_VARSIZE(jb, head + offset);
	return jb;
}

/*
 * The part of a checkpoint that a writer decides, as the document that the
 * guard is given to compose the whole from.
 */
Jsonb *
tckpt_document_parts(const TckptValue *cursor,
					 const TckptValue *items_processed,
					 const TckptValue *accumulated_results)
{
	TckptPair	pairs[] = {
		tckpt_own_pair(TCKPT_KEY_CURSOR, *cursor),
		tckpt_own_pair(TCKPT_KEY_ITEMS, *items_processed),
		tckpt_own_pair(TCKPT_KEY_RESULTS, *accumulated_results)
	};

	return build_object(pairs, lengthof(pairs), NULL);
}

/* What a history keeps of a document. */
Jsonb *
tckpt_document_entry(const TckptDocument *doc)
{
	TckptPair	pairs[] = {
		tckpt_own_pair(TCKPT_KEY_CURSOR, doc->cursor),
		tckpt_own_pair(TCKPT_KEY_TIMESTAMP, doc->timestamp),
		tckpt_own_pair(TCKPT_KEY_ITEMS, doc->items_processed)
	};

	return build_object(pairs, lengthof(pairs), NULL);
}

/*
 * Builds the document: keys as in "doc", but for the history and the count of
 * entries cut from it, which come from "history".  An absent
 * accumulated_results becomes null.
 */
Jsonb *
tckpt_document_compose(const TckptDocument *doc, const TckptHistory *history)
{
	TckptDocument whole = *doc;
	TckptPair  *pairs = palloc((doc->nextra + TCKPT_NOWN_KEYS) *
							   sizeof(TckptPair));
	int64		truncated = history->sequence - tckpt_history_length(history);
	int			npairs = 0;
	int			extra = 0;

	whole.history = tckpt_value_of(JENTRY_ISCONTAINER,
								   tckpt_history_bytes(history), NULL);
	if (truncated > 0)
		whole.history_truncated = tckpt_value_of_int64(truncated);
	else
		whole.history_truncated.data = NULL;
	if (whole.accumulated_results.data == NULL)
		whole.accumulated_results = tckpt_value_null();

	/* merge two sorted lists */
	for (int key = 0; key < TCKPT_NOWN_KEYS; key++)
	{
		TckptPair	own;

		(void) tckpt_document_pair(&whole, key, &own);
		while (extra < doc->nextra &&
			   tckpt_key_cmp(doc->extra[extra].key, doc->extra[extra].keylen,
							 own.key, own.keylen) < 0)
			pairs[npairs++] = doc->extra[extra++];

		if (own.value.data != NULL ||
			key == TCKPT_KEY_HISTORY)
			pairs[npairs++] = own;
	}
	while (extra < doc->nextra)
		pairs[npairs++] = doc->extra[extra++];

	return build_object(pairs, npairs, history);
}
