/** Claims steps and runs handlers, some at a time. */

import { setMaxListeners } from "node:events";
import { hostname } from "node:os";

import { Bell } from "./bell.js";
import { Claim, type Surroundings } from "./claim.js";
import { Client, type Delivery } from "./client.js";
import { type Connection, type Connector, connector } from "./conninfo.js";
import { Heart } from "./heart.js";
import { type Disconnect, type Link, patience } from "./link.js";
import { Journal, type Logger, type Observe } from "./log.js";
import { type Handler, Killed, Run, type RunnerOptions } from "./run.js";
import { Supply } from "./supply.js";
import { Waiter, type Waiting } from "./wait.js";

/** Times are in seconds. */
export interface WorkerOptions<Result = unknown> extends RunnerOptions<Result> {
  /** libpq's connection string, what pg.Client takes, or a function that returns an open connection. */
  connection: Connection;
  /** Takes back what such a function returned; unless told it is released to its pool, or ended. */
  disconnect?: Disconnect;
  /** For those who look; 1 to 200 bytes. */
  name?: string;
  /** To claim from; all unless told. */
  queues?: readonly string[];
  /** Steps at a time; 1. */
  concurrency?: number;
  /** Until another worker may take over from a dead one; 60. */
  lease?: number;
  /** How it waits; "server". Where that may not be called it polls. */
  wait?: Waiting;
  /** Between looks of one that polls; half the lease, at most 5. */
  poll?: number;
  /** Of the notifications; only for "listen". */
  channel?: string;
  /** The extension's; only if the search_path does not lead there. */
  schema?: string;
  /** Where lines go; stderr, without those for debugging. */
  log?: Logger;
  /** Gets the same as values, for metrics and traces. */
  observe?: Observe;
}

export interface RunOptions {
  /** Stops the worker when it is aborted. */
  signal?: AbortSignal;
  /** Ends the run after so many seconds without a step. */
  exitWhenIdle?: number;
  /** Whether SIGTERM and SIGINT stop it, and a second SIGINT its handlers; true. */
  handleSignals?: boolean;
}

/** A handler for all queues, or handlers by the name of their queue. */
export type Handlers<Result = unknown> = Handler<Result> | Record<string, Handler<Result>>;

/** npm passes on the SIGINT that its process group got as well. */
const echo = 100;

export class Worker<Result = unknown> {
  readonly #options: WorkerOptions<Result>;
  readonly #name: string;
  readonly #lease: number;
  readonly #connect: Connector;
  readonly #journal: Journal;
  #session: Session<Result> | undefined;

  constructor(options: WorkerOptions<Result>) {
    const { concurrency = 1, wait = "server" } = options;
    if (!(concurrency >= 1)) throw new RangeError("concurrency must be at least 1");
    if (!["server", "listen", "poll"].includes(wait)) throw new TypeError("wait is server, listen or poll");
    this.#options = options;
    this.#name = options.name ?? `${hostname()}:${process.pid}`;
    this.#lease = options.lease ?? 60;
    this.#connect = connector(options.connection, this.#name);
    this.#journal = new Journal(this.#name, options.log, options.observe);
  }

  /**
   * Works until it is stopped, or idle, and connects again whenever it must.
   * Rejects if the server refuses to let it claim, and with an AbortError if its
   * handlers were not waited for.
   */
  async run(handlers: Handlers<Result>, options: RunOptions = {}): Promise<void> {
    if (this.#session !== undefined) throw new Error("the worker is running already");
    const byName = typeof handlers === "function" ? undefined : handlers;
    if (byName !== undefined && this.#options.queues !== undefined) {
      throw new TypeError("with handlers by queue these are the queues");
    }
    const session = new Session<Result>(this.#options, {
      name: this.#name,
      lease: this.#lease,
      connect: this.#connect,
      journal: this.#journal,
      queues: byName === undefined ? this.#options.queues ?? null : Object.keys(byName),
      handlerOf: byName === undefined ? () => handlers as Handler<Result> : (queue) => byName[queue]!,
      exitWhenIdle: options.exitWhenIdle ?? Infinity,
    });
    this.#session = session;
    const { signal, handleSignals = true } = options;
    const interrupt = () => {
      if (session.stopped === undefined) session.stop();
      else if (performance.now() - session.stopped > echo) session.kill();
    };
    const signals = handleSignals ? [["SIGTERM", session.stop], ["SIGINT", interrupt]] as const : [];
    for (const [name, listener] of signals) process.on(name, listener);
    signal?.addEventListener("abort", session.stop);
    if (signal?.aborted) session.stop();
    try {
      await session.run();
    } finally {
      for (const [name, listener] of signals) process.off(name, listener);
      signal?.removeEventListener("abort", session.stop);
      this.#session = undefined;
    }
  }

  /** No further claim; those that run are told, and waited for by run(). */
  stop(): void {
    this.#session?.stop();
  }

  /** Stops, and waits for the end. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    await this.#session?.ended;
  }
}

interface Settings<Result> {
  name: string;
  lease: number;
  connect: Connector;
  journal: Journal;
  queues: readonly string[] | null;
  handlerOf: (queue: string) => Handler<Result>;
  exitWhenIdle: number;
}

/** What lasts as long as run() does. */
class Session<Result> implements Surroundings {
  readonly journal: Journal;
  readonly ended: Promise<void>;
  readonly #options: WorkerOptions<Result>;
  readonly #settings: Settings<Result>;
  readonly #bell = new Bell();
  readonly #stop = new AbortController();
  readonly #kill = new AbortController();
  readonly #supply: Supply;
  readonly #waiter: Waiter;
  readonly #heart: Heart;
  readonly #running = new Set<Promise<void>>();
  #end = () => {};
  #failure: { error: unknown } | undefined;
  #waits = false;
  #idleSince = performance.now();
  /** When it was told to. */
  stopped: number | undefined;

