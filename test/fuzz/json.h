/*-------------------------------------------------------------------------
 *
 * json.h
 *	  Documents out of arbitrary bytes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_FUZZ_JSON_H
#define TCKPT_FUZZ_JSON_H

#include "lib/stringinfo.h"

/* Bytes to take decisions from; past the end they are all 0 */
typedef struct Bytes
{
	const unsigned char *next;
	const unsigned char *end;
} Bytes;

extern int	next_byte(Bytes *bytes);
extern void append_document(StringInfo json, Bytes *bytes);

#endif							/* TCKPT_FUZZ_JSON_H */
