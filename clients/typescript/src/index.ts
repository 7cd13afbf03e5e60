/**
 * A client of tasker_checkpoint: a worker for batch steps, and the extension's
 * functions.
 */

export { type Checkpoint, Client, type Delivery, type Progress, type Receipt, type State } from "./client.js";
export type { Connection } from "./conninfo.js";
export type { Context } from "./context.js";
export {
  AlreadyYielded, CheckpointError, ItemsWentBackwards, LimitExceeded, PermanentError, StepNotFound, StoredBefore,
  Superseded, TransientError, WrongState,
} from "./errors.js";
export type { Fetch, IterateOptions, Paging } from "./iterate.js";
export type { Json } from "./json.js";
export type { Disconnect } from "./link.js";
export type { Event, Fields, Logger, Observe } from "./log.js";
export type { RetryDelay } from "./retry.js";
export type { Callbacks, Handler } from "./run.js";
export type { Transaction } from "./transaction.js";
export type { Waiting } from "./wait.js";
export { type Handlers, type RunOptions, Worker, type WorkerOptions } from "./worker.js";
