/*-------------------------------------------------------------------------
 *
 * json.c
 *	  Documents out of arbitrary bytes.
 *
 * Each byte is a decision, so that nearly all that libFuzzer thinks up is a
 * document, and a small change of the bytes is a small change of it.  Most are
 * such as the guard stores; any part of one can be anything.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "json.h"

/* Deeper than what is taken to be readable */
#define MAX_LEVELS	200

/* More than core keeps between two offsets, twice */
#define MAX_ENTRIES 80

static const char *const own_keys[] = {
	"cursor", "history", "timestamp", "items_processed", "history_truncated",
	"accumulated_results"
};

/* Beside keys of the same lengths as ours, some that are told by what they hold */
static const char *const other_keys[] = {
	"", "a", "total_items", "total", "repeated", "cursos", "historz", "timestamq",
	"items_processee", "history_truncatee", "accumulated_resultt", "\\u00e9", "\\\"", "zz_longer_than_any_key_of_ours"
};

static const char *const scalars[] = {
	"null", "true", "false", "0", "-1", "1.0", "1.50", "9007199254740992", "9007199254740993",
	"9223372036854775807", "9223372036854775808", "1e-400", "1e308", "1.8e308", "1e400",
	"0.1e-16383", "9999", "10000", "12345678901234567890123456789012345678.5",
	"\"2026-01-01T00:00:00.000000Z\"", "\"2026-01-01T00:00:00.000001Z\"",
	"\"2026-06-30T23:59:60.000000Z\"", "\"294276-12-31T23:59:59.999999Z\"", "\"2026-01-01\"",
	"\"infinity\"", "\"-infinity\"", "\"0000-01-01T00:00:00Z\"", "\"\"", "\"\\u0001\\u001f\\\\\"",
	"\"\\ud83d\\ude00\"", "[]", "{}"
};

int
next_byte(Bytes *bytes)
{
	return bytes->next < bytes->end ? *bytes->next++ : 0;
}

static const char *
choose(const char *const *from, int count, Bytes *bytes)
{
	return from[next_byte(bytes) % count];
}

static void append_value(StringInfo json, Bytes *bytes, int level);

static void
append_key(StringInfo json, Bytes *bytes)
{
	if (next_byte(bytes) % 4 == 0)
		appendStringInfo(json, "\"%s\": ", choose(own_keys, lengthof(own_keys), bytes));
	else
		appendStringInfo(json, "\"%s\": ", choose(other_keys, lengthof(other_keys), bytes));
}

/* An entry of a history, complete or not. */
static void
append_entry(StringInfo json, Bytes *bytes)
{
	int			kind = next_byte(bytes);

	if (kind > 200)
		append_value(json, bytes, 2);
	else if (kind > 100)
		appendStringInfo(json, "{\"cursor\": %d, \"timestamp\": \"2026-01-%02dT00:00:%02d.%06dZ\", \"items_processed\": %d}",
						 kind, 1 + kind % 31, next_byte(bytes) % 60, kind * 1000, next_byte(bytes));
	else
	{
		appendStringInfoString(json, "{\"cursor\": ");
		append_value(json, bytes, 3);
		appendStringInfoString(json, ", \"timestamp\": ");
		appendStringInfoString(json, choose(scalars, lengthof(scalars), bytes));
		appendStringInfoString(json, ", \"items_processed\": ");
		appendStringInfoString(json, choose(scalars, lengthof(scalars), bytes));
		appendStringInfoChar(json, '}');
	}
}

static void
append_array(StringInfo json, Bytes *bytes, int count, int level)
{
	appendStringInfoChar(json, '[');
	for (int i = 0; i < count; i++)
	{
		if (i > 0)
			appendStringInfoString(json, ", ");
		append_value(json, bytes, level + 1);
	}
	appendStringInfoChar(json, ']');
}

