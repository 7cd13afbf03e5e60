/*-------------------------------------------------------------------------
 *
 * reader.h
 *	  Reading tables that are not the extension's own, and writing to them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_READER_H
#define TCKPT_READER_H

#include "access/attnum.h"
#include "access/tupdesc.h"
#include "executor/spi.h"

/* What was so before a table of others was read or written */
typedef struct TckptReader
{
	bool		begun;
	bool		switched;		/* a superuser reads as the owner */
	bool		forced;			/* who is under row security, too */
	Oid			user;
	int			sec_context;
	int			guc_level;		/* 0: settings stay as they are left */
} TckptReader;

extern Oid	tckpt_owner_of(Oid relid);
extern bool tckpt_may_read(Oid relid, AttrNumber attno);
extern Oid	tckpt_untrusted_child(Oid relid, Oid owner);
extern void tckpt_read_as(Oid relid, const AttrNumber *columns, int ncolumns,
						  TckptReader *reader);
extern void tckpt_write_as_caller(TckptReader *reader);
extern void tckpt_read_done(TckptReader *reader);
extern SPIPlanPtr tckpt_read_prepare(const TckptReader *reader, const char *sql,
									 int nargs, Oid *types, int options);
extern void tckpt_require_table(const TckptReader *reader, SPIPlanPtr plan,
								Oid relid, const char *table);
extern void tckpt_require_columns(const char *table, TupleDesc tupdesc,
								  const Oid *types, int ntypes);

#endif							/* TCKPT_READER_H */
