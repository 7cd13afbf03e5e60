/** For tests of handlers: one step, run to its end, stopped or killed at a checkpoint of choice. */

import type { ClientBase } from "pg";

import { Claim, type Surroundings } from "./claim.js";
import { type Checkpoint, Client, type Receipt } from "./client.js";
import { Link } from "./link.js";
import { Journal, type Logger, type Observe } from "./log.js";
import { type Ending, type Handler, Killed, type Outcome, Run, type RunnerOptions } from "./run.js";

export interface StepOptions<Result = unknown> extends RunnerOptions<Result> {
  /** A stop is requested as the checkpoint of this number is stored, and the step is not run again. */
  stopAt?: number;
  /** The transaction of the checkpoint of this number is rolled back and the claim left, as kill -9 would. */
  crashAt?: number;
  lease?: number;
  schema?: string;
  log?: Logger;
  observe?: Observe;
}

export interface StepEnding<Result = unknown> {
  /** How its last run ended. */
  outcome: Exclude<Outcome, "killed"> | "crashed";
  result?: Result;
  error?: unknown;
  /** Those that were accepted, in all runs, also if they were rolled back. */
  checkpoints: (Checkpoint & { how: "yield" | "save"; sequence: number; replayed: boolean })[];
}

const quiet: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/**
 * Runs one step and no other as a worker would, again after each yield, on a
 * connection that is in no transaction. Dispatches it if need be.
 */
export async function runStep<Result = unknown>(
  connection: ClientBase, stepUuid: string, handler: Handler<Result>, options: StepOptions<Result> = {},
): Promise<StepEnding<Result>> {
  const { stopAt, crashAt, lease = 60, schema, log = quiet, observe } = options;
  const client = new Client(connection, schema);
  const checkpoints: StepEnding<Result>["checkpoints"] = [];
  const stop = new AbortController();
  let crashed = false;
  const surroundings: Surroundings = {
    journal: new Journal("test", log, observe),
    stopping: stop.signal,
    beat: (claim) => client.heartbeat(claim.delivery.eventId),
    onCheckpoint({ link }) {
      crashed ||= checkpoints.length + 1 === crashAt;
      if (!crashed) return;
      // whatever the handler makes of the error
      link.lose(new Killed("crashed"));
      throw link.reason;
    },
    onAccepted(receipt: Receipt, checkpoint, how) {
      const { sequence, replayed } = receipt;
      checkpoints.push({ ...structuredClone(checkpoint), how, sequence, replayed });
      if (checkpoints.length === stopAt) stop.abort();
    },
    unlessKilled: (work) => work,
  };

  const link = new Link(connection);
  try {
    await client.dispatch(stepUuid);
    for (;;) {
      const [delivery] = await client.claim("test", { lease, stepUuid });
      if (delivery === undefined) throw new Error(`step ${stepUuid} can't be claimed: it is claimed, or held back`);
      const claim = new Claim(delivery, link, client, surroundings);
      const ending: Ending<Result> = await new Run(claim, handler, options).finish();
      const { outcome } = ending;
      if (outcome === "yielded" && !stop.signal.aborted) continue;
      if (outcome !== "killed") return { ...ending, outcome, checkpoints };
      if (link.status !== "I") await connection.query("ROLLBACK");
      return { outcome: "crashed", checkpoints };
    }
  } finally {
    link.leave();
  }
}

/** Lets the lease of a claimed step run out. Only the owner of the extension's tables may. */
export async function expireLease(connection: ClientBase, stepUuid: string, schema?: string): Promise<void> {
  const prefix = schema === undefined ? "" : `${connection.escapeIdentifier(schema)}.`;
  await connection.query(
    `UPDATE ${prefix}tasker_checkpoint_events SET lease_until = clock_timestamp(), available_at = clock_timestamp()
     WHERE step_uuid = $1 AND worker IS NOT NULL`, [stepUuid]);
}
