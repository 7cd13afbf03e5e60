/*-------------------------------------------------------------------------
 *
 * readable.c
 *	  What readers of a checkpoint can take: numbers, nesting, length as text.
 *
 * A number of 12 bytes can have 131072 digits, and a kilobyte a hundred levels
 * of arrays.  Most readers hold numbers in a double, and have a limit of their
 * own for nesting.  So every number and container is looked at where it lies;
 * nothing is written out, and the first offence ends the search.
 *
 * No text can be sent that is longer than 1 GB, which a jsonb of a few MB can be;
 * whoever reads it gets an error, and so does a claim that would deliver it.
 *
 * Pure functions of their arguments, like document.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "document/readable.h"
#include "tasker_checkpoint.h"

/* Decimal digits in one to the base of 10000 */
#define BASE_DIGITS 4

/* Levels of the array and the object in which a history has its entries */
#define HISTORY_LEVELS 2

/*
 * No value takes more bytes as text for each of its own.  A number of a thousand
 * digits takes 12, a control character in a string becomes six.
 */
#define MAX_GROWTH 128

/*
 * The greatest double, rounded up to the digits that it is written with:
 * 1.7976931348623158e308.  No more is taken for infinity.
 */
static const int16 greatest_digits[] = {1, 7976, 9313, 4862, 3158};
static const int greatest_weight = 308 / BASE_DIGITS;

static bool
is_too_great(const TckptNumber *number)
{
	if (number->weight != greatest_weight)
		return number->weight > greatest_weight;

	for (int i = 0; i < (int) lengthof(greatest_digits); i++)
	{
		int16		digit = i < number->ndigits ? number->digits[i] : 0;

		if (digit != greatest_digits[i])
			return digit > greatest_digits[i];
	}
	return number->ndigits > (int) lengthof(greatest_digits);
}

/* Digits before the point; a zero there is none. */
static int
integer_digits(const TckptNumber *number)
{
	int			digits;

	if (number->ndigits == 0 || number->weight < 0)
		return 0;
	digits = number->weight * BASE_DIGITS + 1;
	for (int first = number->digits[0]; first >= 10; first /= 10)
		digits++;
	return digits;
}

static TckptBreach
number_breach(const TckptValue *value, TckptUnreadable *found)
{
	TckptNumber number;

	if (!tckpt_value_to_number(value, &number))
		return TCKPT_READABLE;
	if (number.special)
		return TCKPT_NUMBER_TOO_GREAT;

	/* so small a weight and scale cannot be too much together */
	if (number.weight < greatest_weight &&
		number.scale <= TCKPT_MAX_DIGITS - greatest_weight * BASE_DIGITS)
		return TCKPT_READABLE;

	found->digits = integer_digits(&number);
	if (is_too_great(&number))
		return TCKPT_NUMBER_TOO_GREAT;
	found->digits += number.scale;
	return found->digits > TCKPT_MAX_DIGITS ? TCKPT_TOO_MANY_DIGITS : TCKPT_READABLE;
}

static TckptBreach value_breach(const TckptValue *value, int level,
								TckptUnreadable *found);

/* Recursion ends with the last level that is allowed. */
static TckptBreach
container_breach(const JsonbContainer *container, int level,
				 TckptUnreadable *found)
{
	uint32		n = JsonContainerSize(container);
	const JEntry *entries = container->children;
	const char *data = (const char *) &container->children[n];
	uint32		start = 0;
	TckptBreach breach = TCKPT_READABLE;

	if (level > TCKPT_MAX_NESTING)
		return TCKPT_NESTED_TOO_DEEPLY;
	CHECK_FOR_INTERRUPTS();

	if (JsonContainerIsObject(container))
	{
		/* past the keys */
		start = getJsonbOffset(container, n);
		entries += n;
		data += n * sizeof(JEntry);
	}
	for (uint32 i = 0; i < n && breach == TCKPT_READABLE; i++)
	{
		JEntry		type = entries[i] & JENTRY_TYPEMASK;
		uint32		end = start;

		JBE_ADVANCE_OFFSET(end, entries[i]);
		if (TCKPT_IS_ALIGNED_TYPE(type) &&
			!(type == JENTRY_ISNUMERIC &&
			  TCKPT_NUMBER_IS_SHORT(data + INTALIGN(start))))
		{
			TckptValue	value = tckpt_value_at(data, start, end, entries[i]);

			breach = value_breach(&value, level, found);
		}
		start = end;
	}
	return breach;
}

