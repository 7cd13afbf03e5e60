/*-------------------------------------------------------------------------
 *
 * findings.h
 *	  What is wrong with a step.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_FINDINGS_H
#define TCKPT_FINDINGS_H

#include "datatype/timestamp.h"
#include "utils/uuid.h"

#include "table/cursor_index.h"
#include "table/survey.h"

typedef enum TckptSeverity
{
	TCKPT_CRITICAL,
	TCKPT_WARNING,
	TCKPT_INFO
} TckptSeverity;

typedef enum TckptFindingKind
{
	TCKPT_FINDING_UNGUARDED,
	TCKPT_FINDING_PREPARED,
	TCKPT_FINDING_PARKED,
	TCKPT_FINDING_STALE,
	TCKPT_FINDING_STALLED,
	TCKPT_FINDING_EXPIRED,
	TCKPT_FINDING_UNCLAIMED,
	TCKPT_FINDING_AHEAD,
	TCKPT_FINDING_NEAR_CURSOR_LIMIT,
	TCKPT_FINDING_NEAR_RESULTS_LIMIT,
	TCKPT_FINDING_NEAR_INDEX_LIMIT,
	TCKPT_FINDING_LONG_CURSOR,
	TCKPT_FINDING_PAUSED,
	TCKPT_FINDING_CANCELLED
} TckptFindingKind;

/* What becomes of a step, where that makes a difference to what is said */
typedef enum TckptStanding
{
	TCKPT_IN_WORK,
	TCKPT_PROCESSED,
	TCKPT_GONE
} TckptStanding;

typedef struct TckptFinding
{
	TckptFindingKind kind;
	TckptSeverity severity;
	pg_uuid_t	step;
	TckptStanding standing;
	double		figure;			/* in the kind's unit */
	double		threshold;
	int64		bytes;			/* of what is near a limit, or long */
	const TckptDispatched *dispatched;	/* NULL: it is not */
	const TckptHolder *holder;	/* of a prepared transaction */
	const TckptCursorIndex *index;	/* of one that is near its limit */
	bool		unreadable;		/* no reader can take its checkpoint */
} TckptFinding;

/* The findings of all steps, and what is needed to find them */
typedef struct TckptFindings
{
	TckptFinding *list;
	int			n;
	int			allocated;
	TimestampTz now;
	List	   *indexes;		/* of TckptCursorIndex */
} TckptFindings;

extern void tckpt_findings_of_step(const TckptSurveyed *step, void *findings);

#endif							/* TCKPT_FINDINGS_H */
