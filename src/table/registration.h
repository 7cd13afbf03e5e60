/*-------------------------------------------------------------------------
 *
 * registration.h
 *	  Which trigger marks the steps table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_REGISTRATION_H
#define TCKPT_REGISTRATION_H

#include "access/attnum.h"

/* The guard trigger of a table */
typedef struct TckptTrigger
{
	Oid			oid;
	NameData	name;
	Oid			relid;
	AttrNumber	key;
	AttrNumber	checkpoint;
} TckptTrigger;

extern Oid	tckpt_attachable_owner(Oid relid);
extern Oid	tckpt_guard_of(Oid function);
extern int	tckpt_registrations(Oid guard, TckptTrigger *trigger, bool *contested);
extern bool tckpt_find_registration(Oid guard, TckptTrigger *trigger,
									bool *contested);
extern Oid	tckpt_registration_of(Oid guard, Oid relid);
extern const char *tckpt_schema_of(Oid function);
extern char *tckpt_table_name(Oid relid);

#endif							/* TCKPT_REGISTRATION_H */
