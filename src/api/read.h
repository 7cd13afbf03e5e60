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

/* has_checkpoint, cursor, items_processed, accumulated_results */
#define TCKPT_RESUME_COLUMNS 4

extern int64 tckpt_sequence(const Jsonb *checkpoint);
extern int64 tckpt_resume_columns(const Jsonb *checkpoint, Datum *values,
								  bool *nulls);

#endif							/* TCKPT_READ_H */
