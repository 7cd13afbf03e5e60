/*-------------------------------------------------------------------------
 *
 * lanes.h
 *	  Which queues, and which priorities in them, the index of what can be
 *	  claimed has.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_LANES_H
#define TCKPT_LANES_H

#include "utils/relcache.h"

extern bool tckpt_next_lane(Relation rel, Relation index, char *queue, int *priority);

#endif							/* TCKPT_LANES_H */
