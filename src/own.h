/*-------------------------------------------------------------------------
 *
 * own.h
 *	  The extension's own tables, found beside its functions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_OWN_H
#define TCKPT_OWN_H

#include "storage/lockdefs.h"
#include "utils/relcache.h"

extern Oid	tckpt_own_relation(Oid namespace, const char *name);
extern Relation tckpt_own_table(Oid function, const char *name, int ncolumns,
								LOCKMODE lockmode);

#endif							/* TCKPT_OWN_H */
