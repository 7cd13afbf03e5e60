/*-------------------------------------------------------------------------
 *
 * value.c
 *	  A JSON value where it lies in a jsonb.
 *
 * The on-disk format of jsonb (jsonb.h) lets a value be copied as it is: its
 * bytes do not depend on where it stands, but for the padding in front of it,
 * since containers and numerics begin at a multiple of four.
 *
 * Values point into the jsonb they were read from, which must be detoasted and
 * outlive them; new ones live in the caller's memory context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/int.h"
#include "utils/datetime.h"
#include "utils/numeric.h"

#include "document/value.h"
#include "tasker_checkpoint.h"

/*
 * A numeric as it is stored, which numeric.c keeps to itself: a header of two
 * bytes with all that small numbers need, or a longer one with the weight in
 * two more; then the digits.
 */
#define NUMBER_BASE				10000
#define NUMBER_FORM(header)		((header) & 0xC000)
#define NUMBER_NEGATIVE			0x4000
#define NUMBER_SHORT			0x8000
#define NUMBER_SPECIAL			0xC000
#define NUMBER_SCALE_MASK		0x3FFF
#define NUMBER_SHORT_NEGATIVE	0x2000
#define NUMBER_SHORT_SCALE(header)	(((header) & 0x1F80) >> 7)
#define NUMBER_SHORT_WEIGHT(header) \
	(((header) & 0x003F) - ((header) & 0x0040))

/* Length of an RFC 3339 time in UTC, with microseconds */
#define TIMESTAMP_LEN 27

TckptValue
tckpt_value_null(void)
{
	return tckpt_value_of(JENTRY_ISNULL, 0, "");
}

/*
 * The value that "entry" describes, "offset" bytes into the data of its
 * container.  The padding before it counts in the entry, but is not part of
 * the value.
 */
TckptValue
tckpt_value_at(const char *data, uint32 offset, uint32 end, JEntry entry)
{
	JEntry		type = entry & JENTRY_TYPEMASK;

	if (TCKPT_IS_ALIGNED_TYPE(type))
		offset = INTALIGN(offset);
	return tckpt_value_of(type, end - offset, data + offset);
}

/* The root of a jsonb as a value, a scalar without the array around it. */
TckptValue
tckpt_value_of_jsonb(const Jsonb *jb)
{
	const JsonbContainer *root = &jb->root;

	if (JsonContainerIsScalar(root))
		return tckpt_value_at((const char *) &root->children[1], 0,
							  JBE_OFFLENFLD(root->children[0]),
							  root->children[0]);

	return tckpt_value_of(JENTRY_ISCONTAINER, VARSIZE(jb) - VARHDRSZ, root);
}

TckptValue
tckpt_value_of_int64(int64 value)
{
	Numeric		num = int64_to_numeric(value);

	return tckpt_value_of(JENTRY_ISNUMERIC, VARSIZE(num), num);
}

/* Writes the last "n" digits of a number and what comes after it. */
static char *
put_digits(char *p, int n, int number, char next)
{
	for (int i = n - 1; i >= 0; i--, number /= 10)
		p[i] = '0' + number % 10;
	p[n] = next;
	return p + n + 1;
}

/* A time as RFC 3339 has it: UTC, six decimals, Z. */
TckptValue
tckpt_value_of_timestamp(TimestampTz value)
{
	char	   *buf = palloc(TIMESTAMP_LEN);
	char	   *p;
	struct pg_tm tm;
	fsec_t		fsec;

	if (timestamp2tm(value, NULL, &tm, &fsec, NULL, NULL) != 0)
		elog(ERROR, "timestamp out of range");

	p = put_digits(buf, 4, tm.tm_year, '-');
	p = put_digits(p, 2, tm.tm_mon, '-');
	p = put_digits(p, 2, tm.tm_mday, 'T');
	p = put_digits(p, 2, tm.tm_hour, ':');
	p = put_digits(p, 2, tm.tm_min, ':');
	p = put_digits(p, 2, tm.tm_sec, '.');
	(void) put_digits(p, 6, (int) fsec, 'Z');

	return tckpt_value_of(JENTRY_ISSTRING, TIMESTAMP_LEN, buf);
}