/* "level" is that of the container around the value. */
static TckptBreach
value_breach(const TckptValue *value, int level, TckptUnreadable *found)
{
	if (value->data != NULL && value->type == JENTRY_ISCONTAINER)
		return container_breach((const JsonbContainer *) value->data, level + 1,
								found);
	return number_breach(value, found);
}

static bool
is_own_key(const TckptPair *pair, TckptKey key)
{
	return pair->keylen == tckpt_own_keys[key].len &&
		memcmp(pair->key, tckpt_own_keys[key].name, pair->keylen) == 0;
}

/* Whether a key is one that the guard writes, whatever was sent. */
static bool
is_guards(const TckptPair *pair)
{
	return is_own_key(pair, TCKPT_KEY_HISTORY) ||
		is_own_key(pair, TCKPT_KEY_TIMESTAMP) ||
		is_own_key(pair, TCKPT_KEY_TRUNCATED);
}

/* As core writes a string, in quotes. */
static Size
string_text(const char *data, uint32 len)
{
	Size		size = len + 2;

	for (uint32 i = 0; i < len; i++)
	{
		unsigned char c = data[i];

		if (c == '"' || c == '\\' || (c >= '\b' && c <= '\r' && c != '\v'))
			size += 1;
		else if (c < ' ')
			size += 5;
	}
	return size;
}

static Size
number_text(const TckptValue *value)
{
	TckptNumber number;

	if (!tckpt_value_to_number(value, &number))
		return 0;
	return (number.negative ? 1 : 0) + Max(integer_digits(&number), 1) +
		(number.scale > 0 ? 1 + number.scale : 0);
}

/*
 * The length of a value as text.  It is readable so far, so that recursion has
 * an end.
 */
static Size
value_text(const TckptValue *value)
{
	const JsonbContainer *container = (const JsonbContainer *) value->data;
	bool		is_object;
	uint32		n;
	const char *data;
	uint32		start = 0;
	Size		size;

	switch (value->type)
	{
		case JENTRY_ISSTRING:
			return string_text(value->data, value->len);
		case JENTRY_ISNUMERIC:
			return number_text(value);
		case JENTRY_ISBOOL_FALSE:
			return strlen("false");
		case JENTRY_ISBOOL_TRUE:
		case JENTRY_ISNULL:
			return strlen("true");
	}

	CHECK_FOR_INTERRUPTS();
	is_object = JsonContainerIsObject(container);
	n = JsonContainerSize(container);
	size = strlen("[]") + (n > 0 ? n - 1 : 0) * strlen(", ") +
		(is_object ? n * strlen(": ") : 0);
	if (is_object)
		n *= 2;
	data = (const char *) &container->children[n];
	for (uint32 i = 0; i < n; i++)
	{
		uint32		end = start;
		TckptValue	element;

		JBE_ADVANCE_OFFSET(end, container->children[i]);
		element = tckpt_value_at(data, start, end, container->children[i]);
		size += value_text(&element);
		start = end;
	}
	return size;
}

/*
 * Whether readers can take a value; if not, why.  "level" is that of the
 * container around it, 0 if there is none.  An absent value is readable.
 */
bool
tckpt_value_is_readable(const TckptValue *value, int level,
						TckptUnreadable *found)
{
	memset(found, 0, sizeof(*found));
	found->breach = value_breach(value, level, found);
	if (found->breach == TCKPT_READABLE && value->data != NULL &&
		(Size) value->len * MAX_GROWTH > TCKPT_MAX_TEXT)
	{
		found->length = value_text(value);
		if (found->length > TCKPT_MAX_TEXT)
			found->breach = TCKPT_TEXT_TOO_LONG;
	}
	return found->breach == TCKPT_READABLE;
}

