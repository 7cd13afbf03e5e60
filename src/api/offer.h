/*-------------------------------------------------------------------------
 *
 * offer.h
 *	  Names of queues as arguments.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_OFFER_H
#define TCKPT_OFFER_H

#include "utils/array.h"

extern char **tckpt_require_queues(ArrayType *array, int *nqueues);

#endif							/* TCKPT_OFFER_H */
