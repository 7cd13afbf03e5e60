/*-------------------------------------------------------------------------
 *
 * document.c
 *	  The checkpoint document: read it, cut and extend its history, compose it.
 *
 * Documents are composed by copying values as they lie in the jsonb they
 * come from; nothing is unpacked.  What is built here is, to the byte, what
 * core would build for the same value.
 *
 * Pure functions of their arguments: no SPI, no catalogs, no settings.  What
 * no jsonb can hold raises 54000, as core has it.  Results live in the
 * caller's memory context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "document.h"
#include "tasker_checkpoint.h"

/*
 * The document's own keys in stored order: shorter ones first.  No two have
 * the same length, so the length alone tells which one a key can be.
 */
static const struct
{
	const char *name;
	uint32		len;
	Size		field;			/* in TckptDocument */
}			document_keys[] =
{
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

static int
key_cmp(const char *a, uint32 alen, const char *b, uint32 blen)
{
	if (alen != blen)
		return alen > blen ? 1 : -1;
	return memcmp(a, b, alen);
}

/* The field of a document that holds this key; NULL if it is not ours. */
static TckptValue *
document_field(TckptDocument *doc, const char *key, uint32 keylen)
{
	for (int i = 0; i < (int) lengthof(document_keys); i++)
		if (key_cmp(document_keys[i].name, document_keys[i].len,
					key, keylen) == 0)
			return (TckptValue *) ((char *) doc + document_keys[i].field);
	return NULL;
}

static TckptPair
own_pair(int key, TckptValue value)
{
	return (TckptPair) {document_keys[key].name, document_keys[key].len, value};
}

/* tckpt_document_read() for any container. */
static bool
container_read(const JsonbContainer *root, TckptDocument *doc)
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
	return container_read(&jb->root, doc);
}

/*
 * The keys of a document one by one, ours first; false past the last one.
 * Where one of ours is absent, its value has no data.
 */
bool
tckpt_document_pair(const TckptDocument *doc, int i, TckptPair *pair)
{
	int			extra = i - (int) lengthof(document_keys);

	if (extra < 0)
		*pair = own_pair(i, *(const TckptValue *)
						 ((const char *) doc + document_keys[i].field));
	else if (extra < doc->nextra)
		*pair = doc->extra[extra];
	return extra < doc->nextra;
}

/* Entries that the history holds, the new one included. */
uint32
tckpt_history_length(const TckptHistory *history)
{
	return history->nstored - history->first +
		(history->entry.data != NULL ? 1 : 0);
}

/* Entries cut are counted up to a bound; beyond it the sequence stands still. */
static void
cap_sequence(TckptHistory *history)
{
	history->sequence = Min(history->sequence, TCKPT_MAX_TRUNCATED +
							tckpt_history_length(history));
}

/*
 * Reads what a document holds as history.  Nothing that is stored there makes
 * this fail: what is no array counts as none, and entries up to the last one
 * that is no object count as cut.
 */
void
tckpt_history_read(const TckptDocument *doc, TckptHistory *history)
{
	int64		truncated = 0;
	uint32	   *offsets;

	memset(history, 0, sizeof(*history));

	if (!tckpt_value_to_capped_count(&doc->history_truncated,
									 TCKPT_MAX_TRUNCATED, &truncated))
		truncated = 0;
	history->sequence = truncated;

	if (!tckpt_value_is_array(&doc->history))
		return;

	history->array = (const JsonbContainer *) doc->history.data;
	history->nstored = JsonContainerSize(history->array);
	history->data = (const char *) &history->array->children[history->nstored];
	history->sequence += history->nstored;

	offsets = palloc((history->nstored + 1) * sizeof(uint32));
	offsets[0] = 0;
	for (uint32 i = 0; i < history->nstored; i++)
	{
		offsets[i + 1] = offsets[i];
		JBE_ADVANCE_OFFSET(offsets[i + 1], history->array->children[i]);
	}
	history->offsets = offsets;

	for (uint32 i = history->nstored; i > 0; i--)
	{
		TckptValue	entry = tckpt_value_at(history->data, offsets[i - 1],
										   offsets[i],
										   history->array->children[i - 1]);

		if (entry.type != JENTRY_ISCONTAINER ||
			!JsonContainerIsObject((const JsonbContainer *) entry.data))
		{
			history->first = i;
			break;
		}
	}
	cap_sequence(history);
}

/* The number of the newest stored entry; the new one has the next. */
static int64
stored_sequence(const TckptHistory *history)
{
	return history->sequence - (history->entry.data != NULL ? 1 : 0);
}

/* The entry that was the checkpoint with this sequence, if kept. */
bool
tckpt_history_entry(const TckptHistory *history, int64 sequence,
					TckptDocument *entry)
{
	uint32		i;
	TckptValue	value;

	if (sequence > history->sequence ||
		sequence <= history->sequence - tckpt_history_length(history))
		return false;
	if (sequence > stored_sequence(history))
		return container_read((const JsonbContainer *) history->entry.data,
							  entry);

	i = history->nstored - 1 - (uint32) (stored_sequence(history) - sequence);
	value = tckpt_value_at(history->data, history->offsets[i],
						   history->offsets[i + 1],
						   history->array->children[i]);
	return container_read((const JsonbContainer *) value.data, entry);
}

/* Bytes of the stored entries that are kept, from the first one's own start. */
static uint32
history_kept_bytes(const TckptHistory *history)
{
	if (history->first == history->nstored)
		return 0;
	return history->offsets[history->nstored] -
		INTALIGN(history->offsets[history->first]);
}