/* What a document may take as text at most, without looking at each byte. */
static Size
greatest_text(const TckptDocument *doc)
{
	TckptPair	pair;
	Size		size = 0;

	for (int i = 0; tckpt_document_pair(doc, i, &pair); i++)
		if (pair.value.data != NULL)
			size += pair.keylen + pair.value.len;
	return size * MAX_GROWTH;
}

/*
 * What the history has of a checkpoint may be nested as deeply there as it was
 * in that.
 */
static TckptBreach
pair_breach(const TckptPair *pair, TckptUnreadable *found)
{
	return value_breach(&pair->value,
						is_own_key(pair, TCKPT_KEY_HISTORY) ? 1 - HISTORY_LEVELS : 1,
						found);
}

/* Whether "old" has the same key with the same value. */
static bool
has_pair(const TckptDocument *old, const TckptPair *pair)
{
	TckptPair	other;

	for (int i = 0; tckpt_document_pair(old, i, &other); i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (other.keylen == pair->keylen &&
			memcmp(other.key, pair->key, pair->keylen) == 0)
			return tckpt_value_equal(&other.value, &pair->value);
	}
	return false;
}

/*
 * Whether readers can take a document; if not, the first key for which they
 * can't, and why.  What an edit leaves as it is in "old" is not looked at; NULL
 * if it is no edit.
 */
bool
tckpt_document_is_readable(const TckptDocument *doc, const TckptDocument *old,
						   TckptPair *pair, TckptUnreadable *found)
{
	bool		may_be_long = greatest_text(doc) > TCKPT_MAX_TEXT;

	memset(found, 0, sizeof(*found));
	for (int i = 0; tckpt_document_pair(doc, i, pair); i++)
	{
		Size		length = 0;

		if (pair->value.data == NULL)
			continue;
		found->breach = pair_breach(pair, found);
		if (found->breach == TCKPT_READABLE && may_be_long && !is_guards(pair))
		{
			length = string_text(pair->key, pair->keylen) + value_text(&pair->value);
			if (found->length + length > TCKPT_MAX_TEXT)
				found->breach = TCKPT_TEXT_TOO_LONG;
		}
		if (found->breach != TCKPT_READABLE && old != NULL && has_pair(old, pair))
			found->breach = TCKPT_READABLE;
		else
			found->length += length;
		if (found->breach != TCKPT_READABLE)
			return false;
	}
	return true;
}

/* Whether readers can take a whole checkpoint, which may be NULL. */
bool
tckpt_checkpoint_is_readable(const Jsonb *checkpoint)
{
	TckptDocument doc;
	TckptPair	pair;
	TckptValue	value;
	TckptUnreadable found;

	if (checkpoint == NULL)
		return true;
	if (tckpt_document_read(checkpoint, &doc))
		return tckpt_document_is_readable(&doc, NULL, &pair, &found);
	value = tckpt_value_of_jsonb(checkpoint);
	return tckpt_value_is_readable(&value, 0, &found);
}

/*
 * Cuts the entries up to the last one that readers cannot take.  Only what was
 * stored without the guard, or with a warning, has such.
 */
void
tckpt_history_cut_unreadable(TckptHistory *history)
{
	for (uint32 i = history->nstored; i > history->first; i--)
	{
		JEntry		entry = history->array->children[i - 1];
		TckptValue	value;
		TckptUnreadable found;

		value = tckpt_value_at((const char *) &history->array->children[history->nstored],
							   history->offsets[i - 1], history->offsets[i],
							   entry);
		if (!tckpt_value_is_readable(&value, 0, &found))
		{
			tckpt_history_cut(history, history->nstored - i, -1);
			break;
		}
	}
}
