/** A run: from a claim to the step's end or return. */

import type { Claim } from "./claim.js";
import { Context } from "./context.js";
import { described, PermanentError, sqlstate, Superseded, TransientError } from "./errors.js";
import type { Receipt } from "./client.js";
import type { Event, Logger } from "./log.js";
import { delayOf, type RetryDelay } from "./retry.js";
import { inTransaction } from "./transaction.js";

/** Returns its results, or whatever after a yield or a stop. */
export type Handler<Result = unknown> = (context: Context) => Returned<Result> | Promise<Returned<Result>>;

type Returned<Result> = Result | Receipt | void;

/**
 * Each runs in one transaction with the fence, so what it writes is dropped if
 * the step has gone on elsewhere: onStart before the handler, the others
 * together with the step's completion or release.
 */
export interface Callbacks<Result = unknown> {
  onStart?(context: Context): unknown;
  onSuccess?(context: Context, result: Result): unknown;
  onTransientFailure?(context: Context, error: unknown): unknown;
  onPermanentFailure?(context: Context, error: unknown): unknown;
}

export interface RunnerOptions<Result = unknown> extends Callbacks<Result> {
  /** 1, doubled with each delivery up to four hours. */
  retryDelay?: RetryDelay;
}

export type Outcome =
  | "yielded" | "completed" | "interrupted" | "released" | "failed" | "superseded"
  /** The connection was lost, or a callback failed: it is not handed back. */
  | "abandoned"
  /** The handler was not waited for. */
  | "killed";

export interface Ending<Result = unknown> {
  outcome: Outcome;
  result?: Result;
  error?: unknown;
}

/** What ends a handler that does not ask for stops. */
export class Killed extends Error {}

/** The checkpoint is there already. */
const isStoredBefore = (error: unknown) => sqlstate(error) === "TC003";

const levels: Partial<Record<Outcome, keyof Logger>> = { released: "warn", failed: "error", abandoned: "warn" };

export class Run<Result> {
  readonly #claim: Claim;
  readonly #context: Context;
  readonly #handler: Handler<Result>;
  readonly #options: RunnerOptions<Result>;
  #delay: number | undefined;

  constructor(claim: Claim, handler: Handler<Result>, options: RunnerOptions<Result>) {
    this.#claim = claim;
    this.#context = new Context(claim);
    this.#handler = handler;
    this.#options = options;
  }

