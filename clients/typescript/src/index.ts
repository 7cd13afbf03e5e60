/**
 * A client of tasker_checkpoint: the functions that workers call, and a run
 * loop for batch handlers.
 *
 *     const worker = new Worker({ connection: "dbname=app", onSuccess: storeResults });
 *     await worker.run(async (context) => {
 *       const start = context.hasCheckpoint() ? Number(context.checkpointCursor) : 0;
 *       ...
 *       if (moreToDo) return context.checkpointYield(cursor, items, results);
 *       return results;
 *     }, { signal });
 *
 * Cursors and results travel as JSON text. Integers beyond 2^53 - 1, which a
 * number can't hold, are bigint, both ways; other numbers are what JavaScript
 * makes of them.
 */

import { parse, stringify } from "lossless-json";
import pg from "pg";

export type Json = null | boolean | number | bigint | string | Json[] | { [key: string]: Json };

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

/** A claimed step. */
export interface Delivery extends State {
  eventId: string;
  stepUuid: string;
  deliveries: number;
}

/** An error that the extension raised; which one, the subclasses say. */
export class CheckpointError extends Error {
  readonly code: string | undefined;
  readonly detail: string | undefined;
  readonly hint: string | undefined;

  constructor(message: string, cause?: pg.DatabaseError) {
    super(message, { cause });
    this.name = new.target.name;
    this.code = cause?.code;
    this.detail = cause?.detail;
    this.hint = cause?.hint;
  }
}

/** TC002: the step goes on elsewhere. Stop without writing anything. */
export class Superseded extends CheckpointError {}
/**
 * TC003: the checkpoint is there, with an earlier try's rows. Roll back and
 * load. A sequence above that of the last receipt: a reply was lost, go on from
 * what is stored. The same: the handler has stored one checkpoint twice, with
 * different rows.
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

const errors: Record<string, typeof CheckpointError | undefined> = {
  TC002: Superseded,
  TC003: StoredBefore,
  TC001: ItemsWentBackwards,
  "54000": LimitExceeded,
  P0002: StepNotFound,
  "55000": WrongState,
};

/** Whether the step has gone on elsewhere; also says so of a bare error of pg's. */
export function isSuperseded(error: unknown): boolean {
  return error instanceof Superseded || (error instanceof pg.DatabaseError && error.code === "TC002");
}

/** Whether the checkpoint was stored before; also says so of a bare error of pg's. */
export function isStoredBefore(error: unknown): error is Error {
  return error instanceof StoredBefore || (error instanceof pg.DatabaseError && error.code === "TC003");
}

/**
 * For handlers to throw: try again, after so many seconds. Of a handler that was
 * told to stop it is no failure: the step is handed back at once, and the run
 * does not count.
 */
export class TransientError extends Error {
  constructor(message: string, readonly delay = 0) {
    super(message);
  }
}

/** For handlers to throw: this step can't succeed, don't try again. */
export class PermanentError extends Error {}

function toNumber(text: string): number | bigint {
  const value = Number(text);
  return /^-?\d+$/.test(text) && !Number.isSafeInteger(value) ? BigInt(text) : value;
}

function fromJson(text: string | null): Json {
  return text === null ? null : (parse(text, null, toNumber) as Json);
}

function toJson(value: unknown): string {
  const text = stringify(value, (_key: string, part: unknown) => {
    if (typeof part === "number" && !Number.isFinite(part)) throw new TypeError(`${part} is not JSON`);
    return part;
  });
  if (text === undefined) throw new TypeError("undefined is not JSON");
  return text;
}

/** Runs the work in a transaction, which is rolled back if it throws. */
export async function inTransaction<T>(connection: pg.ClientBase, work: () => Promise<T>): Promise<T> {
  await connection.query("BEGIN");
  try {
    const value = await work();
    const { command } = await connection.query("COMMIT");
    if (command !== "COMMIT") throw new Error("transaction was rolled back");
    return value;
  } catch (error) {
    await connection.query("ROLLBACK").catch(() => {});
    throw error;
  }
}

/**
 * The extension's functions on an open connection, in whatever transaction
 * that is. The schema is needed only if the search_path does not lead there.
 */
export class Client {
  readonly #prefix: string;

  constructor(readonly connection: pg.ClientBase, schema?: string) {
    this.#prefix = schema === undefined ? "" : `${pg.escapeIdentifier(schema)}.`;
  }