/* Bytes of the history's container. */
static uint32
history_bytes(const TckptHistory *history)
{
	uint32		data = history_kept_bytes(history);

	if (history->entry.data != NULL)
		data = INTALIGN(data) + history->entry.len;
	return sizeof(uint32) + tckpt_history_length(history) * sizeof(JEntry) +
		data;
}

/*
 * Cuts the oldest entries until no more than so many are left, and no more
 * than so many bytes as a jsonb of its own; -1 for no bound.  The new entry
 * goes like any other.
 */
void
tckpt_history_cut(TckptHistory *history, int64 entries, int64 size)
{
	while ((entries >= 0 && tckpt_history_length(history) > entries) ||
		   (size >= 0 && VARHDRSZ + (int64) history_bytes(history) > size))
	{
		if (history->first < history->nstored)
			history->first++;
		else if (history->entry.data != NULL)
			history->entry.data = NULL;
		else
			break;
	}
	cap_sequence(history);
}

/*
 * Writes the history's container.  Stored entries are all objects, so that
 * their relative position modulo four, and with it the padding between them,
 * stays as it is when the first one moves to the start.
 */
static void
history_write(const TckptHistory *history, char *dest)
{
	JsonbContainer *array = (JsonbContainer *) dest;
	uint32		length = tckpt_history_length(history);
	uint32		nkept = history->nstored - history->first;
	uint32		kept = history_kept_bytes(history);
	char	   *data = (char *) &array->children[length];
	uint32		start = 0;
	uint32		base = nkept > 0 ? INTALIGN(history->offsets[history->first]) : 0;

	array->header = length | JB_FARRAY;
	for (uint32 i = 0; i < length; i++)
	{
		uint32		end;

		if (i < nkept)
			end = history->offsets[history->first + i + 1] - base;
		else
			end = INTALIGN(kept) + history->entry.len;

		if (i % JB_OFFSET_STRIDE == 0)
			array->children[i] = JENTRY_ISCONTAINER | JENTRY_HAS_OFF | end;
		else
			array->children[i] = JENTRY_ISCONTAINER | (end - start);
		start = end;
	}

	if (nkept > 0)
		memcpy(data, history->data + base, kept);
	if (history->entry.data != NULL)
	{
		memset(data + kept, 0, INTALIGN(kept) - kept);
		memcpy(data + INTALIGN(kept), history->entry.data, history->entry.len);
	}
}

/* The entries from this sequence on, of those that are kept, as an array. */
Jsonb *
tckpt_history_since(const TckptHistory *history, int64 sequence)
{
	TckptHistory part = *history;
	int64		n = history->sequence - sequence + 1;
	Size		size;
	Jsonb	   *jb;

	tckpt_history_cut(&part, Max(n, 0), -1);
	size = VARHDRSZ + history_bytes(&part);
	jb = palloc(size);
	SET_VARSIZE(jb, size);
	history_write(&part, (char *) &jb->root);
	return jb;
}

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
				history_write(history, data + offset);
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
		own_pair(0, *cursor),
		own_pair(3, *items_processed),
		own_pair(5, *accumulated_results)
	};

	return build_object(pairs, lengthof(pairs), NULL);
}

/* Appends the document itself to the history, as its newest entry. */
void
tckpt_history_append(TckptHistory *history, const TckptDocument *doc)
{
	TckptPair	pairs[] = {
		own_pair(0, doc->cursor),
		own_pair(2, doc->timestamp),
		own_pair(3, doc->items_processed)
	};
	Jsonb	   *entry = build_object(pairs, lengthof(pairs), NULL);

	history->entry = tckpt_value_of_jsonb(entry);
	history->sequence++;
}

/*
 * Reads all checkpoints that a document tells of: its history, and the present
 * one as the document itself has it.  That may have been cut from the history as
 * soon as it was made, or stand there with less, as others wrote it.  A time
 * that the history has of it stays, as the next checkpoint leaves it there.
 */
void
tckpt_history_read_present(const TckptDocument *doc, TckptHistory *history)
{
	TckptDocument present = *doc;
	TckptDocument newest;

	tckpt_history_read(doc, history);
	if (history->sequence == 0 || doc->cursor.data == NULL ||
		doc->timestamp.data == NULL || doc->items_processed.data == NULL)
		return;

	if (tckpt_history_entry(history, history->sequence, &newest))
	{
		if (newest.timestamp.data != NULL)
			present.timestamp = newest.timestamp;
		history->nstored--;
	}
	history->sequence--;
	tckpt_history_append(history, &present);
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
	TckptPair  *pairs = palloc((doc->nextra + lengthof(document_keys)) *
							   sizeof(TckptPair));
	int64		truncated = history->sequence - tckpt_history_length(history);
	int			npairs = 0;
	int			extra = 0;

	whole.history = (TckptValue) {JENTRY_ISCONTAINER, history_bytes(history),
		NULL};
	if (truncated > 0)
		whole.history_truncated = tckpt_value_of_int64(truncated);
	else
		whole.history_truncated.data = NULL;
	if (whole.accumulated_results.data == NULL)
		whole.accumulated_results = tckpt_value_null();

	/* merge two sorted lists */
	for (int key = 0; key < (int) lengthof(document_keys); key++)
	{
		TckptPair	own;

		(void) tckpt_document_pair(&whole, key, &own);
		while (extra < doc->nextra &&
			   key_cmp(doc->extra[extra].key, doc->extra[extra].keylen,
					   own.key, own.keylen) < 0)
			pairs[npairs++] = doc->extra[extra++];

		if (own.value.data != NULL ||
			document_keys[key].field == offsetof(TckptDocument, history))
			pairs[npairs++] = own;
	}
	while (extra < doc->nextra)
		pairs[npairs++] = doc->extra[extra++];

	return build_object(pairs, npairs, history);
}
