/*-------------------------------------------------------------------------
 *
 * reader.c
 *	  Reading tables that are not the extension's own, and writing to them.
 *
 * Whoever owns a table decides which code runs when it is used: policies,
 * triggers, and the functions in its indexes, statistics and partition keys,
 * which planning alone calls.  So a superuser reads as the table's owner, in a
 * security-restricted operation, as VACUUM and ANALYZE do; all others read as
 * themselves.  None of that code may take another role: by SET ROLE the caller
 * may have fewer rights than the session's user.  And none of its settings is
 * left behind in the session of a superuser, or of a role that acts for one.
 *
 * Between tckpt_read_as() or tckpt_write_as_caller() and tckpt_read_done()
 * belong the preparation of a statement, its planning and execution, and each
 * later fetch of its cursor.  An error puts everything back with its
 * (sub)transaction.
 *
 * FORCE ROW LEVEL SECURITY hides nothing from a superuser.  It is lifted while
 * a statement is prepared by tckpt_read_prepare(), when its policies are chosen
 * and nobody's code runs, and at no other time: the functions that planning and
 * execution call read other tables under the policies of these.  So a plan of
 * a table under FORCE must not be kept: it would be prepared again without.
 *
 * The owner's code may also rename tables and columns, between two statements
 * of one call: a plan is then parsed again, and the same text means something
 * else.  After each execution tckpt_require_table() tells whether it was of the
 * table that is locked; tckpt_require_columns() tells whether its result is of
 * the types that are expected, before anything of it is used.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pg_list.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/syscache.h"

#include "table/reader.h"
#include "tasker_checkpoint.h"

/* The owner of a table, and whether row security is forced on it; InvalidOid: it is gone. */
static Oid
table_owner(Oid relid, bool *forced)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	*forced = ((Form_pg_class) GETSTRUCT(tuple))->relforcerowsecurity;
	ReleaseSysCache(tuple);
	return owner;
}

Oid
tckpt_owner_of(Oid relid)
{
	bool		forced;

	return table_owner(relid, &forced);
}

/* Of a column, as the current role; false if the table is gone. */
bool
tckpt_may_read(Oid relid, AttrNumber attno)
{
	bool		gone = false;

	return pg_class_aclcheck_ext(relid, GetUserId(), ACL_SELECT, &gone) == ACLCHECK_OK ||
		pg_attribute_aclcheck_ext(relid, attno, GetUserId(), ACL_SELECT, &gone) == ACLCHECK_OK;
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
			 errhint("Run GRANT %s ON %s TO %s.", right, object, role)));
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
 * A partition or child of the table whose owner must not run code as the
 * table's, who is a superuser; InvalidOid if there is none.  As another owner
 * it runs anyway, whenever that one reads its own table.
 */
Oid
tckpt_untrusted_child(Oid relid, Oid owner)
{
	ListCell   *cell;

	if (!superuser_arg(owner))
		return InvalidOid;

	foreach(cell, find_all_inheritors(relid, NoLock, NULL))
	{
		Oid			role = tckpt_owner_of(lfirst_oid(cell));

		if (OidIsValid(role) && role != owner && !superuser_arg(role))
			return lfirst_oid(cell);
	}
	return InvalidOid;
}

static void
require_trusted_children(Oid relid, Oid owner)
{
	Oid			child = tckpt_untrusted_child(relid, owner);

	if (OidIsValid(child))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("could not read table \"%s\" as its owner",
						get_rel_name(relid)),
				 errdetail("The owner is a superuser, and partition or child \"%s\" belongs to role %s, which is none: its code would run as a superuser.",
						   get_rel_name(child),
						   GetUserNameFromId(tckpt_owner_of(child), true)),
				 errhint("Give both to one owner with ALTER TABLE ... OWNER TO, or call as a role that is no superuser.")));
}

/* Whether a role that is none acts for a superuser, who may take over again. */
static bool
acts_for_superuser(Oid user)
{
	Oid			behind[] = {GetSessionUserId(), GetOuterUserId(), MyProc->roleId};

	for (size_t i = 0; i < lengthof(behind); i++)
		if (behind[i] != user && superuser_arg(behind[i]))
			return true;
	return false;
}

