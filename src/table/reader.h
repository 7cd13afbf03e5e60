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
#include "access/tupdesc.h"
#include "executor/spi.h"

/* What a superuser was before it began to read as a table's owner */
typedef struct TckptReader
{
	bool		switched;		/* false: the caller reads as itself */
	bool		forced;			/* the owner is under row security, too */
	Oid			user;
	int			sec_context;
	int			guc_level;
} TckptReader;

extern Oid	tckpt_owner_of(Oid relid);
extern Oid	tckpt_untrusted_child(Oid relid, Oid owner);
extern void tckpt_read_as(Oid relid, const AttrNumber *columns, int ncolumns,
						  TckptReader *reader);
extern void tckpt_read_done(TckptReader *reader);
extern SPIPlanPtr tckpt_read_prepare(const TckptReader *reader, const char *sql,
									 int nargs, Oid *types, int options);
extern void tckpt_require_table(const TckptReader *reader, SPIPlanPtr plan,
								Oid relid, const char *table);
extern void tckpt_require_columns(const char *table, TupleDesc tupdesc,
								  const Oid *types, int ntypes);

#endif							/* TCKPT_READER_H */
