/*-------------------------------------------------------------------------
 *
 * survey_sql.c
 *	  The statements of a survey.
 *
 * They name Tasker's other tables only if these have the steps table's owner.
 * What else the role that reads cannot read is left out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "table/reader.h"
#include "table/survey_sql.h"
#include "tasker_checkpoint.h"

const Oid	tckpt_survey_types[TCKPT_SURVEY_NCOLUMNS] = {
	[TCKPT_SURVEY_STEP] = UUIDOID,
	[TCKPT_SURVEY_CHECKPOINT] = JSONBOID,
	[TCKPT_SURVEY_PROCESSED] = BOOLOID,
	[TCKPT_SURVEY_IN_PROCESS] = BOOLOID,
	[TCKPT_SURVEY_INPUTS] = JSONBOID,
	[TCKPT_SURVEY_TASK] = UUIDOID,
	[TCKPT_SURVEY_STEP_NAME] = TEXTOID,
	[TCKPT_SURVEY_TASK_NAME] = TEXTOID,
	[TCKPT_SURVEY_XMAX] = XIDOID,
	[TCKPT_SURVEY_CTID] = TIDOID,
	[TCKPT_SURVEY_TABLEOID] = OIDOID
};

/* A table beside the steps table, under the name that Tasker gives it */
typedef struct Companion
{
	Oid			relid;			/* InvalidOid: not one to read from */
	char	   *name;			/* as SQL wants it */
} Companion;

/* Whether there is a column of one of these types that can be read. */
static bool
has_column(Oid relid, const char *name, const Oid *types, int ntypes)
{
	AttrNumber	attno = get_attnum(relid, name);

	if (attno == InvalidAttrNumber || !tckpt_may_read(relid, attno))
		return false;
	for (int i = 0; i < ntypes; i++)
		if (get_atttype(relid, attno) == types[i])
			return true;
	return false;
}

static bool
has_uuid(Oid relid, const char *name)
{
	Oid			types[] = {UUIDOID};

	return has_column(relid, name, types, lengthof(types));
}

static bool
has_name(Oid relid)
{
	Oid			types[] = {TEXTOID, VARCHAROID, NAMEOID};

	return has_column(relid, "name", types, lengthof(types));
}

/*
 * Tasker's table of this name: in the steps table's schema, with its prefix.
 * Those of other owners could run code as whoever looks.
 */
static Companion
find_companion(Oid steps, const char *name)
{
	const char *prefix = strncmp(get_rel_name(steps), "tasker_", 7) == 0 ? "tasker_" : "";
	char	   *relname = psprintf("%s%s", prefix, name);
	Oid			namespace = get_rel_namespace(steps);
	Companion	companion = {get_relname_relid(relname, namespace), NULL};
	char		relkind;

	if (!OidIsValid(companion.relid))
		return companion;
	relkind = get_rel_relkind(companion.relid);
	if ((relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE) ||
		tckpt_owner_of(companion.relid) != tckpt_owner_of(steps) ||
		OidIsValid(tckpt_untrusted_child(companion.relid, tckpt_owner_of(steps))))
		companion.relid = InvalidOid;
	else
		companion.name = quote_qualified_identifier(get_namespace_name(namespace), relname);
	return companion;
}

/*
 * Names of steps and tasks, where all that leads to them can be read.  A step of
 * an application's own table has its name with it.
 */
static void
append_names(StringInfo sql, Oid steps)
{
	Companion	named_steps = find_companion(steps, "named_steps");
	Companion	tasks = find_companion(steps, "tasks");
	Companion	named_tasks = find_companion(steps, "named_tasks");

	if (has_uuid(steps, "named_step_uuid") && named_steps.name != NULL &&
		has_uuid(named_steps.relid, "named_step_uuid") && has_name(named_steps.relid))
		appendStringInfo(sql, ", (SELECT n.name::pg_catalog.text FROM %s AS n"
						 " WHERE n.named_step_uuid OPERATOR(pg_catalog.=) s.named_step_uuid LIMIT 1)",
						 named_steps.name);
	else if (has_name(steps))
		appendStringInfoString(sql, ", s.name::pg_catalog.text");
	else
		appendStringInfoString(sql, ", NULL::pg_catalog.text");

	if (has_uuid(steps, "task_uuid") && tasks.name != NULL && named_tasks.name != NULL &&
		has_uuid(tasks.relid, "task_uuid") && has_uuid(tasks.relid, "named_task_uuid") &&
		has_uuid(named_tasks.relid, "named_task_uuid") && has_name(named_tasks.relid))
		appendStringInfo(sql, ", (SELECT n.name::pg_catalog.text FROM %s AS t"
						 " JOIN %s AS n ON n.named_task_uuid OPERATOR(pg_catalog.=) t.named_task_uuid"
						 " WHERE t.task_uuid OPERATOR(pg_catalog.=) s.task_uuid LIMIT 1)",
						 tasks.name, named_tasks.name);
	else
		appendStringInfoString(sql, ", NULL::pg_catalog.text");
}

/* Both statements up to their conditions, as the role that reads. */
static char *
select_text(const TckptSteps *steps, const TckptSurvey *survey, bool holders)
{
	Oid			relid = steps->trigger.relid;
	Oid			boolean[] = {BOOLOID};
	Oid			jsonb[] = {JSONBOID};
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT s.%s, s.%s, %s, %s, %s, %s", steps->key, steps->checkpoint,
					 steps->processed != InvalidAttrNumber ? "s.processed" : "false",
					 survey->health && has_column(relid, "in_process", boolean, 1) ?
					 "s.in_process" : "false",
					 !survey->health && has_column(relid, "inputs", jsonb, 1) ?
					 "s.inputs" : "NULL::pg_catalog.jsonb",
					 !survey->health && has_uuid(relid, "task_uuid") ?
					 "s.task_uuid" : "NULL::pg_catalog.uuid");
	if (survey->health)
		appendStringInfoString(&sql, ", NULL::pg_catalog.text, NULL::pg_catalog.text");
	else
		append_names(&sql, relid);

	/* system columns have no privileges of their own to be granted */
	if (holders && pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK)
		appendStringInfoString(&sql, ", s.xmax, s.ctid, s.tableoid");
	else
		appendStringInfoString(&sql, ", NULL::pg_catalog.xid, NULL::pg_catalog.tid, NULL::pg_catalog.oid");
	appendStringInfo(&sql, " FROM %s AS s WHERE ", steps->table);
	return sql.data;
}

/*
 * Both statements; policies that they meet may have "steps" forgotten, so that
 * it is not looked at any more once they run.
 */
TckptSurveySql
tckpt_survey_sql(const TckptSteps *steps, const TckptSurvey *survey, bool holders)
{
	char	   *select = select_text(steps, survey, holders);
	const char *unprocessed = "";
	TckptSurveySql statements;

	if (steps->processed != InvalidAttrNumber)
		unprocessed = tckpt_is_not_null(steps->trigger.relid, steps->processed) ?
			" AND NOT s.processed" :
			" AND (NOT s.processed OR s.processed IS NULL)";
	statements.walk = psprintf("%s s.%s IS NOT NULL%s", select, steps->checkpoint,
							   unprocessed);
	statements.lookup = psprintf("%s s.%s OPERATOR(pg_catalog.=) ANY ($1)",
								 select, steps->key);
	return statements;
}
