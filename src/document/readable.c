/*-------------------------------------------------------------------------
 *
 * readable.c
 *	  What readers of a checkpoint can take: numbers and nesting.
 *
 * A number of 12 bytes can have 131072 digits, and a kilobyte a hundred levels
 * of arrays.  Most readers hold numbers in a double, and have a limit of their
 * own for nesting.  So every number and container is looked at where it lies;
 * nothing is written out, and the first offence ends the search.
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

/*
 * Whether readers can take a value; if not, why.  "level" is that of the
 * container around it, 0 if there is none.  An absent value is readable.
 */
bool
tckpt_value_is_readable(const TckptValue *value, int level,
						TckptUnreadable *found)
{
	found->digits = 0;
	found->breach = value_breach(value, level, found);
	return found->breach == TCKPT_READABLE;
}

/*
 * The same for a key of a document.  What the history has of a checkpoint may
 * be nested as deeply there as it was in that.
 */
bool
tckpt_pair_is_readable(const TckptPair *pair, TckptUnreadable *found)
{
	bool		is_history = pair->keylen == strlen("history") &&
		memcmp(pair->key, "history", pair->keylen) == 0;

	return tckpt_value_is_readable(&pair->value,
								   is_history ? 1 - HISTORY_LEVELS : 1, found);
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
	if (!tckpt_document_read(checkpoint, &doc))
	{
		value = tckpt_value_of_jsonb(checkpoint);
		return tckpt_value_is_readable(&value, 0, &found);
	}
	for (int i = 0; tckpt_document_pair(&doc, i, &pair); i++)
		if (!tckpt_pair_is_readable(&pair, &found))
			return false;
	return true;
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
