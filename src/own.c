/*-------------------------------------------------------------------------
 *
 * own.c
 *	  The extension's own tables, found beside its functions.
 *
 * They are in the schema of the function that was called, whatever the
 * search_path holds.  Their columns are fixed: the C that reads and writes
 * them goes by position.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "own.h"
#include "stats.h"
#include "tasker_checkpoint.h"

/* A table or an index of that name.  Raises 42P01. */
Oid
tckpt_own_relation(Oid namespace, const char *name)
{
	Oid			relid = get_relname_relid(name, namespace);

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s\" does not exist", name),
				 errhint("Create the extension again.")));
	return relid;
}

/* Opens a table that has so many columns.  Raises 42P01 and 55000. */
Relation
tckpt_own_table(Oid function, const char *name, int ncolumns, LOCKMODE lockmode)
{
	Relation	rel = table_open(tckpt_own_relation(get_func_namespace(function), name),
								 lockmode);

	if (RelationGetNumberOfAttributes(rel) != ncolumns)
		ereport(ERROR,
				(errcode(tckpt_refused(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)),
				 errmsg("table \"%s\" must have the columns it was created with",
						name),
				 errhint("Create the extension again.")));
	return rel;
}
