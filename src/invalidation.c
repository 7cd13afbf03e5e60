/*-------------------------------------------------------------------------
 *
 * invalidation.c
 *	  Whether what was looked up in the catalogs may have changed since.
 *
 * PostgreSQL has room for ten relcache callbacks, which all extensions share: so
 * this is the only one of ours.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/inval.h"
#include "utils/syscache.h"

#include "invalidation.h"

static uint64 changes = 1;
static TckptInvalidated invalidated = NULL;

static void
relcache_callback(Datum arg, Oid relid)
{
	changes++;
	invalidated(relid);
}

/* A schema was renamed, or a function moved; tables hear nothing of either. */
static void
syscache_callback(Datum arg, int cacheid, uint32 hashvalue)
{
	changes++;
	if (cacheid == NAMESPACEOID)
		invalidated(InvalidOid);
}

/* "callback" is told of a relation; InvalidOid may be any of them. */
void
tckpt_invalidation_init(TckptInvalidated callback)
{
	invalidated = callback;
	CacheRegisterRelcacheCallback(relcache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, syscache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(PROCOID, syscache_callback, (Datum) 0);
}

/*
 * Counts the invalidations of relations, schemas and functions.  While it stands
 * still, what was looked up of them is still so, as far as this session has
 * heard; it hears of more whenever it locks a relation.
 */
uint64
tckpt_changes(void)
{
	return changes;
}
