/*-------------------------------------------------------------------------
 *
 * segment.h
 *	  Shared memory that is there with and without preload.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_SEGMENT_H
#define TCKPT_SEGMENT_H

#include "storage/lwlock.h"

/* What it begins with */
typedef struct TckptSegment
{
	int			tranche;
	LWLock		lock;			/* guards what follows */
} TckptSegment;

extern void tckpt_segment_init(Size (*size) (void));
extern TckptSegment *tckpt_segment_attach(void);

#endif							/* TCKPT_SEGMENT_H */
