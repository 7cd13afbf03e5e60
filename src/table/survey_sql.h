/*-------------------------------------------------------------------------
 *
 * survey_sql.h
 *	  The statements of a survey.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_SURVEY_SQL_H
#define TCKPT_SURVEY_SQL_H

#include "table/attached.h"
#include "table/survey.h"

/* What the statements return */
enum
{
	TCKPT_SURVEY_STEP,
	TCKPT_SURVEY_CHECKPOINT,
	TCKPT_SURVEY_PROCESSED,
	TCKPT_SURVEY_IN_PROCESS,
	TCKPT_SURVEY_INPUTS,
	TCKPT_SURVEY_TASK,
	TCKPT_SURVEY_STEP_NAME,
	TCKPT_SURVEY_TASK_NAME,
	TCKPT_SURVEY_XMAX,
	TCKPT_SURVEY_CTID,
	TCKPT_SURVEY_TABLEOID,
	TCKPT_SURVEY_NCOLUMNS
};

typedef struct TckptSurveySql
{
	char	   *walk;			/* over those not processed that have a
								 * checkpoint */
	char	   *lookup;			/* $1 is an array of keys */
} TckptSurveySql;

extern const Oid tckpt_survey_types[];

extern TckptSurveySql tckpt_survey_sql(const TckptSteps *steps,
									   const TckptSurvey *survey,
									   bool holders);

#endif							/* TCKPT_SURVEY_SQL_H */