  /** Offers a step to the workers. Null: it is claimed, paused, cancelled or parked. */
  async dispatch(stepUuid: string): Promise<string | null> {
    return (await this.#row("dispatch", stepUuid))[0] ?? null;
  }

  /** Takes the steps that wait longest; the lease is in seconds. */
  async claim(worker: string, lease: number, maxSteps = 1): Promise<Delivery[]> {
    const rows = await this.#call("claim", worker, `${lease} seconds`, maxSteps);
    return rows.map(([eventId, stepUuid, has, cursor, items, results, sequence, deliveries]) => ({
      eventId: eventId!,
      stepUuid: stepUuid!,
      hasCheckpoint: has === "t",
      cursor: fromJson(cursor!),
      itemsProcessed: Number(items),
      accumulatedResults: fromJson(results!),
      sequence: Number(sequence),
      deliveries: Number(deliveries),
    }));
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

  /** Persists progress and re-dispatches the step. */
  checkpointYield(
    stepUuid: string, cursor: unknown, itemsProcessed: number, accumulatedResults: unknown = null,
    eventId: string | null = null,
  ): Promise<Receipt> {
    return this.#checkpoint("yield", stepUuid, cursor, itemsProcessed, accumulatedResults, eventId);
  }

  /** Persists progress; the worker goes on. */
  checkpointSave(
    stepUuid: string, cursor: unknown, itemsProcessed: number, accumulatedResults: unknown = null,
    eventId: string | null = null,
  ): Promise<Receipt> {
    return this.#checkpoint("save", stepUuid, cursor, itemsProcessed, accumulatedResults, eventId);
  }

  /** Extends the lease. False, here and below: the claim does not hold any more. */
  async heartbeat(eventId: string): Promise<boolean> {
    return (await this.#row("heartbeat", eventId))[0] === "t";
  }

  /** The handler is done with the step, one way or the other. */
  async complete(eventId: string): Promise<boolean> {
    return (await this.#row("complete", eventId))[0] === "t";
  }

  /**
   * Hands the step back; it can be claimed after so many seconds. Interrupted:
   * its handler has not failed, and the claim does not count.
   */
  async release(eventId: string, delay = 0, interrupted = false): Promise<boolean> {
    return (await this.#row("release", eventId, `${delay} seconds`, interrupted))[0] === "t";
  }

  async #checkpoint(
    name: string, stepUuid: string, cursor: unknown, items: number, results: unknown, eventId: string | null,
  ): Promise<Receipt> {
    const row = await this.#row(name, stepUuid, toJson(cursor), items, toJson(results), eventId);
    return {
      sequence: Number(row[0]),
      eventId: row[1] ?? null,
      directive: row[2] as Receipt["directive"],
      replayed: row[3] === "t",
    };
  }

  async #row(name: string, ...values: unknown[]): Promise<(string | null)[]> {
    return (await this.#call(name, ...values))[0] ?? [];
  }

  async #call(name: string, ...values: unknown[]): Promise<(string | null)[][]> {
    const parameters = values.map((_, i) => `$${i + 1}`).join(", ");
    try {
      const result = await this.connection.query<(string | null)[]>({
        text: `SELECT * FROM ${this.#prefix}tasker_checkpoint_${name}(${parameters})`,
        values,
        rowMode: "array",
        types: { getTypeParser: () => (text: string) => text },
      });
      return result.rows;
    } catch (error) {
      if (!(error instanceof pg.DatabaseError)) throw error;
      const known = errors[error.code ?? ""];
      throw known === undefined ? error : new known(error.message, error);
    }
  }
}

/** A claimed step, as its handler sees it. */
export class Context {
  readonly stepUuid: string;
  readonly eventId: string;
  readonly checkpointCursor: Json;
  readonly checkpointItemsProcessed: number;
  readonly accumulatedResults: Json;
  readonly deliveries: number;
  /** Number of the last checkpoint, those of this run included. */
  sequence: number;
  yielded = false;
  readonly #hasCheckpoint: boolean;
  readonly #client: Client;
  readonly #beat: (context: Context) => Promise<boolean>;
  readonly #stopping: AbortSignal;
  #toldToStop = false;

  constructor(
    delivery: Delivery, readonly connection: pg.Client, client: Client,
    beat: (context: Context) => Promise<boolean>, stopping: AbortSignal,
  ) {
    this.stepUuid = delivery.stepUuid;
    this.eventId = delivery.eventId;
    this.checkpointCursor = delivery.cursor;
    this.checkpointItemsProcessed = delivery.itemsProcessed;
    this.accumulatedResults = delivery.accumulatedResults;
    this.deliveries = delivery.deliveries;
    this.sequence = delivery.sequence;
    this.#hasCheckpoint = delivery.hasCheckpoint;
    this.#client = client;
    this.#beat = beat;
    this.#stopping = stopping;
  }

  /** Whether there is one to resume from; a cursor of 0 or null is one. */
  hasCheckpoint(): boolean {
    return this.#hasCheckpoint;
  }

  /** Whether the handler should yield at its next checkpoint. */
  get stopRequested(): boolean {
    return this.#toldToStop || this.#stopping.aborted;
  }

  requestStop(): void {
    this.#toldToStop = true;
  }

  /** Persists progress and offers the step to all workers; then return. */
  async checkpointYield(cursor: unknown, itemsProcessed: number, accumulatedResults: unknown = null): Promise<Receipt> {
    const receipt = await this.#client.checkpointYield(
      this.stepUuid, cursor, itemsProcessed, accumulatedResults, this.eventId);
    this.yielded = true;
    return this.#note(receipt);
  }

  /**
   * Persists progress and goes on. Inside transaction(), the work since the
   * last checkpoint commits with it, and so is done exactly once.
   */
  async checkpointSave(cursor: unknown, itemsProcessed: number, accumulatedResults: unknown = null): Promise<Receipt> {
    return this.#note(await this.#client.checkpointSave(
      this.stepUuid, cursor, itemsProcessed, accumulatedResults, this.eventId));
  }

