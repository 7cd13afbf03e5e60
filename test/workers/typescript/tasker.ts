/**
 * A batch handler as Tasker has them, and what it takes to run it here.
 * docs/tasker.md shows the handler.
 */

import {
  type Checkpoint, type Context, type Json, PermanentError, type Receipt, TransientError,
} from "tasker-checkpoint-client";

interface Inputs {
  cursor: { start_cursor: number; end_cursor: number };
  batch_metadata: {
    items_per_checkpoint: number;
    fail_after?: number;
    fail_on_attempt?: number | "always";
    fail_permanently?: boolean;
  };
}

/** Tasker's: the context, and what the step's inputs say. */
class BatchContext {
  readonly #context: Context;
  readonly startCursor: number;
  readonly endCursor: number;
  readonly metadata: Inputs["batch_metadata"];

  constructor(context: Context, inputs: Inputs, readonly attempts: number) {
    this.#context = context;
    this.startCursor = inputs.cursor.start_cursor;
    this.endCursor = inputs.cursor.end_cursor;
    this.metadata = inputs.batch_metadata;
  }

  hasCheckpoint(): boolean {
    return this.#context.hasCheckpoint();
  }

  get checkpointCursor(): Json {
    return this.#context.checkpointCursor;
  }

  get accumulatedResults(): Json {
    return this.#context.accumulatedResults;
  }

  get checkpointItemsProcessed(): number {
    return this.#context.checkpointItemsProcessed;
  }
}

/** What Tasker's handlers inherit; the context does the work. */
abstract class BatchableHandler {
  readonly #context: Context;
  readonly #batch: BatchContext;

  constructor(context: Context, batch: BatchContext) {
    this.#context = context;
    this.#batch = batch;
  }

  abstract call(context: Context): Promise<Json>;

  getBatchContext(_: Context): BatchContext {
    return this.#batch;
  }

  checkpointYield(checkpoint: Checkpoint): Promise<Receipt> {
    return this.#context.checkpointYield(checkpoint);
  }

  batchWorkerSuccess(success: { itemsProcessed: number; itemsSucceeded: number; results: object }): Json {
    return { ...success.results, total: success.itemsProcessed };
  }

  /** Here that is thrown. */
  failure(message: string, retryable: boolean): never {
    throw retryable ? new TransientError(message) : new PermanentError(message);
  }
}

/** Makes a handler for a worker of such a class. */
export function handlerOf(kind: new (context: Context, batch: BatchContext) => BatchableHandler) {
  return async (context: Context): Promise<Json> => {
    const { rows } = await context.connection.query<{ inputs: Inputs; attempts: number }>(
      "SELECT inputs, attempts FROM tasker.workflow_steps WHERE workflow_step_uuid = $1", [context.stepUuid]);
    const { inputs, attempts } = rows[0]!;
    return new kind(context, new BatchContext(context, inputs, attempts)).call(context);
  };
}

class CountItems extends BatchableHandler {
  async call(context: Context) {
    const batch = this.getBatchContext(context);
    let item = batch.hasCheckpoint() ? batch.checkpointCursor : batch.startCursor;
    let done = batch.checkpointItemsProcessed;
    const results = batch.accumulatedResults ?? { running_total: 0, item_ids: [] };

    while (item < batch.endCursor) {
      const error = await processItem(context, batch, item, done);
      if (error) return this.failure("told to fail", error === "transient");
      results.running_total += item + 1;
      results.item_ids.push(`item_${String(item).padStart(4, "0")}`);
      item += 1;
      done += 1;
      if (done % batch.metadata.items_per_checkpoint === 0 && item < batch.endCursor) {
        return await this.checkpointYield({ cursor: item, itemsProcessed: done, accumulatedResults: results });
      }
    }
    return this.batchWorkerSuccess({ itemsProcessed: done, itemsSucceeded: done, results });
  }
}

/** What it does with an item is the application's: a row, or a failure as the step says. */
async function processItem(context: Context, batch: BatchContext, item: number, done: number) {
  const { fail_after: after, fail_on_attempt: attempt, fail_permanently: permanently } = batch.metadata;
  if (done === after && (attempt === "always" || attempt === batch.attempts)) {
    return permanently ? "permanent" : "transient";
  }
  await context.connection.query(
    "INSERT INTO applied VALUES ($1, $2, current_setting('application_name'))", [context.stepUuid, item]);
  return undefined;
}

export const countItems = handlerOf(CountItems);
