/*-------------------------------------------------------------------------
 *
 * shown.c
 *	  How a name that others have chosen stands in a line of ours.
 *
 * A worker, an application or a coordinator calls itself what it likes.  With
 * characters that end a line or steer a terminal it could have health and
 * doctor say what they did not.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "tasker_checkpoint.h"

/*
 * Bytes of the character at "c" if it steers instead of being seen, else 0.
 * Bytes of other characters are not mistaken for one, in no server encoding.
 */
static int
control_length(const unsigned char *c, int left)
{
	if (c[0] < 0x20 || c[0] == 0x7F)
		return 1;
	if (GetDatabaseEncoding() != PG_UTF8)
		return 0;
	/* U+0080 to U+009F */
	if (left >= 2 && c[0] == 0xC2 && c[1] < 0xA0)
		return 2;
	/* marks of direction, ends of lines and paragraphs, embeddings, isolates */
	if (left >= 3 && c[0] == 0xE2 &&
		((c[1] == 0x80 && (c[2] == 0x8E || c[2] == 0x8F || (c[2] >= 0xA8 && c[2] <= 0xAE))) ||
		 (c[1] == 0x81 && c[2] >= 0xA6 && c[2] <= 0xA9)))
		return 3;
	return 0;
}

static void
append_escape(StringInfo shown, const unsigned char *c, int length)
{
	if (length == 1 && c[0] == '\n')
		appendStringInfoString(shown, "\\n");
	else if (length == 1 && c[0] == '\r')
		appendStringInfoString(shown, "\\r");
	else if (length == 1 && c[0] == '\t')
		appendStringInfoString(shown, "\\t");
	else if (length == 1)
		appendStringInfo(shown, "\\x%02x", c[0]);
	else
		appendStringInfo(shown, "\\u%04x", (unsigned int) utf8_to_unicode(c));
}

/* Escapes them; and quotes and backslashes as E'' wants it, if it is for a literal. */
static bool
append_shown(StringInfo shown, const char *value, int length, bool for_literal)
{
	bool		escaped = false;

	for (int i = 0; i < length;)
	{
		const unsigned char *c = (const unsigned char *) value + i;
		int			control = control_length(c, length - i);

		if (control > 0)
		{
			append_escape(shown, c, control);
			escaped = true;
			i += control;
			continue;
		}
		if (for_literal && (c[0] == '\'' || c[0] == '\\'))
			appendStringInfoChar(shown, (char) c[0]);
		appendStringInfoChar(shown, (char) c[0]);
		i++;
	}
	return escaped;
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_shown);
/*
 * A name without control characters, which are escaped as in E''; as a literal
 * with quotes, which SQL reads as the name.  NULL if it is NULL.
 */
Datum
tasker_checkpoint_shown(PG_FUNCTION_ARGS)
{
	text	   *value;
	bool		as_literal = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	StringInfoData shown;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	value = PG_GETARG_TEXT_PP(0);
	initStringInfo(&shown);
	if (as_literal)
		appendStringInfoString(&shown, "E'");
	if (!append_shown(&shown, VARDATA_ANY(value), (int) VARSIZE_ANY_EXHDR(value), as_literal))
		PG_RETURN_TEXT_P(as_literal ?
						 cstring_to_text(quote_literal_cstr(text_to_cstring(value))) : value);
	if (as_literal)
		appendStringInfoChar(&shown, '\'');
	PG_RETURN_TEXT_P(cstring_to_text_with_len(shown.data, shown.len));
}
