/*-------------------------------------------------------------------------
 *
 * forget.h
 *	  The trigger by which a deleted step takes its event along.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_FORGET_H
#define TCKPT_FORGET_H

#include "nodes/pg_list.h"

/* A trigger that calls it */
typedef struct TckptForgetTrigger
{
	Oid			oid;
	NameData	name;
	char		enabled;		/* as in pg_trigger */
	bool		well_shaped;	/* as attach makes it */
} TckptForgetTrigger;

extern const TckptForgetTrigger *tckpt_forget_trigger(Oid function, Oid relid);
extern char *tckpt_forget_drop_calls(Oid function, Oid relid);
extern void tckpt_forget_drop(Oid function, Oid relid);

#endif							/* TCKPT_FORGET_H */
