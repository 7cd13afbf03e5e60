/** The extension's functions, for workers and for operators. */

import { type ClientBase, escapeIdentifier } from "pg";

import { translated } from "./errors.js";
import { fromJson, type Json, toJson } from "./json.js";

/** What a handler stores. */
export interface Checkpoint {
  /** Where to resume: the last item that is done. Any JSON, null included. */
  cursor: unknown;
  /** Items done since the step began, in all its runs. */
  itemsProcessed: number;
  accumulatedResults?: unknown;
}

/** What the server says to a checkpoint. */
export interface Receipt {
  sequence: number;
  eventId: string | null;
  directive: "continue" | "pause" | "cancel";
  /** The call was done before; what the transaction did after it was not. */
  replayed: boolean;
}

/** Where to resume a step. Without a checkpoint: null, 0, null, 0. */
export interface State {
  hasCheckpoint: boolean;
  cursor: Json;
  itemsProcessed: number;
  accumulatedResults: Json;
  sequence: number;
}

/** How far a step is, and what becomes of it. */
export interface Progress {
  stepUuid: string;
  taskUuid: string | null;
  stepName: string | null;
  taskName: string | null;
  itemsProcessed: number;
  total: number | null;
  percent: number | null;
  /** Items a second. */
  rate: number | null;
  /** Seconds that are left. */
  eta: number | null;
  checkpointedAt: Date | null;
  sequence: number;
  state: "parked" | "cancelled" | "paused" | "claimed" | "expired" | "delayed" | "waiting" | "idle";
  worker: string | null;
  leaseUntil: Date | null;
  deliveries: number | null;
  queue: string | null;
}

type Row = (string | null)[];

/** A claimed step. Its JSON is read when it is asked for, and not before. */
export class Delivery implements State {
  readonly eventId: string;
  readonly stepUuid: string;
  readonly hasCheckpoint: boolean;
  readonly itemsProcessed: number;
  readonly sequence: number;
  readonly deliveries: number;
  readonly queue: string;
  /** As JSON text, which keeps all digits. */
  readonly cursorText: string | null;
  readonly resultsText: string | null;

  constructor(row: Row) {
    this.eventId = row[0]!;
    this.stepUuid = row[1]!;
    this.hasCheckpoint = row[2] === "t";
    this.cursorText = row[3]!;
    this.itemsProcessed = Number(row[4]);
    this.resultsText = row[5]!;
    this.sequence = Number(row[6]);
    this.deliveries = Number(row[7]);
    this.queue = row[8]!;
  }

  get cursor(): Json {
    return fromJson(this.cursorText);
  }

  get accumulatedResults(): Json {
    return fromJson(this.resultsText);
  }
}

const progressColumns = `step_uuid, task_uuid, step_name, task_name, items_processed, total, percent, rate,
  extract(epoch FROM eta), 1000 * extract(epoch FROM checkpointed_at), sequence, state, worker,
  1000 * extract(epoch FROM lease_until), deliveries, queue`;

function number(text: string | null | undefined): number | null {
  return text == null ? null : Number(text);
}

function date(text: string | null | undefined): Date | null {
  return text == null ? null : new Date(Number(text));
}

function receipt(row: Row): Receipt {
  return {
    sequence: Number(row[0]),
    eventId: row[1]!,
    directive: row[2] as Receipt["directive"],
    replayed: row[3] === "t",
  };
}

/**
 * The functions on an open connection, in whatever transaction that is. Times
 * are in seconds. The schema is needed only if the search_path does not lead
 * there.
 */
export class Client {
  readonly #prefix: string;

  constructor(readonly connection: ClientBase, schema?: string) {
    this.#prefix = `${schema === undefined ? "" : `${escapeIdentifier(schema)}.`}tasker_checkpoint_`;
  }

