/*-------------------------------------------------------------------------
 *
 * notifier.h
 *	  A background worker that notifies for transactions which have committed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_NOTIFIER_H
#define TCKPT_NOTIFIER_H

#include "wakeup/ring.h"

extern void tckpt_notifier_start(const TckptRingSeat *seat);

extern PGDLLEXPORT void tckpt_notifier_main(Datum arg);

#endif							/* TCKPT_NOTIFIER_H */
