/*-------------------------------------------------------------------------
 *
 * holders.h
 *	  Prepared transactions that hold rows others wait for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_HOLDERS_H
#define TCKPT_HOLDERS_H

#include "datatype/timestamp.h"
#include "storage/itemptr.h"
#include "utils/uuid.h"

/* A prepared transaction of this database */
typedef struct TckptHolder
{
	TransactionId xid;
	char	   *gid;
	TimestampTz prepared_at;
} TckptHolder;

typedef struct TckptHolders
{
	int			n;
	TckptHolder *holders;
} TckptHolders;

typedef void (*TckptHeld) (const pg_uuid_t *step, const TckptHolder *holder,
						   void *arg);

extern TckptHolders *tckpt_holders_find(void);
extern void tckpt_holders_of_events(const TckptHolders *holders, Oid function,
									TckptHeld held, void *arg);
extern const TckptHolder *tckpt_holder_of_row(const TckptHolders *holders,
											  Oid relid, ItemPointer tid);

#endif							/* TCKPT_HOLDERS_H */
