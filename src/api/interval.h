/*-------------------------------------------------------------------------
 *
 * interval.h
 *	  Leases, delays and timeouts as arguments.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_INTERVAL_H
#define TCKPT_INTERVAL_H

#include "utils/timestamp.h"

extern int64 tckpt_interval_usecs(const Interval *interval);
extern char *tckpt_interval_text(const Interval *interval);
extern int64 tckpt_require_delay(const Interval *delay);
extern int64 tckpt_require_timeout(const Interval *timeout);

#endif							/* TCKPT_INTERVAL_H */
