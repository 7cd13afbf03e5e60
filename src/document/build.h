/*-------------------------------------------------------------------------
 *
 * build.h
 *	  Checkpoint documents, and entries of their history, built by copying.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_BUILD_H
#define TCKPT_BUILD_H

#include "document/history.h"

extern Jsonb *tckpt_document_parts(const TckptValue *cursor,
								   const TckptValue *items_processed,
								   const TckptValue *accumulated_results);
extern Jsonb *tckpt_document_entry(const TckptDocument *doc);
extern Jsonb *tckpt_document_compose(const TckptDocument *doc,
									 const TckptHistory *history);

#endif							/* TCKPT_BUILD_H */
