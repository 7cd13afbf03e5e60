/*-------------------------------------------------------------------------
 *
 * history.c
 *	  A checkpoint's history: read it, cut it, extend it.
 *
 * An array of objects loses its first entries and gains one by copying, see
 * build.c.  Pure functions, too.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "document/build.h"
#include "document/history.h"
#include "tasker_checkpoint.h"

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
		return tckpt_container_read((const JsonbContainer *) history->entry.data,
									entry);

	i = history->nstored - 1 - (uint32) (stored_sequence(history) - sequence);
	value = tckpt_value_at(history->data, history->offsets[i],
						   history->offsets[i + 1],
						   history->array->children[i]);
	return tckpt_container_read((const JsonbContainer *) value.data, entry);
}

/* The number of a checkpoint; 0 of an empty document. */
int64
tckpt_document_sequence(const TckptDocument *doc)
{
	TckptHistory history;

	tckpt_history_read(doc, &history);
	return history.sequence;
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
uint32
tckpt_history_bytes(const TckptHistory *history)
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
		   (size >= 0 && VARHDRSZ + (int64) tckpt_history_bytes(history) > size))
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
void
tckpt_history_write(const TckptHistory *history, char *dest)
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
	size = VARHDRSZ + tckpt_history_bytes(&part);
	jb = palloc(size);
	SET_VARSIZE(jb, size);
	tckpt_history_write(&part, (char *) &jb->root);
	return jb;
}

/* Appends the document itself to the history, as its newest entry. */
void
tckpt_history_append(TckptHistory *history, const TckptDocument *doc)
{
	history->entry = tckpt_value_of_jsonb(tckpt_document_entry(doc));
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