  /** Runs the work in a transaction of the connection. Write rows first. */
  async transaction<T>(work: () => Promise<T>): Promise<T> {
    const { sequence, yielded } = this;
    try {
      return await inTransaction(this.connection, work);
    } catch (error) {
      // a COMMIT without a reply may as well have failed
      this.sequence = sequence;
      this.yielded = yielded;
      throw error;
    }
  }

  /** Extends the lease now, as the loop does anyway. False: stop. */
  heartbeat(): Promise<boolean> {
    return this.#beat(this);
  }

  #note(receipt: Receipt): Receipt {
    this.sequence = receipt.sequence;
    if (receipt.directive !== "continue") this.requestStop();
    return receipt;
  }
}

/** Resolves to its results, or to anything after a yield. */
export type Handler<Result> = (context: Context) => Promise<Result | Receipt>;

/** Times are in seconds. */
export interface WorkerOptions<Result> {
  /** libpq's "key=value ..." or a URL, or what pg.Client takes. */
  connection: string | pg.ClientConfig;
  /** Of this worker, for those who look; 1 to 200 bytes. */
  name?: string;
  /** Until another worker may take over from a dead one; 60. */
  lease?: number;
  /** False: poll only, as behind a transaction-pooling proxy. */
  listen?: boolean;
  /** Between looks for work nobody was woken for; half the lease, at most 5. */
  poll?: number;
  /** Before a step is tried again that failed by no TransientError; 1. */
  retryDelay?: number;
  channel?: string;
  schema?: string;
  log?: (message: string) => void;

  /*
   * Each runs in one transaction with the fence, so what it writes is dropped
   * if the step has gone on elsewhere: onStart before the handler, the others
   * together with the step's completion or release.
   */
  onStart?: (context: Context) => Promise<void>;
  onSuccess?: (context: Context, result: Result) => Promise<void>;
  onTransientFailure?: (context: Context, error: unknown) => Promise<void>;
  onPermanentFailure?: (context: Context, error: Error) => Promise<void>;
}

export interface RunOptions {
  /** Ends the run after the current handler, whose stopRequested becomes true. */
  signal?: AbortSignal;
  /** Ends it after so many seconds without a step. */
  exitWhenIdle?: number;
}

const maxPoll = 5;
const minBackoff = 0.1;
const maxBackoff = 5;

/** A connection that knows when it is lost, and why. */
class Link {
  lost = false;
  reason: unknown;
  readonly closed: Promise<void>;

  private constructor(readonly connection: pg.Client) {
    this.closed = new Promise((resolve) => {
      const lose = (error?: Error) => {
        this.lost = true;
        this.reason ??= error;
        resolve();
      };
      connection.on("error", lose);
      connection.on("end", lose);
    });
  }

  static async open(config: pg.ClientConfig): Promise<Link> {
    const link = new Link(new pg.Client(config));
    await link.connection.connect();
    return link;
  }

  /** Ends a transaction that was left open; finds out whether there is a connection. */
  async reset(): Promise<void> {
    const idle = this.connection.getTransactionStatus() === "I";
    await this.connection.query(idle ? "" : "ROLLBACK").catch(() => {
      this.lost = true;
    });
  }