  constructor(options: WorkerOptions<Result>, settings: Settings<Result>) {
    const { connect, journal, lease, queues } = settings;
    this.#options = options;
    this.#settings = settings;
    this.journal = journal;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    setMaxListeners(0, this.#stop.signal, this.#kill.signal);
    const { disconnect, schema } = options;
    this.#supply = new Supply(connect, disconnect, journal, this.stopping);
    this.#heart = new Heart(this.#supply.open, lease, schema, journal);
    const { wait = "server", poll = Math.min(lease / 2, 5), channel = "tasker_checkpoint" } = options;
    this.#waiter = new Waiter({ wait, poll, queues, channel, schema }, this.#bell, journal, this.stopping);
  }

  get stopping(): AbortSignal {
    return this.#stop.signal;
  }

  readonly stop = (): void => {
    if (this.stopping.aborted) return;
    this.stopped = performance.now();
    this.journal.note("info", "stopping");
    this.#stop.abort();
    this.#bell.ring();
  };

  /** Does not wait for handlers. */
  kill(): void {
    this.#kill.abort();
  }

  beat(claim: Claim): Promise<boolean> {
    return this.#heart.beat(claim);
  }

  unlessKilled<T>(work: Promise<T>): Promise<T> {
    const { signal } = this.#kill;
    return new Promise((resolve, reject) => {
      const kill = () => reject(new Killed("the handler was not waited for"));
      if (signal.aborted) kill();
      signal.addEventListener("abort", kill);
      const end = () => signal.removeEventListener("abort", kill);
      work.then(resolve, reject).finally(end).catch(() => {});
    });
  }

  async run(): Promise<void> {
    try {
      await this.#loop();
    } catch (error) {
      this.#fail(error);
    } finally {
      await Promise.all(this.#running);
      await this.#heart.stop();
      await this.#supply.drain();
      this.#end();
    }
    if (this.#failure !== undefined) throw this.#failure.error;
    if (this.#kill.signal.aborted) throw new DOMException("The worker did not wait for its handlers", "AbortError");
  }

  /** Ends the run with this error. */
  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.stop();
  }

  async #loop(): Promise<void> {
    const { concurrency = 1 } = this.#options;
    const { exitWhenIdle } = this.#settings;
    let waited = false;
    while (!this.stopping.aborted) {
      if (this.#running.size >= concurrency) {
        await this.#bell.wait();
        continue;
      }
      const link = await this.#supply.take();
      if (link === undefined) break;
      if (this.stopping.aborted) {
        await link.close();
        break;
      }
      try {
        // nothing was left when it last slept, and the next wait tells of what came since
        const looks = waited || !this.#waiter.slept;
        waited = false;
        const delivery = looks ? await this.#claim(link) : undefined;
        if (delivery !== undefined) {
          this.#start(link, delivery);
          continue;
        }
        const idle = this.#running.size > 0 ? 0 : (performance.now() - this.#idleSince) / 1000;
        const left = exitWhenIdle - idle;
        if (left > 0) {
          await this.#wait(link, left);
          waited = true;
        } else this.#stop.abort();
      } catch (error) {
        await this.#supply.broken(link, error);
        continue;
      }
      await this.#supply.give(link, !this.stopping.aborted);
    }
  }

  async #claim(link: Link): Promise<Delivery | undefined> {
    const { name, lease, queues } = this.#settings;
    const client = new Client(link.connection, this.#options.schema);
    const [delivery] = await link.within(patience, () => client.claim(name, { lease, queues }));
    this.#supply.works();
    return delivery;
  }

  /** One connection is enough for who waits. */
  async #wait(link: Link, seconds: number): Promise<void> {
    this.#waits = true;
    try {
      await this.#supply.drain();
      await this.#waiter.wait(link, seconds);
    } finally {
      this.#waits = false;
    }
  }

  #start(link: Link, delivery: Delivery): void {
    const task = this.#work(link, delivery).catch((error: unknown) => this.#fail(error)).finally(() => {
      this.#running.delete(task);
      this.#idleSince = performance.now();
      this.#bell.ring();
    });
    this.#running.add(task);
  }

  async #work(link: Link, delivery: Delivery): Promise<void> {
    const claim = new Claim(delivery, link, new Client(link.connection, this.#options.schema), this);
    const unwatch = this.#heart.watch(claim);
    try {
      const { outcome } = await new Run(claim, this.#settings.handlerOf(delivery.queue), this.#options).finish();
      if (!link.lost) return;
      await link.close();
      if (outcome === "killed" || outcome === "abandoned") await this.#handBack(delivery.eventId, outcome === "killed");
    } finally {
      unwatch();
      await this.#supply.give(link, !this.#waits && !this.stopping.aborted);
    }
  }

  /**
   * Hands back the claim that was held as its connection was lost, so that
   * nobody has to wait for its lease to run out. That is what happens if the
   * lost backend has not noticed yet and still locks it.
   */
  async #handBack(eventId: string, interrupted: boolean): Promise<void> {
    for (let tries = 0; tries < 3 || !this.stopping.aborted; tries++) {
      const link = await this.#supply.take(true);
      if (link === undefined) return;
      try {
        await link.within(patience, async () => {
          await link.connection.query("BEGIN; SET LOCAL lock_timeout = '1s'");
          await new Client(link.connection, this.#options.schema).release(eventId, { interrupted });
          await link.connection.query("COMMIT");
        });
      } catch (error) {
        if (await link.reset()) this.journal.note("warn", "abandoned", { error });
      }
      if (!link.lost) return this.#supply.give(link, !this.#waits && !this.stopping.aborted);
      await this.#supply.broken(link, link.reason);
    }
  }
}
