/*-------------------------------------------------------------------------
 *
 * due.h
 *	  Events whose delay or lease ends while workers wait.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_DUE_H
#define TCKPT_DUE_H

extern void tckpt_offer_due(Oid function);

#endif							/* TCKPT_DUE_H */