/* A value as a jsonb of its own, always a copy. */
Jsonb *
tckpt_value_to_jsonb(const TckptValue *value)
{
	Size		size = tckpt_value_size(value);
	Jsonb	   *jb = palloc(size);

	SET_VARSIZE(jb, size);
	if (value->type == JENTRY_ISCONTAINER)
		memcpy(&jb->root, value->data, value->len);
	else
	{
		jb->root.header = 1 | JB_FARRAY | JB_FSCALAR;
		jb->root.children[0] = value->type | JENTRY_HAS_OFF | value->len;
		memcpy(&jb->root.children[1], value->data, value->len);
	}
	return jb;
}

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/*
 * Reads exactly "n" digits; false if there are others.  Inline, so that each
 * loop is unrolled: progress reads the times of a history by the million.
 */
static pg_attribute_always_inline bool
read_digits(const char **p, const char *end, int n, int *result)
{
	if (end - *p < n)
		return false;
	*result = 0;
	for (int i = 0; i < n; i++, (*p)++)
	{
		if (!is_digit(**p))
			return false;
		*result = *result * 10 + (**p - '0');
	}
	return true;
}

static inline bool
read_char(const char **p, const char *end, char c)
{
	if (*p >= end || **p != c)
		return false;
	(*p)++;
	return true;
}

/* Reads an offset from UTC as RFC 3339 has it; false if there is none. */
static bool
read_offset(const char **p, const char *end, int *tz)
{
	int			hours;
	int			minutes;
	bool		east;

	*tz = 0;
	if (read_char(p, end, 'Z') || read_char(p, end, 'z'))
		return true;

	east = read_char(p, end, '+');
	if ((!east && !read_char(p, end, '-')) ||
		!read_digits(p, end, 2, &hours) || !read_char(p, end, ':') ||
		!read_digits(p, end, 2, &minutes) ||
		hours >= HOURS_PER_DAY || minutes >= MINS_PER_HOUR)
		return false;
	*tz = (hours * MINS_PER_HOUR + minutes) * SECS_PER_MINUTE;
	if (east)
		*tz = -*tz;
	return true;
}

/*
 * Reads an offset in the ways that languages print a time of ours again: none,
 * "UTC", "+00", "+0000", a zone in brackets after it.
 */
static bool
read_printed_offset(const char **p, const char *end, int *tz)
{
	const char *start;
	int			hours = 0;
	int			minutes = 0;
	bool		east;

	(void) read_char(p, end, ' ');
	start = *p;
	if (end - *p == 3 && strncmp(*p, "UTC", 3) == 0)
		*p = end;
	else if (*p < end && !read_offset(p, end, tz))
	{
		*p = start;
		east = read_char(p, end, '+');
		if ((!east && !read_char(p, end, '-')) || !read_digits(p, end, 2, &hours))
			return false;
		if (*p < end && **p != '[' && !read_digits(p, end, 2, &minutes))
			return false;
		*tz = (hours * MINS_PER_HOUR + minutes) * SECS_PER_MINUTE;
		if (east)
			*tz = -*tz;
	}
	if (*p < end && **p == '[' && end[-1] == ']')
		*p = end;
	return true;
}

static bool
read_timestamp(const TckptValue *value, bool printed, TimestampTz *result)
{
	const char *p = value->data;
	const char *end;
	struct pg_tm tm = {0};
	fsec_t		fsec = 0;
	int			tz = 0;

	if (p == NULL || value->type != JENTRY_ISSTRING)
		return false;

	end = p + value->len;
	if (!read_digits(&p, end, 4, &tm.tm_year) || !read_char(&p, end, '-') ||
		!read_digits(&p, end, 2, &tm.tm_mon) || !read_char(&p, end, '-') ||
		!read_digits(&p, end, 2, &tm.tm_mday) ||
		!(read_char(&p, end, 'T') || read_char(&p, end, 't') ||
		  read_char(&p, end, ' ')) ||
		!read_digits(&p, end, 2, &tm.tm_hour) || !read_char(&p, end, ':') ||
		!read_digits(&p, end, 2, &tm.tm_min) || !read_char(&p, end, ':') ||
		!read_digits(&p, end, 2, &tm.tm_sec))
		return false;

	if (tm.tm_year < 1 || tm.tm_mon < 1 || tm.tm_mon > MONTHS_PER_YEAR ||
		tm.tm_mday < 1 ||
		tm.tm_mday > day_tab[isleap(tm.tm_year)][tm.tm_mon - 1] ||
		tm.tm_hour >= HOURS_PER_DAY || tm.tm_min >= MINS_PER_HOUR ||
		tm.tm_sec > SECS_PER_MINUTE)	/* a leap second is one */
		return false;

	if (read_char(&p, end, '.'))
	{
		int			unit = USECS_PER_SEC / 10;

		if (p >= end || !is_digit(*p))
			return false;
		for (; p < end && is_digit(*p); p++, unit /= 10)
			fsec += (*p - '0') * unit;
	}

	if (!(printed ? read_printed_offset(&p, end, &tz) : read_offset(&p, end, &tz)))
		return false;
	return p == end && tm2timestamp(&tm, fsec, &tz, result) == 0;
}

