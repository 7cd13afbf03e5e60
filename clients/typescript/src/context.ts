/** A claimed step, as its handler sees it. */

import type { ClientBase, QueryResultRow } from "pg";

import type { Claim } from "./claim.js";
import type { Checkpoint, Receipt } from "./client.js";
import { type Fetch, iterate, type IterateOptions, pages, type Paging, paging } from "./iterate.js";
import type { Json } from "./json.js";
import { inTransaction, type Transaction } from "./transaction.js";

type Batches<Item> = AsyncIterableIterator<Item[]>;

export class Context {
  readonly #claim: Claim;
  #sharesSignal = false;

  /** @internal */
  constructor(claim: Claim) {
    this.#claim = claim;
  }

  get stepUuid(): string {
    return this.#claim.delivery.stepUuid;
  }

  get eventId(): string {
    return this.#claim.delivery.eventId;
  }

  get queue(): string {
    return this.#claim.delivery.queue;
  }

  /** Claims since the step last got on, this one included. */
  get deliveries(): number {
    return this.#claim.delivery.deliveries;
  }

  /** Number of the last checkpoint, those of this run included. */
  get sequence(): number {
    return this.#claim.progress.sequence;
  }

  /** Whether there is one to resume from; a cursor of 0 or null is one. */
  hasCheckpoint(): boolean {
    return this.#claim.delivery.hasCheckpoint;
  }

  /** Where the run began: null, 0 and null without a checkpoint. */
  get checkpointCursor(): Json {
    return this.#claim.delivery.cursor;
  }

  get checkpointItemsProcessed(): number {
    return this.#claim.delivery.itemsProcessed;
  }

  get accumulatedResults(): Json {
    return this.#claim.delivery.accumulatedResults;
  }

  /** The run's own connection, for what the handler does. */
  get connection(): ClientBase {
    return this.#claim.link.connection;
  }

  /**
   * Whether to yield at the next checkpoint: the worker stops, the step was
   * paused or cancelled, or the claim is lost. What a handler returns that has
   * read this as true is no result, unless it calls finish(): the step is
   * handed back, and goes on where it was.
   */
  get stopRequested(): boolean {
    this.#claim.sawStop ||= this.#claim.stopRequested;
    return this.#claim.stopRequested;
  }

  /** The same for what takes a signal. A handler that has asked for it sees each stop. */
  get signal(): AbortSignal {
    this.#sharesSignal = true;
    return this.#claim.signal;
  }

  /** @internal */
  get sawStop(): boolean {
    return this.#claim.sawStop || (this.#sharesSignal && this.#claim.stopRequested);
  }

  /** Stores a checkpoint and offers the step to all workers; then return. */
  checkpointYield(checkpoint: Checkpoint): Promise<Receipt> {
    return this.#claim.store("yield", checkpoint);
  }

  /**
   * Stores a checkpoint and goes on. In a transaction of its own, after what the
   * handler has written, that is written exactly once.
   */
  checkpointSave(checkpoint: Checkpoint): Promise<Receipt> {
    return this.#claim.store("save", checkpoint);
  }

  /** Runs the work in a transaction, which commits unless it throws. Write rows first. */
  transaction<T>(work: () => T | Promise<T>): Promise<T> {
    return inTransaction(this.#claim, work);
  }

  /** Begins a transaction; `await using` rolls it back unless it was committed. */
  begin(): Promise<Transaction> {
    return this.#claim.begin();
  }

  /**
   * Goes through an ordered source, a batch and a checkpoint a transaction: what
   * the loop's body writes by `connection` is written exactly once. When a stop
   * is requested it yields, and ends the loop.
   *
   * Of a query the key is a column that is unique and not null. A function is
   * given the last cursor, nothing at first, and a number of items.
   */
  iterate<Row extends QueryResultRow = Json>(query: string, options: IterateOptions & Paging): Batches<Row>;
  iterate<Item, Cursor = Json>(fetch: Fetch<Item, Cursor>, options?: IterateOptions): Batches<Item>;
  iterate<Item>(source: string | Fetch<Item, Json>, options: IterateOptions & Partial<Paging> = {}): Batches<Item> {
    const fetch = typeof source === "string" ? paging<Item>(this.connection, source, options) : pages(source);
    return iterate(this.#claim, fetch, options);
  }

  /** Says that the step is done, although a stop was requested; return what it returns. */
  finish<T>(results: T): T {
    this.#claim.finished = true;
    return results;
  }

  /** Extends the lease now, as the worker does anyway. False: stop. */
  async heartbeat(): Promise<boolean> {
    const held = await this.#claim.surroundings.beat(this.#claim);
    if (!held) this.#claim.sawStop = true;
    return held;
  }
}
