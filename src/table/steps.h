/*-------------------------------------------------------------------------
 *
 * steps.h
 *	  The attached steps table, read and written as the caller.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_STEPS_H
#define TCKPT_STEPS_H

#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "table/attached.h"
#include "table/guard.h"

/* What a step's row says */
typedef struct TckptStep
{
	Jsonb	   *checkpoint;		/* NULL: none, or a JSON null */
	bool		processed;		/* false if the table has no such column */
} TckptStep;

/* What a look finds of a step */
typedef struct TckptStepState
{
	pg_uuid_t	step;
	bool		seen;
	bool		processed;
} TckptStepState;

/* A walk over steps of the table */
typedef struct TckptStepScan TckptStepScan;

extern bool tckpt_steps_has_row_security(const TckptSteps *steps);

extern Jsonb *tckpt_steps_read(TckptSteps *steps, const pg_uuid_t *step);
extern void tckpt_steps_lock(TckptSteps *steps, const pg_uuid_t *step,
							 TckptStep *row);
extern void tckpt_steps_look_again(TckptSteps *steps, const pg_uuid_t *step);
extern bool tckpt_steps_sees(TckptSteps *steps, const pg_uuid_t *step);
extern bool tckpt_steps_peek(TckptSteps *steps, const pg_uuid_t *step,
							 TckptStep *row);
extern bool tckpt_steps_state(TckptSteps *steps, const pg_uuid_t *step,
							  bool *processed);
extern void tckpt_steps_states(TckptSteps *steps, TckptStepState *states,
							   int nstates);
extern TckptStepState *tckpt_steps_state_of(TckptStepState *states, int nstates,
											const pg_uuid_t *step);
extern bool tckpt_steps_try_lock(TckptSteps *steps, const pg_uuid_t *step,
								 TckptStep *row);
extern void tckpt_steps_raise_missing(const TckptSteps *steps,
									  const pg_uuid_t *step);
extern void tckpt_steps_write(TckptSteps *steps, const TckptRequest *request,
							  const Jsonb *parts, TckptOutcome *outcome);
extern void tckpt_steps_clear(TckptSteps *steps, const pg_uuid_t *step);
extern void tckpt_steps_reset(TckptSteps *steps, const pg_uuid_t *step);
extern bool tckpt_steps_store(TckptSteps *steps, const pg_uuid_t *step,
							  const Jsonb *checkpoint);
extern void tckpt_steps_drop_guard(TckptSteps *steps);

extern TckptStepScan *tckpt_steps_scan(TckptSteps *steps, bool processed,
									   bool read_only);
extern bool tckpt_steps_scan_next(TckptStepScan *scan, pg_uuid_t *step,
								  TckptStep *row);
extern void tckpt_steps_scan_end(TckptStepScan *scan);

#endif							/* TCKPT_STEPS_H */
