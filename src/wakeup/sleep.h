/*-------------------------------------------------------------------------
 *
 * sleep.h
 *	  A session that waits for work sleeps.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_SLEEP_H
#define TCKPT_SLEEP_H

extern void tckpt_sleep(long msecs);

#endif							/* TCKPT_SLEEP_H */
