/*-------------------------------------------------------------------------
 *
 * rules.c
 *	  What a checkpoint must satisfy: shape, limits, items that do not fall.
 *
 * "require" raises 23514 whatever the settings say; "check" raises 54000 or
 * TC001, which tasker_checkpoint.enforce can lower to a warning.  Callers
 * apply them in that order.  "step" may be NULL where a row has no key yet.
 * No message shows a cursor or results.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "guc.h"
#include "rules.h"
#include "stats.h"
#include "tasker_checkpoint.h"

/* A step as messages name it. */
char *
tckpt_step_name(const pg_uuid_t *step)
{
	if (step == NULL)
		return pstrdup("null");
	return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(step)));
}

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
tckpt_require_unprocessed(const pg_uuid_t *step, bool processed)
{
	if (processed)
		ereport(ERROR,
				(errcode(tckpt_refused(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)),
				 errmsg("step \"%s\" is already processed",
						tckpt_step_name(step)),
				 errhint("Make it ready for another run with tasker_checkpoint_reset_for_retry().")));
}

void
tckpt_require_object(const pg_uuid_t *step, bool is_object)
{
	if (!is_object)
		ereport(ERROR,
				(errcode(tckpt_refused(ERRCODE_CHECK_VIOLATION)),
				 errmsg("checkpoint of step \"%s\" must be a JSON object",
						tckpt_step_name(step)),
				 errhint("Write an object with the keys \"cursor\" and \"items_processed\", or NULL to clear the checkpoint.")));
}

static void
require_key(const pg_uuid_t *step, const TckptValue *value, const char *key)
{
	if (value->data == NULL)
		ereport(ERROR,
				(errcode(tckpt_refused(ERRCODE_CHECK_VIOLATION)),
				 errmsg("checkpoint of step \"%s\" must have the key \"%s\"",
						tckpt_step_name(step), key),
				 errhint("Write an object with the keys \"cursor\" and \"items_processed\", or NULL to clear the checkpoint.")));
}

/* Why a value is not a count, as errdetail. */
static int
count_detail(const TckptValue *value)
{
	char	   *number;

	if (value->type != JENTRY_ISNUMERIC)
		return errdetail("It is %s.", value_kind(value));

	number = DatumGetCString(DirectFunctionCall1(numeric_out,
												 PointerGetDatum(value->data)));
	if (number[0] == '-')
		return errdetail("It is negative.");
	if (strchr(number, '.') != NULL)
		return errdetail("It is not written as an integer.");
	return errdetail("It is greater than " INT64_FORMAT ".", PG_INT64_MAX);
}

static int64
require_count(const pg_uuid_t *step, const TckptValue *value, const char *key)
{
	int64		count;

	if (!tckpt_value_to_count(value, &count))
		ereport(ERROR,
				(errcode(tckpt_refused(ERRCODE_CHECK_VIOLATION)),
				 errmsg("key \"%s\" in the checkpoint of step \"%s\" must be a non-negative integer",
						key, tckpt_step_name(step)),
				 count_detail(value),
				 errhint("Write an integer from 0 to " INT64_FORMAT ", without decimals.",
						 PG_INT64_MAX)));
	return count;
}

/* The keys that every checkpoint has; returns its items. */
int64
tckpt_require_keys(const pg_uuid_t *step, const TckptDocument *doc)
{
	require_key(step, &doc->cursor, "cursor");
	require_key(step, &doc->items_processed, "items_processed");
	return require_count(step, &doc->items_processed, "items_processed");
}

/* A history, where there is one, is an array. */
void
tckpt_require_array(const pg_uuid_t *step, const TckptDocument *doc)
{
	if (doc->history.data != NULL && !tckpt_value_is_array(&doc->history))
		ereport(ERROR,
				(errcode(tckpt_refused(ERRCODE_CHECK_VIOLATION)),
				 errmsg("key \"history\" in the checkpoint of step \"%s\" must be an array",
						tckpt_step_name(step)),
				 errdetail("It is %s.", value_kind(&doc->history)),
				 errhint("Leave the key out: the server keeps the history.")));
}

void
tckpt_require_truncated(const pg_uuid_t *step, const TckptDocument *doc)
{
	if (doc->history_truncated.data != NULL)
		(void) require_count(step, &doc->history_truncated,
							 "history_truncated");
}

/*
 * Level for a broken limit.  An INSERT restores or moves what was stored once
 * already, so it only warns.
 */
static int
broken_limit_level(bool insert, int sqlstate)
{
	if (insert || tckpt_enforce == TCKPT_ENFORCE_WARNING)
		return WARNING;
	(void) tckpt_refused(sqlstate);
	return ERROR;
}

void
tckpt_check_cursor(const pg_uuid_t *step, const TckptDocument *doc, bool insert)
{
	Size		size = tckpt_value_size(&doc->cursor);

	if (tckpt_cursor_limit >= 0 && size > (Size) tckpt_cursor_limit)
		ereport(broken_limit_level(insert, ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
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

	if (tckpt_results_limit >= 0 && size > (Size) tckpt_results_limit)
		ereport(broken_limit_level(insert, ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
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
	int64		stored;

	if (!tckpt_value_to_count(&old->items_processed, &stored))
		stored = 0;

	if (items < stored)
		ereport(broken_limit_level(false, ERRCODE_TCKPT_ITEMS_WENT_BACKWARDS),
				(errcode(ERRCODE_TCKPT_ITEMS_WENT_BACKWARDS),
				 errmsg("items_processed of step \"%s\" must not fall",
						tckpt_step_name(step)),
				 errdetail("The stored checkpoint has " INT64_FORMAT " items, the new one " INT64_FORMAT ".",
						   stored, items),
				 errhint("items_processed counts the items of the step since its beginning, not those of one dispatch. tasker_checkpoint.require_monotonic_items turns this check off.")));
}
