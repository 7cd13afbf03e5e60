/*-------------------------------------------------------------------------
 *
 * transaction.h
 *	  What this transaction has done before a call of ours.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_TRANSACTION_H
#define TCKPT_TRANSACTION_H

#include "utils/uuid.h"

extern void tckpt_transaction_init(void);

extern bool tckpt_begin_write(const char *function);
extern void tckpt_end_write(void);

extern void tckpt_transaction_accept(const pg_uuid_t *event_id, int64 sequence);
extern bool tckpt_transaction_accepted(const pg_uuid_t *event_id,
									   int64 sequence);
extern bool tckpt_transaction_first_warning(void);

#endif							/* TCKPT_TRANSACTION_H */
