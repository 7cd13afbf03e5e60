/*-------------------------------------------------------------------------
 *
 * figures.h
 *	  What a checkpoint document says of progress: items, total and rate.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_FIGURES_H
#define TCKPT_FIGURES_H

#include "document/history.h"

typedef struct TckptFigures
{
	int64		items;
	bool		has_total;
	int64		total;
	double		rate;			/* items per second; 0: unknown */
	bool		has_time;
	TimestampTz checkpointed_at;
	int64		sequence;
} TckptFigures;

extern void tckpt_figures_read(const TckptDocument *doc,
							   const TckptHistory *history,
							   TckptFigures *figures);
extern Datum tckpt_rate_to_numeric(double rate);

#endif							/* TCKPT_FIGURES_H */
