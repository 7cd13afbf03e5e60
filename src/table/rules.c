/*-------------------------------------------------------------------------
 *
 * rules.c
 *	  What a checkpoint must satisfy: shape, limits, items that do not fall.
 *
 * "require" raises 23514, and "check" 54000 or TC001.  Callers apply them in
 * that order.  Limits and items that fall are lowered to a warning by
 * tasker_checkpoint.enforce; what breaks readers is not.  "step" may be NULL
 * where a row has no key yet.  No message shows a cursor or results.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "document/readable.h"
#include "guc.h"
#include "table/rules.h"
#include "tasker_checkpoint.h"

static const char *
value_kind(const TckptValue *value)
{
	switch (value->type)
	{
		case JENTRY_ISSTRING:
			return "a string";
		case JENTRY_ISNUMERIC:
			return "a number";
		case JENTRY_ISBOOL_TRUE:
		case JENTRY_ISBOOL_FALSE:
			return "a boolean";
		case JENTRY_ISNULL:
			return "null";
		default:
			return tckpt_value_is_array(value) ? "an array" : "an object";
	}
}

void
tckpt_require_object(const pg_uuid_t *step, bool is_object)
{
	if (!is_object)
		ereport(ERROR,
				(tckpt_refused(ERRCODE_CHECK_VIOLATION),
				 errmsg("checkpoint of step \"%s\" must be a JSON object",
						tckpt_step_name(step)),
				 errhint("Write an object with the keys \"cursor\" and \"items_processed\", or NULL to clear the checkpoint.")));
}

static void
require_key(const pg_uuid_t *step, const TckptValue *value, const char *key)
{
	if (value->data == NULL)
		ereport(ERROR,
				(tckpt_refused(ERRCODE_CHECK_VIOLATION),
				 errmsg("checkpoint of step \"%s\" must have the key \"%s\"",
						tckpt_step_name(step), key),
				 errhint("Write an object with the keys \"cursor\" and \"items_processed\", or NULL to clear the checkpoint.")));
}

/* Why a value is not a count, as errdetail. */
static int
count_detail(const TckptValue *value, int64 greatest)
{
	TckptNumber number;

	if (!tckpt_value_to_number(value, &number))
		return errdetail("It is %s.", value_kind(value));
	if (number.negative)
		return errdetail("It is negative.");
	if (number.scale > 0)
		return errdetail("It is not written as an integer.");
	return errdetail("It is greater than " INT64_FORMAT ".", greatest);
}

static int64
require_count(const pg_uuid_t *step, const TckptValue *value, const char *key,
			  int64 greatest)
{
	int64		count;

	if (!tckpt_value_to_count(value, &count) || count > greatest)
		ereport(ERROR,
				(tckpt_refused(ERRCODE_CHECK_VIOLATION),
				 errmsg("key \"%s\" in the checkpoint of step \"%s\" must be a non-negative integer",
						key, tckpt_step_name(step)),
				 count_detail(value, greatest),
				 errhint("Write an integer from 0 to " INT64_FORMAT ", without decimals.",
						 greatest)));
	return count;
}

/* The keys that every checkpoint has; returns its items. */
int64
tckpt_require_keys(const pg_uuid_t *step, const TckptDocument *doc)
{
	require_key(step, &doc->cursor, "cursor");
	require_key(step, &doc->items_processed, "items_processed");
	return require_count(step, &doc->items_processed, "items_processed",
						 PG_INT64_MAX);
}

/*
 * A history is an array, and the entries cut from it are counted, where they
 * are not as "old" has them, whatever that is.
 */
void
tckpt_require_history(const pg_uuid_t *step, const TckptDocument *doc,
					  const TckptDocument *old)
{
	if (doc->history.data != NULL && !tckpt_value_is_array(&doc->history) &&
		!tckpt_value_equal(&doc->history, &old->history))
		ereport(ERROR,
				(tckpt_refused(ERRCODE_CHECK_VIOLATION),
				 errmsg("key \"history\" in the checkpoint of step \"%s\" must be an array",
						tckpt_step_name(step)),
				 errdetail("It is %s.", value_kind(&doc->history)),
				 errhint("Leave the key out: the server keeps the history.")));
	if (doc->history_truncated.data != NULL &&
		!tckpt_value_equal(&doc->history_truncated, &old->history_truncated))
		(void) require_count(step, &doc->history_truncated,
							 "history_truncated", TCKPT_MAX_TRUNCATED);
}

/* A key as messages name it: those of the writer's own can be of any length. */
static char *
key_name(const TckptPair *pair)
{
	int			length = pg_mbcliplen(pair->key, pair->keylen, NAMEDATALEN - 1);

	return psprintf("%s%s", pnstrdup(pair->key, length),
					length < (int) pair->keylen ? "..." : "");
}

/* Figures and a way out for what breaks readers, as errdetail and errhint. */
static int
unreadable_detail(const TckptUnreadable *found)
{
	switch (found->breach)
	{
		case TCKPT_NUMBER_TOO_GREAT:
			errdetail("It has one with %d digits before the point, which readers take for infinity.",
					  found->digits);
			return errhint("Write it as a string.");
		case TCKPT_TOO_MANY_DIGITS:
			errdetail("It has one with %d, those after the point included.",
					  found->digits);
			return errhint("Round it, or write it as a string.");
		case TCKPT_TEXT_TOO_LONG:
			errdetail("With this key it takes %zu bytes, its history not counted; a character that JSON escapes takes up to six.",
					  found->length);
			return errhint("Keep large results in a table of your own, and a reference to them in accumulated_results.");
		default:
			errdetail("The document itself is the first level.");
			return errhint("Write what is inside as a string, or keep it in a table of your own.");
	}
}

