/** What the extension raises, and what handlers may throw. */

import { DatabaseError } from "pg";

/** The SQLSTATE of a server's error; of any copy of pg. */
export function sqlstate(error: unknown): string | undefined {
  // raised by the client itself it has no severity
  if (error instanceof CheckpointError) return error.code;
  if (!(error instanceof Error) || !("severity" in error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** An error that the extension raised, with all that pg says of it; which one, the subclasses say. */
export class CheckpointError extends DatabaseError {
  constructor(message: string, cause?: Error) {
    super(message, 0, "error");
    // nobody needs the length
    Object.assign(this, cause, { name: new.target.name, cause });
  }
}

/** TC002: the step goes on elsewhere. Let it pass: the run ends quietly. */
export class Superseded extends CheckpointError {
  override code: string | undefined = "TC002";
}

/**
 * TC003: the checkpoint is there, with an earlier try's rows. Let it pass: if a
 * reply was lost the step goes on from what is stored, if the handler has
 * stored one checkpoint twice, with different rows, it fails.
 */
export class StoredBefore extends CheckpointError {}

/** TC001: items processed are fewer than those stored. */
export class ItemsWentBackwards extends CheckpointError {}

/** 54000: cursor or results are larger than the operator allows. */
export class LimitExceeded extends CheckpointError {}

/** P0002: there is no such step, or none that this role can see. */
export class StepNotFound extends CheckpointError {}

/** 55000: the step is processed already, or no table is attached. */
export class WrongState extends CheckpointError {}

const known: Record<string, (new (message: string, cause: Error) => CheckpointError) | undefined> = {
  TC001: ItemsWentBackwards,
  TC002: Superseded,
  TC003: StoredBefore,
  "54000": LimitExceeded,
  P0002: StepNotFound,
  "55000": WrongState,
};

/** The extension's error of pg's, or whatever else it is. */
export function translated(error: unknown): unknown {
  const kind = known[sqlstate(error) ?? ""];
  return kind === undefined ? error : new kind((error as Error).message, error as Error);
}

/** The run has yielded; there is nothing more that it can store. */
export class AlreadyYielded extends Error {
  override name = "AlreadyYielded";
}

/**
 * For handlers to throw: try again, after so many seconds, or after what the
 * worker makes of retryDelay. Thrown after a stop was requested it is no
 * failure: the step is handed back at once, and the run does not count.
 */
export class TransientError extends Error {
  override name = "TransientError";
  readonly delay: number | undefined;

  constructor(message?: string, options: { delay?: number; cause?: unknown } = {}) {
    super(message, options);
    this.delay = options.delay;
  }
}

/** For handlers to throw: this step can't succeed, don't try again. */
export class PermanentError extends Error {
  override name = "PermanentError";
}

/** Class or SQLSTATE, and the first line of the message. */
export function described(error: unknown): string {
  const kind = sqlstate(error) ?? (error instanceof Error ? error.name : typeof error);
  const message = error instanceof Error ? error.message : String(error);
  return `${kind}: ${message.split("\n", 1)[0]}`;
}
