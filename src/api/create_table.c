/*-------------------------------------------------------------------------
 *
 * create_table.c
 *	  A steps table to begin with, for applications that have none.
 *
 * It is made and attached in one call, so that nobody is between the two.  The
 * schema is the one that CREATE TABLE would choose, looked up once: what the
 * caller's search_path has besides can't stand in for the new table, nor for a
 * type or function that it names.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"

#include "api/attach.h"
#include "api/call.h"
#include "table/statement.h"
#include "tasker_checkpoint.h"

/* The checkpoint is attach's to add, last, as to any table. */
#define COLUMNS \
	"id pg_catalog.uuid PRIMARY KEY DEFAULT pg_catalog.gen_random_uuid(), " \
	"name pg_catalog.text, " \
	"inputs pg_catalog.jsonb, " \
	"processed pg_catalog.bool NOT NULL DEFAULT false, " \
	"created_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(), " \
	"updated_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now()"

/* As the doctor wants it: room for a HOT update in each page. */
#define PARAMETERS	"fillfactor = 70"

/* What regclass takes for a name, but for a relation's OID.  Raises 42602, 42601. */
static RangeVar *
parse_name(text *name)
{
	RangeVar   *table = makeRangeVarFromNameList(textToQualifiedNameList(name));

	if (table->relname[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("name of a table must not be empty")));
	return table;
}

/*
 * The schema that the table goes to, locked until the transaction ends.  Raises
 * what CREATE TABLE does: 3F000, 42501, 0A000; and what it would not say so well.
 */
static Oid
find_schema(RangeVar *table)
{
	Oid			existing;
	Oid			namespace = RangeVarGetAndCheckCreationNamespace(table, NoLock, &existing);

	if (table->relpersistence == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s cannot be the steps table", quote_identifier(table->relname)),
				 errdetail("It would be temporary."),
				 errhint("Name a schema that is not temporary.")));
	if (OidIsValid(existing))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("relation \"%s\" already exists", table->relname),
				 errhint("If that is to be the steps table, call tasker_checkpoint_attach() with it and its key.")));
	return namespace;
}

/*
 * Makes the table, as the caller.  An event trigger can give the schema another
 * name meanwhile, and so can others on servers where that does not wait for its
 * lock: then the table is not where it should be.
 */
static Oid
make_table(const RangeVar *table, Oid namespace)
{
	char	   *schema = get_namespace_name(namespace);
	Oid			relid = InvalidOid;

	if (schema != NULL)
	{
		tckpt_run_ddl(psprintf("CREATE TABLE %s (" COLUMNS ") WITH (" PARAMETERS ")",
							   quote_qualified_identifier(schema, table->relname)));
		CommandCounterIncrement();
		relid = get_relname_relid(table->relname, namespace);
	}
	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" changed while it was created", table->relname),
				 errhint("Repeat the call.")));
	return relid;
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_create_table);
/* Creates a table, and makes it the steps table. */
Datum
tasker_checkpoint_create_table(PG_FUNCTION_ARGS)
{
	Oid			function = fcinfo->flinfo->fn_oid;
	static const Oid types[] = {REGCLASSOID, NAMEOID, BOOLOID};
	NameData	key;
	Datum		args[3];
	TckptTrigger found;
	RangeVar   *table;
	Oid			relid;

	PreventCommandIfReadOnly("tasker_checkpoint_create_table()");
	tckpt_require_argument(fcinfo, 0, "name");
	table = parse_name(PG_GETARG_TEXT_PP(0));
	if (tckpt_attach_begin(tckpt_guard_of(function), &found))
		tckpt_raise_attached(found.relid);

	relid = make_table(table, find_schema(table));
	namestrcpy(&key, "id");
	args[0] = ObjectIdGetDatum(relid);
	args[1] = NameGetDatum(&key);
	args[2] = BoolGetDatum(false);
	tckpt_call(tckpt_own_function(function, "tasker_checkpoint_attach",
								  lengthof(types), types),
			   lengthof(args), args);
	PG_RETURN_OID(relid);
}