  async close(): Promise<void> {
    await this.connection.end().catch(() => {});
  }
}

/** Wakes whoever waits, or will. */
class Bell {
  #rung = false;
  #wake = () => {};

  readonly ring = (): void => {
    this.#rung = true;
    this.#wake();
  };

  async wait(seconds: number): Promise<void> {
    if (!this.#rung) {
      await new Promise<void>((resolve) => {
        const timer = Number.isFinite(seconds) ? setTimeout(resolve, seconds * 1000) : undefined;
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#rung = false;
  }
}

/** pg takes libpq's URLs, but not its other form. */
function toConfig(connection: string | pg.ClientConfig): pg.ClientConfig {
  if (typeof connection !== "string") return connection;
  if (/^postgres(ql)?:\/\//.test(connection)) return { connectionString: connection };

  const url = new URL("postgresql:///");
  const pair = /\s*(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))\s*/gsy;
  let end = 0;
  for (const [all, key, quoted, plain] of connection.matchAll(pair)) {
    const value = (quoted ?? plain ?? "").replace(/\\(.)/gs, "$1");
    if (key === "dbname") url.pathname = encodeURIComponent(value);
    else url.searchParams.set(key === "hostaddr" ? "host" : key!, value);
    end += all.length;
  }
  if (end !== connection.length) throw new TypeError("connection must be key=value pairs or a URL");
  return { connectionString: url.href };
}

/** Runs a handler for one step at a time; for more at once, run more workers. */
export class Worker<Result = unknown> {
  readonly #options: WorkerOptions<Result>;
  readonly #config: pg.ClientConfig;
  readonly #name: string;
  readonly #lease: number;
  readonly #log: (message: string) => void;
  readonly #bell = new Bell();

  /** The second connection, for wake-ups and heartbeats, while there is one. */
  #companion: Client | undefined;
  /** A claim that was held as the connection was lost. */
  #interrupted: string | undefined;

  constructor(options: WorkerOptions<Result>) {
    this.#options = options;
    this.#name = options.name ?? `node ${process.pid}`;
    this.#lease = options.lease ?? 60;
    this.#log = options.log ?? ((message) => console.error(message));
    this.#config = {
      keepAlive: true,
      connectionTimeoutMillis: 10_000,
      fallback_application_name: this.#name,
      ...toConfig(options.connection),
    };
  }

  /**
   * Works until the signal or until idle, and connects again whenever it must.
   * Rejects if the server refuses to let it claim.
   */
  async run(handler: Handler<Result>, options: RunOptions = {}): Promise<void> {
    const stopping = options.signal ?? new AbortController().signal;
    const ended = new AbortController();
    const companion = this.#keepCompanion(ended.signal);
    stopping.addEventListener("abort", this.#bell.ring);
    try {
      await this.#loop(handler, stopping, options.exitWhenIdle ?? Infinity);
    } finally {
      stopping.removeEventListener("abort", this.#bell.ring);
      ended.abort();
      await companion;
    }
  }

  async #loop(handler: Handler<Result>, stopping: AbortSignal, exitWhenIdle: number): Promise<void> {
    const poll = this.#options.poll ?? Math.min(this.#lease / 2, maxPoll);
    let link: Link | undefined;
    let idleSince = performance.now();
    let backoff = minBackoff;
    while (!stopping.aborted) {
      let pause = poll;
      try {
        link ??= await Link.open(this.#config);
        if (await this.#work(link, handler, stopping)) {
          idleSince = performance.now();
          continue;
        }
        backoff = minBackoff;
      } catch (error) {
        await link?.reset();
        if (link !== undefined && !link.lost) {
          await link.close();
          throw error;
        }
        this.#log(`no connection: ${link?.reason ?? error}`);
        link = undefined;
        pause = backoff;
        backoff = Math.min(backoff * 2, maxBackoff);
      }
      const left = exitWhenIdle - (performance.now() - idleSince) / 1000;
      if (left <= 0) break;
      await this.#bell.wait(Math.min(pause, left));
    }
    await link?.close();
  }

  async #keepCompanion(ended: AbortSignal): Promise<void> {
    const { listen = true, channel = "tasker_checkpoint", schema } = this.#options;
    const gone = new Bell();
    ended.addEventListener("abort", gone.ring);
    let backoff = minBackoff;
    while (!ended.aborted) {
      let link: Link | undefined;
      try {
        link = await Link.open(this.#config);
        if (listen) {
          link.connection.on("notification", this.#bell.ring);
          await link.connection.query(`LISTEN ${pg.escapeIdentifier(channel)}`);
          // what happened while nobody listened
          this.#bell.ring();
        }
        this.#companion = new Client(link.connection, schema);
        backoff = minBackoff;
        void link.closed.then(gone.ring);
        await gone.wait(Infinity);
      } catch (error) {
        this.#log(`no second connection: ${error}`);
      }
      this.#companion = undefined;
      await link?.close();
      if (!ended.aborted) await gone.wait(backoff);
      backoff = Math.min(backoff * 2, this.#lease / 3, maxBackoff);
    }
  }

  readonly #beat = async (context: Context): Promise<boolean> => {
    let held = true;
    try {
      held = (await this.#companion?.heartbeat(context.eventId)) ?? true;
    } catch (error) {
      this.#log(`could not extend the lease: ${error}`);
    }
    if (!held) context.requestStop();
    return held;
  };

  /** Claims a step and runs it; false if there was none. */
  async #work(link: Link, handler: Handler<Result>, stopping: AbortSignal): Promise<boolean> {
    const client = new Client(link.connection, this.#options.schema);
    await this.#releaseInterrupted(client);
    const [delivery] = await client.claim(this.#name, this.#lease);
    if (delivery === undefined) return false;

    const context = new Context(delivery, link.connection, client, this.#beat, stopping);
    const timer = setInterval(() => void this.#beat(context), (this.#lease * 1000) / 3);
    try {
      await this.#runStep(link, client, context, handler);
    } catch (error) {
      await link.reset();
      if (link.lost) {
        this.#interrupted = context.eventId;
        throw error;
      }
      if (isSuperseded(error)) this.#log(`step ${context.stepUuid}: the claim was superseded`);
      else this.#log(`step ${context.stepUuid} is left to its lease: ${error}`);
    } finally {
      clearInterval(timer);
    }
    return true;
  }

  async #runStep(link: Link, client: Client, context: Context, handler: Handler<Result>): Promise<void> {
    const { onStart, onSuccess, onTransientFailure, onPermanentFailure, retryDelay = 1 } = this.#options;
    const { eventId } = context;
    const complete = () => client.complete(eventId);
    try {
      await this.#fenced(context, () => client.heartbeat(eventId), async () => onStart?.(context));
      const result = await handler(context);
      if (link.connection.getTransactionStatus() !== "I") throw new Error("handler left a transaction open");
      if (context.yielded) return;
      await this.#fenced(context, complete, async () => onSuccess?.(context, result as Result));
    } catch (error) {
      await link.reset();
      if (link.lost || isSuperseded(error)) throw error;
      this.#log(`step ${context.stepUuid}: ${error}`);
      if (await this.#isInterruption(client, context, error)) {
        await client.release(eventId, 0, true);
      } else if (error instanceof PermanentError || isStoredBefore(error)) {
        await this.#fenced(context, complete, async () => onPermanentFailure?.(context, error));
      } else {
        const delay = error instanceof TransientError ? error.delay : retryDelay;
        await this.#fenced(context, () => client.release(eventId, delay),
          async () => onTransientFailure?.(context, error));
      }
    }
  }

  /**
   * Whether the step goes on as if nothing had failed. What was stored before by
   * a transaction whose reply was lost is gone on from; stored twice by the
   * handler it is a failure.
   */
  async #isInterruption(client: Client, context: Context, error: unknown): Promise<boolean> {
    if (isStoredBefore(error)) return (await client.load(context.stepUuid)).sequence > context.sequence;
    return error instanceof TransientError && context.stopRequested;
  }

  /**
   * The callback comes first: it locks the step, and writers of checkpoints
   * lock the step before its event.
   */
  async #fenced(
    context: Context, fence: () => Promise<boolean>, callback: () => Promise<void>,
  ): Promise<void> {
    await context.transaction(async () => {
      await callback();
      if (!(await fence())) throw new Superseded(`step ${context.stepUuid} has gone on elsewhere`);
    });
  }

  /**
   * Hands back the claim that was held as the last connection was lost, so that
   * nobody has to wait for its lease to run out. That is what happens if the
   * lost backend has not noticed yet and still locks it.
   */
  async #releaseInterrupted(client: Client): Promise<void> {
    const eventId = this.#interrupted;
    if (eventId === undefined) return;
    this.#interrupted = undefined;
    try {
      await inTransaction(client.connection, async () => {
        await client.connection.query("SET LOCAL lock_timeout = '1s'");
        await client.release(eventId);
      });
    } catch (error) {
      this.#log(`could not release: ${error}`);
    }
  }
}
