/*-------------------------------------------------------------------------
 *
 * attach.h
 *	  What begins every attach.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_ATTACH_H
#define TCKPT_ATTACH_H

#include "table/registration.h"

extern bool tckpt_attach_begin(Oid guard, TckptTrigger *found);
extern void tckpt_raise_attached(Oid relid);

#endif							/* TCKPT_ATTACH_H */
