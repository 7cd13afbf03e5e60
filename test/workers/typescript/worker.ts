/** The TypeScript client's worker for the harness; ../README.md says what it does. */

import { setTimeout } from "node:timers/promises";
import { isDeepStrictEqual, parseArgs } from "node:util";

import {
  type Context, type Json, PermanentError, type Receipt, TransientError, Worker,
} from "tasker-checkpoint-client";

import { countItems } from "./tasker.js";

const firstBigCursor = 2n ** 53n + 1n;

interface Inputs {
  cursor: { start_cursor: number; end_cursor: number };
  batch_metadata: {
    items_per_checkpoint: number;
    mode: "yield" | "save" | "iterate" | "job" | "tasker";
    cursor_kind: string;
    fail_after?: number;
    fail_on_attempt?: number | "always";
    fail_permanently?: boolean;
    item_delay_ms?: number;
    repeat?: boolean;
    store_twice?: boolean;
    hand_back?: boolean;
    stand_still?: boolean;
    return_on_stop?: boolean;
    leave_open?: number;
    save_after_yield?: boolean;
    fail_after_yield?: boolean;
    ignore_stop?: boolean;
    unlucky?: boolean;
    yield_after?: number;
    key?: string;
  };
  is_no_op: boolean;
}

interface Totals {
  running_total: number;
  item_ids: string[];
}

interface Results extends Totals {
  total: number;
}

function cursorAt(kind: string, item: number): Json {
  switch (kind) {
    case "integer":
      return item;
    case "token":
      return `tok-${item}`;
    case "object":
      return { at: item, half: -0.1 };
    case "null":
      return null;
    case "big":
      return firstBigCursor + BigInt(item);
    default:
      throw new PermanentError(`unknown kind of cursor: ${kind}`);
  }
}

/** A step's items, and how far they are done. */
class Batch {
  readonly #context: Context;
  readonly #worker: string;
  readonly #inputs: Inputs;
  readonly #failAfter: number | undefined;
  readonly #leavesOpen: boolean;
  readonly #start: number;
  readonly #end: number;
  #item: number;
  #unsaved: number[] = [];
  readonly #totals: Totals = { running_total: 0, item_ids: [] };

