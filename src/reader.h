/*-------------------------------------------------------------------------
 *
 * reader.h
 *	  Reading tables that are not the extension's own.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_READER_H
#define TCKPT_READER_H

#include "access/attnum.h"

/* What a superuser was before it began to read as a table's owner */
typedef struct TckptReader
{
	bool		switched;		/* false: the caller reads as itself */
	Oid			user;
	int			sec_context;
	int			guc_level;
} TckptReader;

extern void tckpt_read_as(Oid relid, const AttrNumber *columns, int ncolumns,
						  TckptReader *reader);
extern void tckpt_read_done(TckptReader *reader);

#endif							/* TCKPT_READER_H */