static void
append_object(StringInfo json, Bytes *bytes, int count, int level)
{
	appendStringInfoChar(json, '{');
	for (int i = 0; i < count; i++)
	{
		if (i > 0)
			appendStringInfoString(json, ", ");
		append_key(json, bytes);
		append_value(json, bytes, level + 1);
	}
	appendStringInfoChar(json, '}');
}

/* Arrays in each other. */
static void
append_nested(StringInfo json, Bytes *bytes)
{
	int			levels = next_byte(bytes) % MAX_LEVELS;

	for (int i = 0; i < levels; i++)
		appendStringInfoChar(json, '[');
	appendStringInfoString(json, "1");
	for (int i = 0; i < levels; i++)
		appendStringInfoChar(json, ']');
}

static void
append_digits(StringInfo json, Bytes *bytes)
{
	int			before = 1 + next_byte(bytes) * 2;
	int			after = next_byte(bytes) * 3;

	if (next_byte(bytes) % 2 == 1)
		appendStringInfoChar(json, '-');
	for (int i = 0; i < before; i++)
		appendStringInfoChar(json, '1' + i % 9);
	if (after > 0)
		appendStringInfoChar(json, '.');
	for (int i = 0; i < after; i++)
		appendStringInfoChar(json, '0' + i % 10);
}

static void
append_value(StringInfo json, Bytes *bytes, int level)
{
	int			kind = next_byte(bytes);

	if (kind < 32)
		appendStringInfoString(json, scalars[kind]);
	else if (kind < 160)
		appendStringInfo(json, "%d", kind - 32);
	else if (kind < 180)
		appendStringInfo(json, "\"%*s\"", kind - 160, "");
	else if (kind < 190)
		append_digits(json, bytes);
	else if (kind < 200)
		append_nested(json, bytes);
	else if (level >= MAX_LEVELS)
		appendStringInfoString(json, "null");
	else if (kind < 225)
		append_array(json, bytes, kind - 200, level);
	else
		append_object(json, bytes, (kind - 225) % 12, level);
}

static void
append_history(StringInfo json, Bytes *bytes)
{
	int			count = next_byte(bytes) % MAX_ENTRIES;

	appendStringInfoChar(json, '[');
	for (int i = 0; i < count; i++)
	{
		if (i > 0)
			appendStringInfoString(json, ", ");
		append_entry(json, bytes);
	}
	appendStringInfoChar(json, ']');
}

/* A value where a key of ours has it; mostly what belongs there. */
static void
append_own(StringInfo json, Bytes *bytes, int key)
{
	int			kind = next_byte(bytes);

	if (kind > 220 || strcmp(own_keys[key], "cursor") == 0)
		append_value(json, bytes, 1);
	else if (strcmp(own_keys[key], "history") == 0)
		append_history(json, bytes);
	else if (strcmp(own_keys[key], "timestamp") == 0)
		appendStringInfo(json, "\"2026-01-01T00:00:00.%06dZ\"", kind);
	else if (strcmp(own_keys[key], "accumulated_results") == 0)
		append_object(json, bytes, kind % 40, 1);
	else
		appendStringInfo(json, "%d", kind);
}

/* Which keys of ours it has is the first byte, how many others the second. */
void
append_document(StringInfo json, Bytes *bytes)
{
	int			present = next_byte(bytes);
	int			others = next_byte(bytes) % 8;
	const char *comma = "";

	appendStringInfoChar(json, '{');
	for (int key = 0; key < lengthof(own_keys); key++)
		if ((present & (1 << key)) == 0)
		{
			appendStringInfo(json, "%s\"%s\": ", comma, own_keys[key]);
			append_own(json, bytes, key);
			comma = ", ";
		}
	for (int i = 0; i < others; i++)
	{
		appendStringInfoString(json, comma);
		append_key(json, bytes);
		append_value(json, bytes, 1);
		comma = ", ";
	}
	appendStringInfoChar(json, '}');
}