  constructor(context: Context, worker: string, inputs: Inputs, attempts: number) {
    const { start_cursor: start, end_cursor: end } = inputs.cursor;
    const { fail_after: failAfter, fail_on_attempt: failOn } = inputs.batch_metadata;
    this.#context = context;
    this.#worker = worker;
    this.#inputs = inputs;
    this.#failAfter = failOn === "always" || failOn === attempts ? failAfter : undefined;
    this.#leavesOpen = inputs.batch_metadata.leave_open === attempts;
    this.#start = start;
    this.#end = inputs.is_no_op ? start : end;
    this.#item = start + context.checkpointItemsProcessed;
    if (!context.hasCheckpoint()) return;

    const { running_total, item_ids }: Totals = context.accumulatedResults;
    this.#totals = { running_total, item_ids };
    if (inputs.batch_metadata.key === undefined && !isDeepStrictEqual(context.checkpointCursor, this.#cursor())) {
      throw new PermanentError("the cursor is not what was stored");
    }
  }

  static async read(context: Context, worker: string): Promise<Batch> {
    const { rows } = await context.connection.query<{ inputs: Inputs; attempts: number }>(
      "SELECT inputs, attempts FROM tasker.workflow_steps WHERE workflow_step_uuid = $1", [context.stepUuid]);
    const step = rows[0];
    if (step === undefined) throw new PermanentError("the step is gone");
    return new Batch(context, worker, step.inputs, step.attempts);
  }

  /** Runs to the end, for the results, or to a yield. */
  async run(): Promise<Results | Receipt> {
    const { items_per_checkpoint: interval, mode, ...how } = this.#inputs.batch_metadata;
    if (how.unlucky) throw new Error("told to fail");
    if (how.stand_still) return this.#send(() => this.#keep(true));
    if (this.#leavesOpen) return this.#leaveOpen();
    if (mode === "iterate") return this.#iterate();
    if (mode === "job") return this.#doJob();
    if (mode === "tasker") return countItems(this.#context);
    let checkpoints = 0;
    while (this.#item < this.#end) {
      await this.#doItem();
      if (mode === "yield") {
        await this.#apply();
        this.#unsaved = [];
      }
      const more = this.#item < this.#end;
      if (more && this.#done % interval !== 0) continue;

      if ((how.save_after_yield || how.fail_after_yield) && !this.#context.hasCheckpoint()) {
        await this.#send(() => this.#applyAndKeep(true));
        if (how.fail_after_yield) throw new Error("told to fail after the yield");
        await this.#keep(false);
      } else if (mode === "save") {
        checkpoints += 1;
        const isTold = !how.return_on_stop && !how.ignore_stop && this.#context.stopRequested;
        const stopping = more && (isTold || checkpoints === how.yield_after);
        if (how.store_twice) await this.#applyAndKeep(stopping);
        const receipt = await this.#send(() => this.#applyAndKeep(stopping));
        if (stopping) return receipt;
        if (how.return_on_stop && more && this.#context.stopRequested) break;
      } else if (more) {
        return this.#send(() => this.#keep(true));
      }
    }
    return this.#results();
  }

  #results(): Results {
    return { ...this.#totals, total: this.#end - this.#start };
  }

  /** The client keeps cursor and checkpoints. */
  async #iterate(): Promise<Results> {
    const source = `SELECT n AS item, 1 + n * 2.220446049250313e-16::float8 AS near
      FROM generate_series(${this.#start}::bigint, ${this.#end - 1}) AS n`;
    const { items_per_checkpoint: every, key = "item" } = this.#inputs.batch_metadata;
    const total = this.#end - this.#start;
    const options = { key, every, total, results: this.#totals };
    for await (const rows of this.#context.iterate<{ item: string }>(source, options)) {
      for (const { item } of rows) {
        this.#item = Number(item);
        await this.#doItem();
      }
      await this.#apply();
      this.#unsaved = [];
    }
    return this.#results();
  }

  /** Numbers of a table, a batch by one statement. */
  async #doJob(): Promise<Results> {
    const { items_per_checkpoint: every } = this.#inputs.batch_metadata;
    const results = { running_total: this.#totals.running_total };
    const options = { key: "n", every, total: this.#end - this.#start, results };
    for await (const rows of this.#context.iterate<{ n: string }>("SELECT n FROM numbers", options)) {
      this.#unsaved = rows.map(({ n }) => Number(n));
      for (const number of this.#unsaved) results.running_total += number + 1;
      await this.#apply();
    }
    return { ...this.#results(), ...results };
  }

  /** As a handler does that forgets to commit. */
  async #leaveOpen(): Promise<Results> {
    await this.#context.connection.query("BEGIN");
    while (this.#item < this.#end) await this.#doItem();
    await this.#apply();
    return this.#results();
  }

  /** Items done since the step's beginning. */
  get #done(): number {
    return this.#item - this.#start;
  }

  #cursor(): Json {
    if (["iterate", "job"].includes(this.#inputs.batch_metadata.mode)) return this.#item - 1;
    return cursorAt(this.#inputs.batch_metadata.cursor_kind, this.#item);
  }

  /** Does the next item, or fails as the step says. */
  async #doItem(): Promise<void> {
    const { fail_permanently: permanently, item_delay_ms: delay, hand_back } = this.#inputs.batch_metadata;
    if (this.#done === this.#failAfter) {
      const message = `told to fail after ${this.#done} items`;
      throw permanently ? new PermanentError(message) : new TransientError(message, { delay: 0 });
    }
    if (hand_back && this.#context.stopRequested) throw new TransientError("told to stop");
    if (delay !== undefined) await setTimeout(delay);
    this.#totals.running_total += this.#item + 1;
    this.#totals.item_ids.push(`item_${String(this.#item).padStart(4, "0")}`);
    this.#unsaved.push(this.#item);
    this.#item += 1;
  }

  /** Writes down the items done since this was last called. */
  async #apply(): Promise<void> {
    await this.#context.connection.query(
      "INSERT INTO applied (step_uuid, item, worker) SELECT $1, i, $3 FROM unnest($2::bigint[]) AS i",
      [this.#context.stepUuid, this.#unsaved, this.#worker]);
  }

  /** Persists, and yields if it is to stop. */
  #keep(stop: boolean): Promise<Receipt> {
    const checkpoint = { cursor: this.#cursor(), itemsProcessed: this.#done, accumulatedResults: this.#totals };
    return stop ? this.#context.checkpointYield(checkpoint) : this.#context.checkpointSave(checkpoint);
  }

  /** Rows and checkpoint in one transaction. */
  #applyAndKeep(stop: boolean): Promise<Receipt> {
    return this.#context.transaction(async () => {
      await this.#apply();
      return this.#keep(stop);
    });
  }

  /** Sends it, and once more if the reply was lost and it is told to. */
  async #send(keep: () => Promise<Receipt>): Promise<Receipt> {
    let repeated = false;
    const receipt = await keep().catch((error) => {
      if (!this.#inputs.batch_metadata.repeat || error.code !== "08007") throw error;
      repeated = true;
      return keep();
    });
    if (receipt.replayed !== repeated) throw new PermanentError(`not to be expected: ${JSON.stringify(receipt)}`);
    this.#unsaved = [];
    return receipt;
  }
}

async function updateStep(context: Context, assignments: string, ...values: unknown[]): Promise<void> {
  await context.connection.query(
    `UPDATE tasker.workflow_steps SET ${assignments}, updated_at = now() WHERE workflow_step_uuid = $1`,
    [context.stepUuid, ...values]);
}

async function transition(context: Context, state: string): Promise<void> {
  await context.connection.query(
    "INSERT INTO tasker.workflow_step_transitions (workflow_step_uuid, to_state) VALUES ($1, $2)",
    [context.stepUuid, state]);
}

const { values } = parseArgs({
  options: {
    dsn: { type: "string" },
    name: { type: "string" },
    "poll-only": { type: "boolean" },
    listen: { type: "boolean" },
    lease: { type: "string", default: "60" },
    "exit-when-idle": { type: "string", default: "Infinity" },
    queues: { type: "string" },
    concurrency: { type: "string", default: "1" },
    "retry-delay": { type: "string", default: "1" },
  },
});
const { dsn, name, queues } = values;
if (dsn === undefined || name === undefined) throw new Error("--dsn and --name are required");

await using worker = new Worker<Results>({
  connection: dsn,
  name,
  lease: Number(values.lease),
  wait: values["poll-only"] ? "poll" : values.listen ? "listen" : "server",
  concurrency: Number(values.concurrency),
  retryDelay: Number(values["retry-delay"]),
  ...(queues === undefined ? {} : { queues: queues.split(",") }),

  // what goes on after a yield or elsewhere is no new attempt
  onStart: (context) => updateStep(context,
    "attempts = coalesce(attempts, 0) + (NOT in_process)::integer, in_process = true"),

  async onSuccess(context, results) {
    await updateStep(context,
      "results = $2::jsonb, processed = true, processed_at = now(), in_process = false",
      JSON.stringify({ ...results, checkpoints_used: context.sequence }));
    await transition(context, "complete");
  },

  async onTransientFailure(context) {
    await updateStep(context, "in_process = false");
    await transition(context, "waiting_for_retry");
  },

  async onPermanentFailure(context) {
    await updateStep(context, "in_process = false");
    await transition(context, "error");
  },
});

await worker.run(
  async (context) => (await Batch.read(context, name)).run(),
  { exitWhenIdle: Number(values["exit-when-idle"]) });