/* A warning refuses nothing. */
static int
limit_errcode(int level, int sqlstate)
{
	return level < ERROR ? errcode(sqlstate) : tckpt_refused(sqlstate);
}

static void
report_unreadable(int level, const pg_uuid_t *step, const TckptPair *pair,
				  const TckptUnreadable *found)
{
	char	   *key = key_name(pair);
	char	   *name = tckpt_step_name(step);

	ereport(level,
			(limit_errcode(level, ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 found->breach == TCKPT_NUMBER_TOO_GREAT ?
			 errmsg("key \"%s\" in the checkpoint of step \"%s\" must not have a number over 1.79e308 in magnitude",
					key, name) :
			 found->breach == TCKPT_TOO_MANY_DIGITS ?
			 errmsg("key \"%s\" in the checkpoint of step \"%s\" must not have a number of more than %d digits",
					key, name, TCKPT_MAX_DIGITS) :
			 found->breach == TCKPT_TEXT_TOO_LONG ?
			 errmsg("key \"%s\" in the checkpoint of step \"%s\" must not make it longer than %d bytes as text",
					key, name, TCKPT_MAX_TEXT) :
			 errmsg("key \"%s\" in the checkpoint of step \"%s\" must not be nested deeper than %d levels",
					key, name, TCKPT_MAX_NESTING),
			 unreadable_detail(found)));
}

/*
 * What the writer decides must not break readers, but for what an edit leaves
 * as it is in "old"; NULL if it is no edit.
 */
void
tckpt_check_readable(const pg_uuid_t *step, const TckptDocument *doc,
					 const TckptDocument *old, bool insert)
{
	TckptDocument sent = *doc;
	TckptPair	pair;
	TckptUnreadable found;

	/* these are the guard's */
	sent.history.data = NULL;
	sent.history_truncated.data = NULL;
	sent.timestamp.data = NULL;

	if (!tckpt_document_is_readable(&sent, old, &pair, &found))
		report_unreadable(insert ? WARNING : ERROR, step, &pair, &found);
}

/* The same of a document that an INSERT brings whole, which is only warned of. */
void
tckpt_check_restored(const pg_uuid_t *step, const TckptDocument *doc)
{
	TckptPair	pair;
	TckptUnreadable found;

	if (!tckpt_document_is_readable(doc, NULL, &pair, &found))
		report_unreadable(WARNING, step, &pair, &found);
}

/*
 * Level for a broken limit.  An INSERT restores or moves what was stored once
 * already, so it only warns.
 */
static int
broken_limit_level(bool insert)
{
	return insert || tckpt_enforce == TCKPT_ENFORCE_WARNING ? WARNING : ERROR;
}

void
tckpt_check_cursor(const pg_uuid_t *step, const TckptDocument *doc, bool insert)
{
	Size		size = tckpt_value_size(&doc->cursor);
	int			level = broken_limit_level(insert);

	if (tckpt_cursor_limit >= 0 && size > (Size) tckpt_cursor_limit)
		ereport(level,
				(limit_errcode(level, ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cursor of step \"%s\" is too large",
						tckpt_step_name(step)),
				 errdetail("It takes %zu bytes; tasker_checkpoint.cursor_limit is %d bytes.",
						   size, tckpt_cursor_limit),
				 errhint("A cursor says where to resume. Keep what is large in accumulated_results, or in a table of your own.")));
}

/* Accumulated results and other keys, which share a limit. */
static Size
results_size(const TckptDocument *doc)
{
	return tckpt_value_size(&doc->accumulated_results) + doc->extra_size;
}

/*
 * Results over the limit, or past the size from which on they are warned of,
 * where those of "old" were not.
 */
void
tckpt_check_results(const pg_uuid_t *step, const TckptDocument *doc,
					const TckptDocument *old, bool insert)
{
	Size		size = results_size(doc);
	int			level = broken_limit_level(insert);

	if (tckpt_results_limit >= 0 && size > (Size) tckpt_results_limit)
		ereport(level,
				(limit_errcode(level, ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("accumulated results of step \"%s\" are too large",
						tckpt_step_name(step)),
				 errdetail("They take %zu bytes, other keys of the checkpoint included; tasker_checkpoint.results_limit is %d bytes.",
						   size, tckpt_results_limit),
				 errhint("Keep large results in a table of your own, and a reference to them in accumulated_results.")));
	else if (tckpt_results_warning > 0 &&
			 size > (Size) tckpt_results_warning &&
			 results_size(old) <= (Size) tckpt_results_warning)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("accumulated results of step \"%s\" are large",
						tckpt_step_name(step)),
				 errdetail("They take %zu bytes, other keys of the checkpoint included; tasker_checkpoint.results_warning is %d bytes.",
						   size, tckpt_results_warning),
				 errhint("Every checkpoint writes them again. Keep large results in a table of your own, and a reference to them in accumulated_results.")));
}

void
tckpt_check_items(const pg_uuid_t *step, int64 items, const TckptDocument *old)
{
	int			level = broken_limit_level(false);
	int64		stored = tckpt_document_items(old);

	if (items < stored)
		ereport(level,
				(limit_errcode(level, ERRCODE_TCKPT_ITEMS_WENT_BACKWARDS),
				 errmsg("items_processed of step \"%s\" must not fall",
						tckpt_step_name(step)),
				 errdetail("The stored checkpoint has " INT64_FORMAT " items, the new one " INT64_FORMAT ".",
						   stored, items),
				 errhint("items_processed counts the items of the step since its beginning, not those of one dispatch. tasker_checkpoint.require_monotonic_items turns this check off.")));
}
