/*-------------------------------------------------------------------------
 *
 * swapped.c
 *	  Whether one table has taken the place of another.
 *
 * Who changes a large table's shape copies it, and swaps the two by renames.
 * What tells is the name of the one that was replaced, to which tools and people
 * add something, and that the copy has its columns, but for those that changed.
 * Neither is enough: names of tables that have to do with nothing begin alike,
 * and tables of one application have columns alike.
 *
 * Nothing is locked here: what was found may be gone when this returns.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "table/attached.h"
#include "table/swapped.h"
#include "tasker_checkpoint.h"

/* What stands between a name and what is added to it */
#define SEPARATORS		"_-. $#~"

/* How pg_osc begins the name of what it has replaced */
#define PG_OSC_PREFIX	"pgosc_op_table_"

/* What says that a table was left behind */
static const char *const left_behind[] = {
	"old", "bak", "bkp", "backup", "del", "deleted", "drop", "orig", "original",
	"prev", "previous", "osc", "lhma"
};

/* What a copy may have been called as well */
static const char *const either[] = {
	"new", "copy", "gho", "ghc", "tmp", "temp", "swap"
};

/* What was found of this in what is added to a name */
typedef struct Affix
{
	bool		known;
	bool		left_behind;
} Affix;

static bool
is_separator(char c)
{
	return c != '\0' && strchr(SEPARATORS, c) != NULL;
}

static bool
is_among(const char *word, size_t length, const char *const *words, int nwords)
{
	for (int i = 0; i < nwords; i++)
	{
		if (strlen(words[i]) == length && pg_strncasecmp(word, words[i], length) == 0)
			return true;
	}
	return false;
}

/* A number, a version as v2, or a date and time as 20260101T120000Z. */
static bool
is_number(const char *word, size_t length)
{
	size_t		i = length > 1 && (word[0] == 'v' || word[0] == 'V') ? 1 : 0;

	if (!isdigit((unsigned char) word[i]))
		return false;
	while (i < length && (isdigit((unsigned char) word[i]) || strchr("tTzZ", word[i]) != NULL))
		i++;
	return i == length;
}

/* A word may be numbered, as bak2. */
static void
look_at_word(Affix *affix, const char *word, size_t length)
{
	if (is_number(word, length))
		return;
	while (length > 0 && isdigit((unsigned char) word[length - 1]))
		length--;
	if (is_among(word, length, left_behind, (int) lengthof(left_behind)))
		affix->left_behind = true;
	else if (!is_among(word, length, either, (int) lengthof(either)))
		affix->known = false;
}

static void
look_at(Affix *affix, const char *string, size_t length)
{
	size_t		start = 0;

	if (length == strlen(PG_OSC_PREFIX) && memcmp(string, PG_OSC_PREFIX, length) == 0)
	{
		affix->left_behind = true;
		return;
	}
	for (size_t i = 0; i <= length; i++)
	{
		if (i < length && !is_separator(string[i]))
			continue;
		if (i > start)
			look_at_word(affix, string + start, i - start);
		start = i + 1;
	}
}

/*
 * Whether the present name of a table is its former one and something that is
 * added to it when a table is replaced.
 */
static Affix
find_affix(const char *present, const char *former)
{
	const size_t length = strlen(former);
	Affix		none = {false, false};

	for (const char *at = strstr(present, former); at != NULL && length > 0;
		 at = strstr(at + 1, former))
	{
		const char *after = at + length;
		Affix		affix = {true, false};

		if ((at == present && *after == '\0') ||
			(at > present && !is_separator(at[-1])) ||
			(*after != '\0' && !is_separator(*after)))
			continue;
		look_at(&affix, present, at - present);
		look_at(&affix, after, strlen(after));
		if (affix.known)
			return affix;
	}
	return none;
}

/* Whether one was created later than another, as far as OIDs tell, which go round. */
static bool
is_newer(Oid relid, Oid other)
{
	return (int32) (relid - other) > 0;
}

/*
 * Whether a table has the name that another had before it was replaced.  Where
 * the other's could as well be that of a copy, which is in use instead of it, it
 * has to be the older one.
 */
bool
tckpt_has_name_of(Oid relid, Oid other)
{
	const char *former = get_rel_name(relid);
	const char *present = get_rel_name(other);
	Affix		affix;

	if (former == NULL || present == NULL)
		return false;
	affix = find_affix(present, former);
	return affix.known && (affix.left_behind || is_newer(relid, other));
}

static int
number_of_attributes(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	int			natts = 0;

	if (HeapTupleIsValid(tuple))
	{
		natts = ((Form_pg_class) GETSTRUCT(tuple))->relnatts;
		ReleaseSysCache(tuple);
	}
	return natts;
}

/* Columns of a table; "common" are those that another has, by name and type. */
static int
count_columns(Oid relid, Oid other, int *common)
{
	const int	natts = number_of_attributes(relid);
	int			columns = 0;

	*common = 0;
	for (int attno = 1; attno <= natts; attno++)
	{
		Oid			type = get_atttype(relid, (AttrNumber) attno);
		char	   *name = get_attname(relid, (AttrNumber) attno, true);

		/* dropped */
		if (!OidIsValid(type) || name == NULL)
			continue;
		columns++;
		if (tckpt_column_of_type(other, name, type) != InvalidAttrNumber)
			(*common)++;
	}
	return columns;
}

/*
 * Whether a table may be meant to be the steps table instead of another: it has
 * the key, and most columns of both are the same, as those of a copy are that
 * got some more, lost or changed some.  A checkpoint attach adds, if there is
 * none.
 */
bool
tckpt_is_alike(Oid relid, const TckptTrigger *steps)
{
	char	   *key = get_attname(steps->relid, steps->key, true);
	char	   *checkpoint = get_attname(steps->relid, steps->checkpoint, true);
	AttrNumber	attno;
	int			common;
	int			columns;
	int			others;

	if (key == NULL || checkpoint == NULL ||
		tckpt_column_of_type(relid, key, UUIDOID) == InvalidAttrNumber)
		return false;
	attno = get_attnum(relid, checkpoint);
	if (attno != InvalidAttrNumber && get_atttype(relid, attno) != JSONBOID)
		return false;

	columns = count_columns(relid, steps->relid, &common);
	others = count_columns(steps->relid, relid, &common) - (attno == InvalidAttrNumber);
	return common * 2 > Max(columns, others);
}
