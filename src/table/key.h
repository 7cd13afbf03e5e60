/*-------------------------------------------------------------------------
 *
 * key.h
 *	  Whether a row of the steps table has a key, whoever may see it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_TABLE_KEY_H
#define TCKPT_TABLE_KEY_H

#include "access/attnum.h"
#include "utils/relcache.h"
#include "utils/uuid.h"

extern bool tckpt_key_is_taken(Relation rel, AttrNumber attno,
							   const pg_uuid_t *key);
extern bool tckpt_key_is_there(Relation rel, AttrNumber attno,
							   const pg_uuid_t *key);

#endif							/* TCKPT_TABLE_KEY_H */