/* As whom others' code runs from here on; "restricted" as VACUUM has it. */
static void
begin(TckptReader *reader, Oid user, bool restricted)
{
	GetUserIdAndSecContext(&reader->user, &reader->sec_context);
	if (restricted)
		reader->guc_level = NewGUCNestLevel();
	reader->begun = true;
	SetUserIdAndSecContext(user,
						   reader->sec_context | SECURITY_LOCAL_USERID_CHANGE |
						   (restricted ? SECURITY_RESTRICTED_OPERATION : 0));
}

static void
read_as_owner(Oid relid, const AttrNumber *columns, int ncolumns,
			  TckptReader *reader)
{
	Oid			owner = table_owner(relid, &reader->forced);

	if (!OidIsValid(owner))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table with OID %u does not exist", relid)));
	require_rights(relid, owner, columns, ncolumns);
	require_trusted_children(relid, owner);

	begin(reader, owner, true);
	reader->switched = true;

	/* wherever we are called, the owner's code finds what VACUUM finds */
	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
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
	memset(reader, 0, sizeof(*reader));
	if (superuser())
		read_as_owner(relid, columns, ncolumns, reader);
	else
		begin(reader, GetUserId(), acts_for_superuser(GetUserId()));
}

/*
 * Begins to write to a table, as the caller.  Its triggers may do what they may
 * in plain SQL, but for what is said above; those of a role that acts for a
 * superuser, no more than when it is read, since what they put off would run as
 * what the session is by then.
 */
void
tckpt_write_as_caller(TckptReader *reader)
{
	memset(reader, 0, sizeof(*reader));
	begin(reader, GetUserId(), acts_for_superuser(GetUserId()));
}

/* Ends either: role and settings are what they were. */
void
tckpt_read_done(TckptReader *reader)
{
	if (!reader->begun)
		return;
	if (reader->guc_level > 0)
		AtEOXact_GUC(false, reader->guc_level);
	SetUserIdAndSecContext(reader->user, reader->sec_context);
	reader->begun = false;
}

/*
 * A plan for a statement, to be executed before tckpt_read_done(); inside
 * SPI_connect.  For a superuser no policy of the owner's tables gets into it.
 */
SPIPlanPtr
tckpt_read_prepare(const TckptReader *reader, const char *sql, int nargs,
				   Oid *types, int options)
{
	Oid			user;
	int			sec_context;
	SPIPlanPtr	plan;

	GetUserIdAndSecContext(&user, &sec_context);
	if (reader->switched)
		SetUserIdAndSecContext(user, sec_context | SECURITY_NOFORCE_RLS);
	plan = SPI_prepare_cursor(sql, nargs, types, options);
	SetUserIdAndSecContext(user, sec_context);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare_cursor failed: %s",
			 SPI_result_code_string(SPI_result));
	return plan;
}

static void
raise_changed(const char *table, const char *detail)
{
	ereport(ERROR,
			(tckpt_refused(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table %s changed while it was used", table),
			 errdetail_internal("%s", detail),
			 errhint("Repeat the call.")));
}

/* Whether policies are part of a statement. */
static bool
has_policies(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, has_policies, context,
								 QTW_EXAMINE_RTES_BEFORE);
	if (IsA(node, RangeTblEntry))
		return ((RangeTblEntry *) node)->securityQuals != NIL;
	return expression_tree_walker(node, has_policies, context);
}

/*
 * Raises 55000 if a plan was not of this table when it was made last, or, where
 * a superuser reads, was made anew and has got policies.
 */
void
tckpt_require_table(const TckptReader *reader, SPIPlanPtr plan, Oid relid,
					const char *table)
{
	ListCell   *lc;

	foreach(lc, SPI_plan_get_plan_sources(plan))
	{
		CachedPlanSource *source = lfirst(lc);

		if (!list_member_oid(source->relationOids, relid))
			raise_changed(table, "Another table has its name now.");
		if (reader->switched && has_policies((Node *) source->query_list, NULL))
			raise_changed(table, "It was planned again, with its row security.");
	}
}

/* Raises 55000 if a result has not got exactly columns of these types. */
void
tckpt_require_columns(const char *table, TupleDesc tupdesc, const Oid *types,
					  int ntypes)
{
	bool		same = tupdesc->natts == ntypes;

	for (int i = 0; i < ntypes && same; i++)
		same = TupleDescAttr(tupdesc, i)->atttypid == types[i];
	if (!same)
		raise_changed(table, "Its columns have other types or names now.");
}
