/*-------------------------------------------------------------------------
 *
 * invalidation.h
 *	  Whether what was looked up in the catalogs may have changed since.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_INVALIDATION_H
#define TCKPT_INVALIDATION_H

typedef void (*TckptInvalidated) (Oid relid);

extern void tckpt_invalidation_init(TckptInvalidated callback);
extern uint64 tckpt_changes(void);

#endif							/* TCKPT_INVALIDATION_H */
