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
#include "nodes/pg_list.h"

/* The guard trigger of a table */
typedef struct TckptTrigger
{
	Oid			oid;
	NameData	name;
	Oid			relid;
	AttrNumber	key;
	AttrNumber	checkpoint;
} TckptTrigger;

/* A trigger that calls the guard, and what it is to the extension */
typedef struct TckptRegistration
{
	TckptTrigger trigger;		/* a column is InvalidAttrNumber if its type
								 * is not what it must be */
	Oid			parent;			/* what it was cloned from, on a partition */
	char		enabled;		/* as in pg_trigger */
	Oid			owner;			/* of its table; InvalidOid if it is not as
								 * attach makes it */

	/* tckpt_registration_list() only */
	Oid			root;			/* the trigger that it comes from, at last */
	Oid			steps;			/* the table of that */
	bool		counts;			/* that marks it as the steps table */
	bool		attached;		/* and it is the one that is attached */
	bool		marked;			/* it goes with the extension */
} TckptRegistration;

extern Oid	tckpt_attachable_owner(Oid relid);
extern Oid	tckpt_guard_of(Oid function);
extern Oid	tckpt_forget_of(Oid function);
extern int	tckpt_registrations(Oid guard, TckptTrigger *trigger, bool *contested);
extern bool tckpt_find_registration(Oid guard, TckptTrigger *trigger,
									bool *contested);
extern bool tckpt_registration_of(Oid guard, Oid relid,
								  TckptRegistration *registration);
extern List *tckpt_registration_list(Oid guard);
extern const char *tckpt_schema_of(Oid function);
extern char *tckpt_table_name(Oid relid);

#endif							/* TCKPT_REGISTRATION_H */
