/*-------------------------------------------------------------------------
 *
 * reader.c
 *	  Reading tables that are not the extension's own.
 *
 * Whoever owns a table decides which code runs when it is read: policies, and
 * the functions in its indexes, statistics and partition keys, which planning
 * alone calls.  So a superuser reads as the table's owner, in a
 * security-restricted operation, as VACUUM and ANALYZE do; all others read as
 * themselves.
 *
 * Between tckpt_read_as() and tckpt_read_done() belong the preparation of a
 * statement, its planning and execution, and each later fetch of its cursor;
 * what is written does not.  A plan that is kept must not be used on both
 * sides: the plan cache knows the role that a plan was made for, but not
 * whether FORCE ROW LEVEL SECURITY counted; InNoForceRLSOperation() tells the
 * sides apart.  An error puts everything back with its (sub)transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "compat.h"
#include "reader.h"

/* The role that reads a table for a superuser.  Raises 42P01. */
static Oid
table_owner(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table with OID %u does not exist", relid)));
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

static void
raise_no_right(Oid relid, Oid owner, const char *right, const char *object)
{
	const char *role = quote_identifier(GetUserNameFromId(owner, false));

	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("could not read table \"%s\" as its owner",
					get_rel_name(relid)),
			 errdetail("A superuser reads it with the rights of its owner, lest the owner's code run with others; and role %s has no right to do so.",
					   role),
			 errhint("GRANT %s ON %s TO %s;", right, object, role)));
}

/* Raises 42501 if the owner was left without the rights to read the columns. */
static void
require_rights(Oid relid, Oid owner, const AttrNumber *columns, int ncolumns)
{
	Oid			namespace = get_rel_namespace(relid);
	const char *schema = quote_identifier(get_namespace_name(namespace));
	bool		granted = ncolumns > 0;

	if (tckpt_schema_aclcheck(namespace, owner, ACL_USAGE) != ACLCHECK_OK)
		raise_no_right(relid, owner, "USAGE", psprintf("SCHEMA %s", schema));

	if (pg_class_aclcheck(relid, owner, ACL_SELECT) == ACLCHECK_OK)
		return;
	for (int i = 0; i < ncolumns && granted; i++)
		granted = columns[i] == InvalidAttrNumber ||
			pg_attribute_aclcheck(relid, columns[i], owner, ACL_SELECT) == ACLCHECK_OK;
	if (!granted)
		raise_no_right(relid, owner, "SELECT",
					   psprintf("TABLE %s.%s", schema,
								quote_identifier(get_rel_name(relid))));
}

/*
 * Begins to read a table, which the caller has locked: these of its columns,
 * InvalidAttrNumber among them or not; with none, any.  A superuser reads as
 * the owner from here on.  Raises 42501, and names the GRANT that is missing.
 */
void
tckpt_read_as(Oid relid, const AttrNumber *columns, int ncolumns,
			  TckptReader *reader)
{
	Oid			owner;

	memset(reader, 0, sizeof(*reader));
	if (!superuser())
		return;

	owner = table_owner(relid);
	require_rights(relid, owner, columns, ncolumns);

	GetUserIdAndSecContext(&reader->user, &reader->sec_context);
	reader->guc_level = NewGUCNestLevel();
	reader->switched = true;
	SetUserIdAndSecContext(owner,
						   reader->sec_context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION | SECURITY_NOFORCE_RLS);

	/* the owner's code finds what it finds for VACUUM, wherever we were called */
	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
}

/* Ends it: role and settings are what they were. */
void
tckpt_read_done(TckptReader *reader)
{
	if (!reader->switched)
		return;
	AtEOXact_GUC(false, reader->guc_level);
	SetUserIdAndSecContext(reader->user, reader->sec_context);
	reader->switched = false;
}
