/*-------------------------------------------------------------------------
 *
 * sample.c
 *	  How large the largest of a sample of checkpoints are.
 *
 * For the doctor, which has no time to read them all.  Of a part of the table's
 * pages the checkpoints are chosen by their size as stored, which costs no look
 * into them; of these the largest are taken apart.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "utils/tuplestore.h"

#include "document/document.h"
#include "table/attached.h"
#include "table/reader.h"
#include "tasker_checkpoint.h"

/* Checkpoints whose size is looked at, and those that are taken apart */
#define MAX_CANDIDATES	10000
#define MAX_SAMPLES		100

/* tasker_checkpoint_sample() */
#define SAMPLE_COLUMNS	3

static char *
sample_text(const TckptSteps *steps, double percent, bool unprocessed)
{
	return psprintf("SELECT s.c FROM (SELECT %s AS c FROM %s TABLESAMPLE SYSTEM (%g) WHERE %s IS NOT NULL%s LIMIT %d) AS s "
					"ORDER BY pg_catalog.pg_column_size(s.c) USING OPERATOR(pg_catalog.>) LIMIT %d",
					steps->checkpoint, steps->table, percent, steps->checkpoint,
					unprocessed ? " AND processed IS NOT TRUE" : "",
					MAX_CANDIDATES, MAX_SAMPLES);
}

static void
put_sizes(ReturnSetInfo *rsinfo, const Jsonb *checkpoint)
{
	TckptDocument doc;
	Datum		values[SAMPLE_COLUMNS];
	bool		nulls[SAMPLE_COLUMNS] = {false};

	if (!tckpt_document_read(checkpoint, &doc))
		return;
	values[0] = Int64GetDatum((int64) tckpt_value_size(&doc.cursor));
	values[1] = Int64GetDatum((int64) (tckpt_value_size(&doc.accumulated_results) + doc.extra_size));
	values[2] = Int64GetDatum((int64) tckpt_value_size(&doc.history));
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

PG_FUNCTION_INFO_V1(tasker_checkpoint_sample);
/* Sizes of cursor, results and history; the argument is a part in percent. */
Datum
tasker_checkpoint_sample(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext caller = CurrentMemoryContext;
	TckptSteps *steps;
	TckptReader reader;
	Oid			types[] = {JSONBOID};
	SPIPlanPtr	plan;
	AttrNumber	columns[2];
	char	   *sql;

	tckpt_require_argument(fcinfo, 0, "percent");
	InitMaterializedSRF(fcinfo, 0);
	steps = tckpt_attached_open(fcinfo->flinfo->fn_oid, AccessShareLock);
	columns[0] = steps->trigger.checkpoint;

	/*
	 * steps that are done are left out, where the caller may see which these
	 * are
	 */
	columns[1] = steps->processed != InvalidAttrNumber &&
		tckpt_may_read(steps->trigger.relid, steps->processed) ?
		steps->processed : InvalidAttrNumber;
	sql = sample_text(steps, Min(Max(PG_GETARG_FLOAT4(0), 0), 100),
					  columns[1] != InvalidAttrNumber);

	SPI_connect();
	tckpt_read_as(steps->trigger.relid, columns, lengthof(columns), &reader);
	plan = tckpt_read_prepare(&reader, sql, 0, NULL, CURSOR_OPT_PARALLEL_OK);
	if (SPI_execute_plan(plan, NULL, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute_plan failed: %s", sql);
	tckpt_require_table(&reader, plan, steps->trigger.relid, steps->table);
	tckpt_require_columns(steps->table, SPI_tuptable->tupdesc, types, lengthof(types));
	tckpt_read_done(&reader);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		Datum		checkpoint = SPI_getbinval(SPI_tuptable->vals[i],
											   SPI_tuptable->tupdesc, 1, &isnull);
		MemoryContext spi = MemoryContextSwitchTo(caller);

		CHECK_FOR_INTERRUPTS();
		put_sizes(rsinfo, DatumGetJsonbP(checkpoint));
		MemoryContextSwitchTo(spi);
	}
	SPI_finish();
	return (Datum) 0;
}