/*
 * Reads an RFC 3339 time, as Tasker and its peers write it, with any number
 * of decimals (those past microseconds are dropped) and any offset.  False if
 * it is none; never raises, since it is applied to what others stored.
 */
bool
tckpt_value_to_timestamp(const TckptValue *value, TimestampTz *result)
{
	return read_timestamp(value, false, result);
}

/* The same for one of ours that a client may have read, and printed again. */
bool
tckpt_value_to_printed_timestamp(const TckptValue *value, TimestampTz *result)
{
	return read_timestamp(value, true, result);
}

/* Reads a number; false if the value is none. */
bool
tckpt_value_to_number(const TckptValue *value, TckptNumber *number)
{
	const uint16 *words;
	Size		header_size = sizeof(uint16);

	if (value->data == NULL || value->type != JENTRY_ISNUMERIC)
		return false;

	words = (const uint16 *) VARDATA(value->data);
	memset(number, 0, sizeof(*number));
	switch (NUMBER_FORM(words[0]))
	{
		case NUMBER_SPECIAL:
			number->special = true;
			return true;
		case NUMBER_SHORT:
			number->negative = (words[0] & NUMBER_SHORT_NEGATIVE) != 0;
			number->scale = NUMBER_SHORT_SCALE(words[0]);
			number->weight = NUMBER_SHORT_WEIGHT(words[0]);
			break;
		default:
			number->negative = NUMBER_FORM(words[0]) == NUMBER_NEGATIVE;
			number->scale = words[0] & NUMBER_SCALE_MASK;
			number->weight = (int16) words[1];
			header_size += sizeof(int16);
	}
	number->digits = (const int16 *) ((const char *) words + header_size);
	number->ndigits = (int) ((VARSIZE(value->data) - VARHDRSZ - header_size) /
							 sizeof(int16));
	return true;
}

/*
 * Reads a number that is written as an integer and is not negative.  One over
 * the greatest int64 is that, and "over".  False for anything else; never
 * raises, since it is applied to what others stored.
 */
static bool
value_to_integer(const TckptValue *value, int64 *result, bool *over)
{
	TckptNumber number;
	int64		count = 0;

	if (!tckpt_value_to_number(value, &number) ||
		number.special || number.negative || number.scale > 0)
		return false;

	*over = false;
	for (int i = 0; number.ndigits > 0 && i <= number.weight && !*over; i++)
		*over = pg_mul_s64_overflow(count, NUMBER_BASE, &count) ||
			pg_add_s64_overflow(count,
								i < number.ndigits ? number.digits[i] : 0,
								&count);
	*result = *over ? PG_INT64_MAX : count;
	return true;
}

/* An integer from 0 to the greatest int64; false for anything else. */
bool
tckpt_value_to_count(const TckptValue *value, int64 *result)
{
	bool		over;

	return value_to_integer(value, result, &over) && !over;
}

/* An integer that is not negative, at most so great; false for anything else. */
bool
tckpt_value_to_capped_count(const TckptValue *value, int64 greatest,
							int64 *result)
{
	bool		over;

	if (!value_to_integer(value, result, &over))
		return false;
	*result = Min(*result, greatest);
	return true;
}

bool
tckpt_value_is_null(const TckptValue *value)
{
	return value->data == NULL || value->type == JENTRY_ISNULL;
}

bool
tckpt_value_is_array(const TckptValue *value)
{
	return value->data != NULL && value->type == JENTRY_ISCONTAINER &&
		JsonContainerIsArray((const JsonbContainer *) value->data);
}

/* Equal as stored: 1 and 1.0 are not.  Two absent values are equal. */
bool
tckpt_value_equal(const TckptValue *a, const TckptValue *b)
{
	if (a->data == NULL || b->data == NULL)
		return a->data == b->data;

	return a->type == b->type && a->len == b->len &&
		memcmp(a->data, b->data, a->len) == 0;
}

/* Bytes that the value would take as a jsonb of its own. */
Size
tckpt_value_size(const TckptValue *value)
{
	if (value->data == NULL)
		return 0;
	if (value->type == JENTRY_ISCONTAINER)
		return VARHDRSZ + value->len;

	/* wrapped into an array of one */
	return VARHDRSZ + sizeof(uint32) + sizeof(JEntry) + value->len;
}
