/*-------------------------------------------------------------------------
 *
 * offer.h
 *	  Names of queues as arguments.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_OFFER_H
#define TCKPT_OFFER_H

extern char *tckpt_require_queue(const text *name);

#endif							/* TCKPT_OFFER_H */
