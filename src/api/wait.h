/*-------------------------------------------------------------------------
 *
 * wait.h
 *	  The procedure by which a worker waits until there is something to claim.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_WAIT_H
#define TCKPT_WAIT_H

extern void tckpt_wait_init(void);

#endif							/* TCKPT_WAIT_H */
