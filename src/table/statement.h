/*-------------------------------------------------------------------------
 *
 * statement.h
 *	  The statements on the steps table: their text, their plans, their
 *	  execution.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_STATEMENT_H
#define TCKPT_STATEMENT_H

#include "utils/jsonb.h"

#include "table/attached.h"
#include "table/guard.h"
#include "table/reader.h"

extern const char *tckpt_processed_column(const TckptSteps *steps);
extern void tckpt_run_ddl(const char *sql);
extern void tckpt_steps_read_as(const TckptSteps *steps, bool processed,
								TckptReader *reader);
extern uint64 tckpt_steps_execute(TckptSteps *steps, TckptStatement statement,
								  const pg_uuid_t *key, int nkeys, const Jsonb *checkpoint,
								  const TckptAnnouncement *announcement,
								  const TckptReader *reader);
extern uint64 tckpt_steps_execute_write(TckptSteps *steps, const Jsonb *checkpoint,
										const TckptAnnouncement *announcement,
										const TckptReader *reader);

#endif							/* TCKPT_STATEMENT_H */
