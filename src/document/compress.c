/*-------------------------------------------------------------------------
 *
 * compress.c
 *	  Documents compressed before they are stored.
 *
 * The server compresses a row only if it is larger than a quarter of a page.
 * What is smaller is written to the WAL with every checkpoint all the same, and
 * the entries of a history are much alike.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heaptoast.h"
#include "access/toast_internals.h"

#include "document/compress.h"
#include "tasker_checkpoint.h"

/* What is smaller hardly gets any smaller */
#define MIN_SIZE	512

/*
 * A value as it is to be stored in a column: compressed by the column's method,
 * if it is not yet, may be, is worth it, and is not so large that the server
 * does it.
 */
Datum
tckpt_compress(Datum value, Form_pg_attribute att)
{
	struct varlena *datum = (struct varlena *) DatumGetPointer(value);
	Datum		compressed;

	if (VARATT_IS_EXTENDED(datum) ||
		VARSIZE(datum) < MIN_SIZE || VARSIZE(datum) > TOAST_TUPLE_THRESHOLD ||
		(att->attstorage != TYPSTORAGE_EXTENDED && att->attstorage != TYPSTORAGE_MAIN))
		return value;
	compressed = toast_compress_datum(value, att->attcompression);
	return DatumGetPointer(compressed) == NULL ? value : compressed;
}
