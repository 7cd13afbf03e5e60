/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Differences between server versions, and the only place that asks for
 *	  the version.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_COMPAT_H
#define TCKPT_COMPAT_H

#include "fmgr.h"

#if PG_VERSION_NUM < 150000
#error "tasker_checkpoint needs PostgreSQL 15 or later"
#endif

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#if PG_VERSION_NUM >= 180000
#define TCKPT_MODULE_MAGIC \
	PG_MODULE_MAGIC_EXT(.name = "tasker_checkpoint", .version = TCKPT_VERSION)
#else
#define TCKPT_MODULE_MAGIC \
	PG_MODULE_MAGIC
#endif

#if PG_VERSION_NUM >= 160000
#define tckpt_owns_table(relid, role) \
	object_ownercheck(RelationRelationId, relid, role)
#else
#define tckpt_owns_table(relid, role) \
	pg_class_ownercheck(relid, role)
#endif

/* A wait event of our own, where the server has such */
#if PG_VERSION_NUM >= 170000
#define tckpt_wait_event(name)	WaitEventExtensionNew(name)
#else
#define tckpt_wait_event(name)	PG_WAIT_EXTENSION
#endif

#endif							/* TCKPT_COMPAT_H */
