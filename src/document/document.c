/*-------------------------------------------------------------------------
 *
 * document.c
 *	  The checkpoint document, taken apart.
 *
 * Values stay where they lie in the jsonb; nothing is unpacked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "document/document.h"
#include "tasker_checkpoint.h"

const TckptOwnKey tckpt_own_keys[TCKPT_NOWN_KEYS] = {
	{"cursor", 6, offsetof(TckptDocument, cursor)},
	{"history", 7, offsetof(TckptDocument, history)},
	{"timestamp", 9, offsetof(TckptDocument, timestamp)},
	{"items_processed", 15, offsetof(TckptDocument, items_processed)},
	{"history_truncated", 17, offsetof(TckptDocument, history_truncated)},
	{"accumulated_results", 19, offsetof(TckptDocument, accumulated_results)}
};

/* A JSON null in the checkpoint column is no checkpoint. */
bool
tckpt_is_json_null(const Jsonb *jb)
{
	return tckpt_value_of_jsonb(jb).type == JENTRY_ISNULL;
}

/* The order in which a jsonb stores its keys. */
int
tckpt_key_cmp(const char *a, uint32 alen, const char *b, uint32 blen)
{
	if (alen != blen)
		return alen > blen ? 1 : -1;
	return memcmp(a, b, alen);
}

/* The field of a document that holds this key; NULL if it is not ours. */
static TckptValue *
document_field(TckptDocument *doc, const char *key, uint32 keylen)
{
	for (int i = 0; i < TCKPT_NOWN_KEYS; i++)
		if (tckpt_key_cmp(tckpt_own_keys[i].name, tckpt_own_keys[i].len,
						  key, keylen) == 0)
			return (TckptValue *) ((char *) doc + tckpt_own_keys[i].field);
	return NULL;
}

/* One of our own keys with a value. */
TckptPair
tckpt_own_pair(TckptKey key, TckptValue value)
{
	TckptPair	pair;

	pair.key = tckpt_own_keys[key].name;
	pair.keylen = tckpt_own_keys[key].len;
	pair.value = value;
	return pair;
}

/* tckpt_document_read() for any container. */
bool
tckpt_container_read(const JsonbContainer *root, TckptDocument *doc)
{
	uint32		npairs = JsonContainerSize(root);
	const char *data = (const char *) &root->children[npairs * 2];
	uint32		key_start = 0;
	uint32		value_start;
	uint32		extra_data = 0;

	memset(doc, 0, sizeof(*doc));
	if (!JsonContainerIsObject(root))
		return false;

	value_start = getJsonbOffset(root, npairs);
	for (uint32 i = 0; i < npairs; i++)
	{
		uint32		key_end = key_start;
		uint32		value_end = value_start;
		TckptPair	pair;
		TckptValue *field;

		JBE_ADVANCE_OFFSET(key_end, root->children[i]);
		JBE_ADVANCE_OFFSET(value_end, root->children[npairs + i]);

		pair.key = data + key_start;
		pair.keylen = key_end - key_start;
		pair.value = tckpt_value_at(data, value_start, value_end,
									root->children[npairs + i]);

		field = document_field(doc, pair.key, pair.keylen);
		if (field != NULL)
			*field = pair.value;
		else
		{
			if (doc->extra == NULL)
				doc->extra = palloc(npairs * sizeof(TckptPair));
			doc->extra[doc->nextra++] = pair;
		}

		key_start = key_end;
		value_start = value_end;
	}

	if (doc->nextra == 0)
		return true;

	/* lay the other keys out as one object, to know its size */
	for (int i = 0; i < doc->nextra; i++)
		extra_data += doc->extra[i].keylen;
	for (int i = 0; i < doc->nextra; i++)
	{
		if (TCKPT_IS_ALIGNED_TYPE(doc->extra[i].value.type))
			extra_data = INTALIGN(extra_data);
		extra_data += doc->extra[i].value.len;
	}
	doc->extra_size = VARHDRSZ + sizeof(uint32) +
		2 * doc->nextra * sizeof(JEntry) + extra_data;
	return true;
}

/*
 * Takes a document apart.  False, and an empty document, if it is no object.
 */
bool
tckpt_document_read(const Jsonb *jb, TckptDocument *doc)
{
	return tckpt_container_read(&jb->root, doc);
}

/* The time that a document holds; false if it can't be read. */
bool
tckpt_document_time(const TckptDocument *doc, TimestampTz *at)
{
	return tckpt_value_to_timestamp(&doc->timestamp, at);
}

/* The items that a document counts; 0 where that is no count. */
int64
tckpt_document_items(const TckptDocument *doc)
{
	int64		items;

	return tckpt_value_to_count(&doc->items_processed, &items) ? items : 0;
}

/*
 * The keys of a document one by one, ours first; false past the last one.
 * Where one of ours is absent, its value has no data.
 */
bool
tckpt_document_pair(const TckptDocument *doc, int i, TckptPair *pair)
{
	int			extra = i - TCKPT_NOWN_KEYS;

	if (extra < 0)
		*pair = tckpt_own_pair(i, *(const TckptValue *)
							   ((const char *) doc + tckpt_own_keys[i].field));
	else if (extra < doc->nextra)
		*pair = doc->extra[extra];
	return extra < doc->nextra;
}