  /** Offers a step to the workers of a queue. Null: it is claimed, paused, cancelled or parked. */
  async dispatch(
    stepUuid: string, { queue = null, priority = null, delay = 0 }: {
      queue?: string | null; priority?: number | null; delay?: number;
    } = {},
  ): Promise<string | null> {
    return (await this.#row("dispatch", stepUuid, queue, priority, seconds(delay)))[0]!;
  }

  /** Takes steps that wait: of these queues, or of all; this one and no other, if it is named. */
  async claim(
    worker: string, { lease = 60, maxSteps = 1, stepUuid = null, queues = null }: {
      lease?: number; maxSteps?: number; stepUuid?: string | null; queues?: readonly string[] | null;
    } = {},
  ): Promise<Delivery[]> {
    const rows = await this.#call("claim", worker, seconds(lease), maxSteps, stepUuid, queues);
    return rows.map((row) => new Delivery(row));
  }

  /** Sleeps in the server until there may be something to claim. Not in a transaction. */
  async wait(
    { queues = null, timeout = 30 }: { queues?: readonly string[] | null; timeout?: number } = {},
  ): Promise<void> {
    await this.#query(`CALL ${this.#prefix}wait($1, $2)`, [queues, seconds(timeout)]);
  }

  /** Where to resume a step. */
  async load(stepUuid: string): Promise<State> {
    const [has, cursor, items, results, , sequence] = await this.#row("load", stepUuid);
    return {
      hasCheckpoint: has === "t",
      cursor: fromJson(cursor!),
      itemsProcessed: Number(items),
      accumulatedResults: fromJson(results!),
      sequence: Number(sequence),
    };
  }

  /** Stores a checkpoint and offers the step anew. */
  yield(stepUuid: string, checkpoint: Checkpoint, eventId: string | null = null): Promise<Receipt> {
    return this.store("yield", stepUuid, checkpoint, eventId);
  }

  /** Stores a checkpoint; the worker goes on. */
  save(stepUuid: string, checkpoint: Checkpoint, eventId: string | null = null): Promise<Receipt> {
    return this.store("save", stepUuid, checkpoint, eventId);
  }

  /** One of these two; a cursor that is JSON text already is not read. */
  async store(
    how: "yield" | "save", stepUuid: string, checkpoint: Checkpoint, eventId: string | null,
    cursorText = toJson(checkpoint.cursor),
  ): Promise<Receipt> {
    const results = toJson(checkpoint.accumulatedResults ?? null);
    return receipt(await this.#row(how, stepUuid, cursorText, checkpoint.itemsProcessed, results, eventId));
  }

  /** Extends the lease. False, here and below: the claim does not hold any more. */
  async heartbeat(eventId: string): Promise<boolean> {
    return (await this.#row("heartbeat", eventId))[0] === "t";
  }

  /** The handler is done with the step, one way or the other. */
  async complete(eventId: string): Promise<boolean> {
    return (await this.#row("complete", eventId))[0] === "t";
  }

  /** Hands the step back. Interrupted: its handler has not failed, and the claim does not count. */
  async release(
    eventId: string, { delay = 0, interrupted = false }: { delay?: number; interrupted?: boolean } = {},
  ): Promise<boolean> {
    return (await this.#row("release", eventId, seconds(delay), interrupted))[0] === "t";
  }

  /** Stops a step at its next checkpoint, until resume. False, here and below: nothing changed. */
  async pause(stepUuid: string): Promise<boolean> {
    return (await this.#row("pause", stepUuid))[0] === "t";
  }

  /** Lifts pause, cancel and parking. */
  async resume(stepUuid: string): Promise<boolean> {
    return (await this.#row("resume", stepUuid))[0] === "t";
  }

  /** Stops a step at its next checkpoint, for good. */
  async cancel(stepUuid: string): Promise<boolean> {
    return (await this.#row("cancel", stepUuid))[0] === "t";
  }

  /** Makes an earlier checkpoint the present one, and takes the step from whoever has it. */
  async rewind(stepUuid: string, toSequence: number, results: unknown = null): Promise<Receipt> {
    return receipt(await this.#row("rewind", stepUuid, toSequence, toJson(results)));
  }

  /** How far a step is, or all that are under way. */
  async progress(stepUuid: string | null = null): Promise<Progress[]> {
    const rows = await this.#query(`SELECT ${progressColumns} FROM ${this.#prefix}progress($1)`, [stepUuid]);
    return rows.map((row) => ({
      stepUuid: row[0]!,
      taskUuid: row[1]!,
      stepName: row[2]!,
      taskName: row[3]!,
      itemsProcessed: Number(row[4]),
      total: number(row[5]),
      percent: number(row[6]),
      rate: number(row[7]),
      eta: number(row[8]),
      checkpointedAt: date(row[9]),
      sequence: Number(row[10]),
      state: row[11] as Progress["state"],
      worker: row[12]!,
      leaseUntil: date(row[13]),
      deliveries: number(row[14]),
      queue: row[15]!,
    }));
  }

  async #row(name: string, ...values: unknown[]): Promise<Row> {
    return (await this.#call(name, ...values))[0] ?? [];
  }

  #call(name: string, ...values: unknown[]): Promise<Row[]> {
    const parameters = values.map((_, i) => `$${i + 1}`).join(", ");
    return this.#query(`SELECT * FROM ${this.#prefix}${name}(${parameters})`, values);
  }

  async #query(text: string, values: unknown[]): Promise<Row[]> {
    try {
      const result = await this.connection.query<Row>({
        text,
        values,
        rowMode: "array",
        types: { getTypeParser: () => (value: string) => value },
      });
      return result.rows;
    } catch (error) {
      throw translated(error);
    }
  }
}

function seconds(value: number): string {
  return `${value.toFixed(6)} seconds`;
}
