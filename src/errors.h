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

/* The claim under which it was written is not the step's current one */
#define ERRCODE_TCKPT_CLAIM_SUPERSEDED		MAKE_SQLSTATE('T','C','0','0','2')

/* It is stored already, with what its transaction has written */
#define ERRCODE_TCKPT_STORED_BEFORE			MAKE_SQLSTATE('T','C','0','0','3')

#endif							/* TCKPT_ERRORS_H */
