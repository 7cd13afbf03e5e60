/*-------------------------------------------------------------------------
 *
 * swapped.h
 *	  Whether one table has taken the place of another.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_SWAPPED_H
#define TCKPT_SWAPPED_H

#include "table/registration.h"

extern bool tckpt_has_name_of(Oid relid, Oid other);
extern bool tckpt_is_alike(Oid relid, const TckptTrigger *steps);

#endif							/* TCKPT_SWAPPED_H */
