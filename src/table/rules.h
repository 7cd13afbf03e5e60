/*-------------------------------------------------------------------------
 *
 * rules.h
 *	  What a checkpoint must satisfy.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_RULES_H
#define TCKPT_RULES_H

#include "utils/uuid.h"

#include "document/document.h"

extern void tckpt_require_object(const pg_uuid_t *step, bool is_object);
extern int64 tckpt_require_keys(const pg_uuid_t *step,
								const TckptDocument *doc);
extern void tckpt_require_history(const pg_uuid_t *step,
								  const TckptDocument *doc,
								  const TckptDocument *old);

extern void tckpt_check_readable(const pg_uuid_t *step,
								 const TckptDocument *doc,
								 const TckptDocument *old, bool insert);
extern void tckpt_check_restored(const pg_uuid_t *step,
								 const TckptDocument *doc);
extern void tckpt_check_cursor(const pg_uuid_t *step, const TckptDocument *doc,
							   bool insert);
extern void tckpt_check_results(const pg_uuid_t *step,
								const TckptDocument *doc,
								const TckptDocument *old, bool insert);
extern void tckpt_check_items(const pg_uuid_t *step, int64 items,
							  const TckptDocument *old);

#endif							/* TCKPT_RULES_H */
