/*-------------------------------------------------------------------------
 *
 * survey.h
 *	  A walk over the steps, each with what the dispatch says of it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_SURVEY_H
#define TCKPT_SURVEY_H

#include "datatype/timestamp.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "table/holders.h"
#include "table/registration.h"

/* What the dispatch says of a step, but for the ids of events */
typedef struct TckptDispatched
{
	pg_uuid_t	step;
	char	   *worker;			/* NULL: unclaimed */
	char	   *queue;
	const TckptHolder *holder;	/* that has locked or made the row; or NULL */
	TimestampTz available_at;
	int64		lease;			/* in microseconds */
	TimestampTz lease_until;
	int32		deliveries;
	uint8		directive;		/* a TckptDirective */
	bool		has_row:1;		/* false: it is only held */
	bool		has_event:1;	/* false: it is only paused or cancelled */
	bool		parked:1;
	bool		met:1;			/* a row of the step was found */
} TckptDispatched;

/*
 * A step.  One that the table does not have, as far as the caller can tell,
 * has but "step" and "dispatched".  What is pointed to is good until the next.
 */
typedef struct TckptSurveyed
{
	pg_uuid_t	step;
	bool		found;
	bool		processed;		/* then it is not read any further */
	bool		in_process;
	Jsonb	   *checkpoint;		/* NULL: none */
	bool		has_task;
	pg_uuid_t	task;
	char	   *step_name;		/* NULL: none that may be read */
	char	   *task_name;
	bool		has_inputs;
	Datum		inputs;			/* as stored */
	const TckptDispatched *dispatched;	/* NULL: it is not */
	const TckptHolder *holder;	/* that keeps others from writing the step */
} TckptSurveyed;

typedef void (*TckptLook) (const TckptSurveyed *step, void *arg);

/* What a survey is of */
typedef struct TckptSurvey
{
	Oid			function;		/* any of the extension's */
	const pg_uuid_t *step;		/* NULL: all */
	bool		health;			/* in_process and holders; else names, tasks
								 * and inputs */
	TckptLook	look;			/* may raise, but not look at the table */
	void	   *arg;
} TckptSurvey;

extern bool tckpt_survey_may_read(const TckptTrigger *trigger);
extern void tckpt_survey(const TckptTrigger *trigger, const TckptSurvey *survey);

#endif							/* TCKPT_SURVEY_H */
