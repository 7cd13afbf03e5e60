/*-------------------------------------------------------------------------
 *
 * stale.h
 *	  Whether a document that is sent was stored before.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_STALE_H
#define TCKPT_STALE_H

#include "table/write.h"

extern bool tckpt_is_edit(const TckptDocument *doc, const TckptDocument *old);
extern bool tckpt_is_stale(const TckptWrite *write, const TckptDocument *doc);
extern void tckpt_stale_note(const TckptWrite *write, TimestampTz at);

#endif							/* TCKPT_STALE_H */
