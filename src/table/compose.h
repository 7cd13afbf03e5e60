/*-------------------------------------------------------------------------
 *
 * compose.h
 *	  The checkpoint that a write stores, composed from what was sent and what
 *	  the row holds.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_COMPOSE_H
#define TCKPT_COMPOSE_H

#include "table/write.h"

extern bool tckpt_is_believed(TimestampTz at, TimestampTz now);
extern bool tckpt_has_progressed(const TckptDocument *doc,
								 const TckptDocument *old);
extern Jsonb *tckpt_compose_new(const TckptWrite *write, TckptDocument *doc,
								TckptComposed *composed);
extern Jsonb *tckpt_compose_edit(const TckptWrite *write,
								 const TckptDocument *doc);

#endif							/* TCKPT_COMPOSE_H */
