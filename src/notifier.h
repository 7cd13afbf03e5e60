/*-------------------------------------------------------------------------
 *
 * notifier.h
 *	  Wake-ups outside the transaction that asks for them: a ring in shared
 *	  memory, and a background worker that drains it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_NOTIFIER_H
#define TCKPT_NOTIFIER_H

#include "access/xact.h"
#include "utils/uuid.h"

/* A notification, and the subtransaction that asked for it */
typedef struct TckptWakeup
{
	pg_uuid_t	step;
	int64		sequence;
	SubTransactionId subid;
} TckptWakeup;

extern void tckpt_notifier_init(void);
extern bool tckpt_notifier_reserve(size_t n);
extern void tckpt_notifier_push(const TckptWakeup *wakeups, size_t n);
extern void tckpt_notifier_release(void);

extern PGDLLEXPORT void tckpt_notifier_main(Datum arg);

#endif							/* TCKPT_NOTIFIER_H */
