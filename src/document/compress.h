/*-------------------------------------------------------------------------
 *
 * compress.h
 *	  Documents compressed before they are stored.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_COMPRESS_H
#define TCKPT_COMPRESS_H

#include "catalog/pg_attribute.h"

extern Datum tckpt_compress(Datum value, Form_pg_attribute att);

#endif							/* TCKPT_COMPRESS_H */
