/*-------------------------------------------------------------------------
 *
 * errors.h
 *	  SQLSTATEs of our own.  Class TC is nobody else's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_ERRORS_H
#define TCKPT_ERRORS_H

#include "utils/elog.h"

/* items_processed went backwards */
#define ERRCODE_TCKPT_ITEMS_WENT_BACKWARDS	MAKE_SQLSTATE('T','C','0','0','1')

#endif							/* TCKPT_ERRORS_H */