  async finish(): Promise<Ending<Result>> {
    const { delivery, surroundings: { journal } } = this.#claim;
    const began = performance.now();
    const { deliveries, sequence, itemsProcessed: items } = delivery;
    journal.note("info", "claimed", { ...this.#names, deliveries });
    if (delivery.hasCheckpoint) journal.note("info", "resumed", { ...this.#names, deliveries, sequence, items });

    let ending: Ending<Result>;
    try {
      ending = await this.#attempt();
    } catch (error) {
      ending = await this.#settle(error);
    } finally {
      this.#claim.end();
    }
    this.#note(ending, (performance.now() - began) / 1000);
    return ending;
  }

  get #names(): { step: string; queue: string } {
    const { stepUuid: step, queue } = this.#claim.delivery;
    return { step, queue };
  }

  #note({ outcome, error }: Ending<Result>, seconds: number): void {
    const { delivery: { deliveries }, link, progress, surroundings: { journal } } = this.#claim;
    const { sequence, items, yielded } = progress;
    const event: Event = outcome === "killed" ? "interrupted" : outcome;
    const told = yielded === undefined || yielded.directive === "continue" ? {} : { directive: yielded.directive };
    const late = yielded !== undefined && error !== undefined ? `${described(error)} (after it had yielded)` : error;
    const level = outcome === "abandoned" && !link.lost ? "error" : levels[outcome] ?? "info";
    journal.note(level, event, {
      ...this.#names, deliveries, sequence, items, seconds, ...told,
      ...(this.#delay === undefined ? {} : { delay: this.#delay }), ...(late === undefined ? {} : { error: late }),
    });
  }

  async #attempt(): Promise<Ending<Result>> {
    const { client, delivery: { eventId }, link, surroundings } = this.#claim;
    if (surroundings.stopping.aborted) return this.#interrupt();
    // what can't be read fails here
    void [this.#context.checkpointCursor, this.#context.accumulatedResults];
    if (this.#options.onStart !== undefined) {
      await this.#fenced(() => client.heartbeat(eventId), () => this.#options.onStart?.(this.#context));
    }

    const result = await this.#call(() => this.#handler(this.#context));
    if (link.lost) throw link.reason;
    if (link.status !== "I") throw new Error("the handler has left a transaction open");
    if (await this.#claim.hasYielded()) return { outcome: "yielded" };
    if (this.#context.sawStop && !this.#claim.finished) return this.#interrupt();
    await this.#fenced(() => client.complete(eventId),
      this.#options.onSuccess && (() => this.#options.onSuccess?.(this.#context, result as Result)));
    return { outcome: "completed", result: result as Result };
  }

  /** What becomes of a step whose run has failed. */
  async #settle(error: unknown): Promise<Ending<Result>> {
    try {
      return await this.#end(error);
    } catch (second) {
      // a callback's own failure: the step is left to its lease
      return (await this.#given(second)) ?? { outcome: "abandoned", error: second };
    }
  }

  /** What is not the handler's to decide. */
  async #given(error: unknown): Promise<Ending<Result> | undefined> {
    const { link } = this.#claim;
    if (link.reason instanceof Killed) return { outcome: "killed" };
    if (!(await link.reset())) return { outcome: "abandoned", error: link.reason };
    // with what was stored in it
    await this.#claim.transaction?.rollback();
    return sqlstate(error) === "TC002" ? { outcome: "superseded" } : undefined;
  }

  async #end(error: unknown): Promise<Ending<Result>> {
    const { client } = this.#claim;
    const given = await this.#given(error);
    if (given !== undefined) return given;
    // it may have been rolled back with what was left open
    await this.#claim.hasYielded();
    const { fence } = this.#claim;
    if (await this.#isInterruption(error)) return this.#interrupt(error);

    if (error instanceof PermanentError || isStoredBefore(error) || sqlstate(error) === "54000") {
      await this.#fenced(() => client.complete(fence),
        this.#options.onPermanentFailure && (() => this.#options.onPermanentFailure?.(this.#context, error)));
      return { outcome: "failed", error };
    }
    const delay = delayOf(this.#context, error, this.#claim.progress.deliveries, this.#options.retryDelay);
    await this.#fenced(() => client.release(fence, { delay }),
      this.#options.onTransientFailure && (() => this.#options.onTransientFailure?.(this.#context, error)));
    this.#delay = delay;
    return { outcome: "released", error };
  }

  /** Hands the step back, as if nothing had failed. */
  async #interrupt(error?: unknown): Promise<Ending<Result>> {
    const held = await this.#claim.client.release(this.#claim.fence, { interrupted: true });
    return { outcome: held ? "interrupted" : "superseded", ...(error === undefined ? {} : { error }) };
  }

  /**
   * Whether the step goes on as if nothing had failed. What was stored before by
   * a transaction whose reply was lost is gone on from; stored twice by the
   * handler it is a failure.
   */
  async #isInterruption(error: unknown): Promise<boolean> {
    const { client, delivery: { stepUuid }, progress, stopRequested } = this.#claim;
    if (isStoredBefore(error)) return (await client.load(stepUuid)).sequence > progress.sequence;
    return stopRequested && (error instanceof TransientError || isAbort(error));
  }

  /**
   * The callback comes first: it locks the step, and writers of checkpoints
   * lock the step before its event.
   */
  async #fenced(fence: () => Promise<boolean>, callback: (() => unknown) | undefined): Promise<void> {
    const check = async () => {
      if (!(await fence())) throw new Superseded(`step ${this.#claim.delivery.stepUuid} has gone on elsewhere`);
    };
    if (callback === undefined) return check();
    await inTransaction(this.#claim, async () => {
      await this.#call(callback);
      if (this.#claim.link.status === "I") throw new Error("the callback has ended its transaction");
      await check();
    });
  }

  /** Calls what is the application's. */
  async #call<T>(work: () => T | Promise<T>): Promise<T> {
    const { link, surroundings } = this.#claim;
    try {
      return await surroundings.unlessKilled((async () => work())());
    } catch (error) {
      // it may still be at work
      if (error instanceof Killed) link.lose(error);
      throw error;
    }
  }
}

/** What a function that takes a signal throws when it is aborted. */
function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}
