/*-------------------------------------------------------------------------
 *
 * document.c
 *	  What src/document/ makes of two documents that libFuzzer thinks up.
 *
 * An input bounds the history and makes two documents (json.c): the checkpoint
 * that a row holds, and the one that is sent, which is put on top of it as the
 * guard does it, as a new checkpoint and as an edit.  What must hold is said by
 * requires: above all that what is composed is, byte by byte, what core makes of
 * its text.
 *
 * The documents lie in front of a page that nobody may read, so that a look
 * behind their end is seen.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>
#include <sys/mman.h>
#include <unistd.h>

#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "document/build.h"
#include "document/figures.h"
#include "document/history.h"
#include "document/readable.h"
#include "json.h"

PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(tckpt_fuzz);

/* libFuzzer's way in, which no header of its declares for C */
extern int	LLVMFuzzerRunDriver(int *argc, char ***argv,
								int (*one) (const uint8_t *data, size_t size));

#define ROOM		(64 * 1024)

/* An arbitrary time: 2026-01-01 */
#define NOW			INT64CONST(820454400000000)

static MemoryContext input_context;
static char *room[2];			/* the ends of two pieces of memory */

#define require(condition) \
	do { \
		if (!(condition)) \
		{ \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

/* Memory that ends where none may be read. */
static char *
make_room(void)
{
	long		page = sysconf(_SC_PAGESIZE);
	char	   *start = mmap(NULL, ROOM + page, PROT_READ | PROT_WRITE,
							 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (start == MAP_FAILED || mprotect(start + ROOM, page, PROT_NONE) != 0)
		elog(ERROR, "no memory: %m");
	return start + ROOM;
}

static Jsonb *
parse(const char *text)
{
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
}

/* The text as a jsonb, up to the end of that room; NULL if it is none. */
static Jsonb *
read_document(const char *text, int where)
{
	MemoryContext caller = CurrentMemoryContext;
	Jsonb	   *volatile found = NULL;

	PG_TRY();
	{
		Jsonb	   *parsed = parse(text);
		Size		size = INTALIGN(VARSIZE(parsed));

		if (size <= ROOM)
		{
			found = (Jsonb *) (room[where] - size);
			memcpy(found, parsed, VARSIZE(parsed));
		}
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		FlushErrorState();
	}
	PG_END_TRY();
	return found;
}

/* A part is found where core finds it. */
static void
check_part(const Jsonb *jb, const TckptValue *value, const char *key)
{
	JsonbValue	buffer;
	JsonbValue *core = getKeyJsonValueFromContainer((JsonbContainer *) &jb->root,
													key, strlen(key), &buffer);
	Jsonb	   *ours;

	require((core == NULL) == (value->data == NULL));
	if (core == NULL)
		return;
	ours = tckpt_value_to_jsonb(value);
	require(compareJsonbContainers(&ours->root, &JsonbValueToJsonb(core)->root) == 0);
	require(tckpt_value_equal(value, value));
}

/* The size of what is not ours is that of the document without what is. */
static void
check_extra(const Jsonb *jb, const TckptDocument *doc)
{
	Datum		rest = PointerGetDatum(jb);

	for (int i = 0; i < TCKPT_NOWN_KEYS; i++)
		rest = DirectFunctionCall2(jsonb_delete, rest,
								   PointerGetDatum(cstring_to_text(tckpt_own_keys[i].name)));
	require(doc->extra_size == (doc->nextra == 0 ? 0 : VARSIZE(DatumGetJsonbP(rest))));
}

/* What is a count is what is written as one: digits, and no more than an int64 has. */
static void
check_count(const TckptValue *value)
{
	int64		count;
	bool		is_count = tckpt_value_to_count(value, &count);
	char	   *text;
	char	   *printed;

	if (value->data == NULL || value->type != JENTRY_ISNUMERIC)
	{
		require(!is_count);
		return;
	}
	text = DatumGetCString(DirectFunctionCall1(numeric_out, PointerGetDatum(value->data)));
	if (is_count)
	{
		printed = psprintf(INT64_FORMAT, count);
		require(strcmp(text, printed) == 0);
	}
	else
		require(text[0] == '-' || strspn(text, "0123456789") != strlen(text) ||
				strlen(text) > 19 ||
				(strlen(text) == 19 && strcmp(text, "9223372036854775807") > 0));
}

/* What was composed is what core makes of its text. */
static void
check_composed(Jsonb *composed)
{
	char	   *text = JsonbToCString(NULL, &composed->root, VARSIZE(composed));
	Jsonb	   *again = parse(text);

	require(VARSIZE(again) == VARSIZE(composed));
	require(memcmp(again, composed, VARSIZE(again)) == 0);
}

/* Everything that is only read: that it comes back. */
static void
look_at(const Jsonb *jb, const TckptDocument *doc)
{
	TckptHistory history;
	TckptDocument entry;
	TimestampTz at;
	int64		total;
	double		rate;

	(void) tckpt_document_time(doc, &at);
	require(tckpt_document_items(doc) >= 0);
	(void) tckpt_checkpoint_is_readable(jb);
	(void) tckpt_results_total(doc, &total);
	(void) tckpt_inputs_total((Jsonb *) jb, &total);
	(void) tckpt_document_repeated(doc);
	tckpt_history_read_present(doc, &history);
	rate = tckpt_history_rate(&history);
	require(isnan(rate) || rate >= 0);
	tckpt_history_read(doc, &history);
	require(history.sequence >= tckpt_history_length(&history));
	require(history.sequence == tckpt_document_sequence(doc));
	for (int64 back = -1; back < 4; back++)
		(void) tckpt_history_entry(&history, history.sequence - back, &entry);
	if (tckpt_history_length(&history) > 0)
		check_composed(tckpt_history_since(&history, history.sequence - 3));
}

static uint32
stored_length(const Jsonb *composed)
{
	TckptDocument doc;

	require(tckpt_document_read(composed, &doc));
	require(tckpt_value_is_array(&doc.history));
	return JsonContainerSize((const JsonbContainer *) doc.history.data);
}

/* As table/compose.c makes a checkpoint of what was sent. */
static void
compose_new(TckptDocument *doc, const TckptDocument *old, int64 entries, int64 size)
{
	TckptHistory history;
	TckptUnreadable found;
	TckptPair	pair;
	Jsonb	   *composed;
	int64		items;
	int64		before;

	if (doc->cursor.data == NULL || !tckpt_value_to_count(&doc->items_processed, &items) ||
		!tckpt_document_is_readable(doc, NULL, &pair, &found))
		return;
	doc->timestamp = tckpt_value_of_timestamp(NOW);
	tckpt_history_read(old, &history);
	tckpt_history_cut_unreadable(&history);
	before = history.sequence;
	tckpt_history_append(&history, doc);
	tckpt_history_cut(&history, entries, size);
	require(history.sequence ==
			Min(before + 1, TCKPT_MAX_TRUNCATED + tckpt_history_length(&history)));
	composed = tckpt_document_compose(doc, &history);
	check_composed(composed);
	require(stored_length(composed) == tckpt_history_length(&history));
	require(entries < 0 || tckpt_history_length(&history) <= entries);
	require(size < 0 || VARHDRSZ + tckpt_history_bytes(&history) <= size ||
			tckpt_history_length(&history) == 0);
	require(tckpt_checkpoint_is_readable(composed));
}

/* As it makes one of what is edited. */
static void
compose_edit(const TckptDocument *doc, const TckptDocument *old, int64 entries)
{
	TckptDocument edited = *doc;
	TckptHistory history;

	if (doc->cursor.data == NULL || doc->items_processed.data == NULL)
		return;
	tckpt_history_read(old, &history);
	tckpt_history_cut(&history, entries, -1);
	edited.timestamp = old->timestamp;
	check_composed(tckpt_document_compose(&edited, &history));
}

/* Reads a document, and holds its parts against what core finds. */
static Jsonb *
take(Bytes *bytes, int where, TckptDocument *doc)
{
	StringInfoData json;
	Jsonb	   *jb;

	memset(doc, 0, sizeof(*doc));
	initStringInfo(&json);
	append_document(&json, bytes);
	jb = read_document(json.data, where);
	if (jb == NULL)
		return NULL;
	require(tckpt_document_read(jb, doc));
	for (int i = 0; i < TCKPT_NOWN_KEYS; i++)
	{
		TckptPair	part;

		(void) tckpt_document_pair(doc, i, &part);
		check_part(jb, &part.value, tckpt_own_keys[i].name);
		check_count(&part.value);
	}
	check_extra(jb, doc);
	look_at(jb, doc);
	return jb;
}

static int
try_input(const uint8_t *data, size_t size)
{
	MemoryContext caller = MemoryContextSwitchTo(input_context);
	Bytes		bytes = {data, data + size};
	int64		entries = next_byte(&bytes);
	int64		room_for = next_byte(&bytes) * 16;
	TckptDocument old;
	TckptDocument doc;

	/* there may be no bound */
	entries = entries == 255 ? -1 : entries;
	room_for = room_for == 255 * 16 ? -1 : room_for;
	(void) take(&bytes, 0, &old);
	if (take(&bytes, 1, &doc) != NULL)
	{
		compose_edit(&doc, &old, entries);
		compose_new(&doc, &old, entries, room_for);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextReset(input_context);
	return 0;
}

/* tckpt_fuzz(text[]): runs libFuzzer with these arguments; ends the process. */
Datum
tckpt_fuzz(PG_FUNCTION_ARGS)
{
	Datum	   *words;
	int			nwords;
	char	  **argv;
	int			argc;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT,
					  &words, NULL, &nwords);
	argv = palloc0((nwords + 2) * sizeof(char *));
	argv[0] = "fuzz";
	for (int i = 0; i < nwords; i++)
		argv[i + 1] = TextDatumGetCString(words[i]);
	argc = nwords + 1;

	input_context = AllocSetContextCreate(TopMemoryContext, "input", ALLOCSET_DEFAULT_SIZES);
	room[0] = make_room();
	room[1] = make_room();
	PG_RETURN_INT32(LLVMFuzzerRunDriver(&argc, &argv, try_input));
}
