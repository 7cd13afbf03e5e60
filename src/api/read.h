/*-------------------------------------------------------------------------
 *
 * read.h
 *	  What a checkpoint says to the worker that resumes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_READ_H
#define TCKPT_READ_H

#include "document/document.h"

/* The columns by which a worker resumes, in their order */
enum
{
	TCKPT_RESUME_HAS_CHECKPOINT,
	TCKPT_RESUME_CURSOR,
	TCKPT_RESUME_ITEMS,
	TCKPT_RESUME_RESULTS,
	TCKPT_RESUME_NCOLUMNS
};

extern int64 tckpt_sequence(const Jsonb *checkpoint);
extern int64 tckpt_resume_columns(const Jsonb *checkpoint, Datum *values,
								  bool *nulls);

#endif							/* TCKPT_READ_H */
