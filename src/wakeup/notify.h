/*-------------------------------------------------------------------------
 *
 * notify.h
 *	  A wake-up as NOTIFY, in the current transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_NOTIFY_H
#define TCKPT_NOTIFY_H

#include "utils/uuid.h"

extern bool tckpt_notify_has_room(size_t n);
extern void tckpt_notify_now(const char *channel, const pg_uuid_t *step,
							 int64 sequence, const char *queue);

#endif							/* TCKPT_NOTIFY_H */
