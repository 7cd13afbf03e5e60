/*-------------------------------------------------------------------------
 *
 * figures.h
 *	  What a checkpoint document says of progress: rate, standstill and total.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TCKPT_FIGURES_H
#define TCKPT_FIGURES_H

#include "document/history.h"

extern double tckpt_history_rate(const TckptHistory *history);
extern uint32 tckpt_document_repeated(const TckptDocument *doc);
extern bool tckpt_results_total(const TckptDocument *doc, int64 *total);
extern bool tckpt_inputs_total(Jsonb *inputs, int64 *total);

#endif							/* TCKPT_FIGURES_H */
