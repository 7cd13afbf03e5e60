/** The worker's connections: opened, kept, lost, refused. */

import { Bell } from "./bell.js";
import type { Connector } from "./conninfo.js";
import { sqlstate } from "./errors.js";
import { type Disconnect, Link } from "./link.js";
import type { Journal } from "./log.js";

const shortest = 0.1;
const longest = 5;
/** How long a worker that was at work puts up with being refused, in milliseconds. */
const grace = 300_000;
/** How often one that stops tries to hand back a step. */
const lastTries = 3;

/** What passes by itself: of connections, resources, shutdowns, conflicts, a standby that is to be promoted. */
const passing = /^(08|25006|25P0[34]|40|53|55P03|57|58|XX)/;

/** Refused for what it is: another try would end the same way. */
function isRefusal(error: unknown): boolean {
  const code = sqlstate(error);
  // pg has no password where the server wants one
  if (code === undefined) return error instanceof Error && error.message.startsWith("SASL:");
  return !passing.test(code);
}

export class Supply {
  readonly #connect: Connector;
  readonly #disconnect: Disconnect | undefined;
  readonly #journal: Journal;
  readonly #stopping: AbortSignal;
  readonly #free: Link[] = [];
  #pause = shortest;
  #works = false;
  #refusedSince: number | undefined;

  constructor(connect: Connector, disconnect: Disconnect | undefined, journal: Journal, stopping: AbortSignal) {
    this.#connect = connect;
    this.#disconnect = disconnect;
    this.#journal = journal;
    this.#stopping = stopping;
  }

  /** A claim has been answered: whatever was wrong is over. */
  works(): void {
    this.#works = true;
    this.#refusedSince = undefined;
    this.#pause = shortest;
  }

  readonly open = async (signal?: AbortSignal): Promise<Link> => {
    const link = new Link(await this.#connect(signal), this.#disconnect);
    this.#journal.note("debug", "connected");
    return link;
  };

  /** A connection that was kept, or a new one, as soon as there is one; none if the worker stops. */
  async take(evenWhenStopping = false): Promise<Link | undefined> {
    for (let tries = 1; ; tries++) {
      if (this.#stopping.aborted && (!evenWhenStopping || tries > lastTries)) return undefined;
      try {
        return this.#free.pop() ?? (await this.open(evenWhenStopping ? undefined : this.#stopping));
      } catch (error) {
        if (!this.#stopping.aborted || evenWhenStopping) await this.failed(error);
      }
    }
  }

  /** Throws what will not get better; waits a moment after what may. */
  async failed(error: unknown): Promise<void> {
    if (isRefusal(error)) {
      this.#refusedSince ??= performance.now();
      if (!this.#works || performance.now() - this.#refusedSince > grace) throw error;
    }
    this.#journal.note("warn", "could not connect", { error });
    await this.rest();
  }

  /** Longer each time, until something works. */
  async rest(): Promise<void> {
    const bell = new Bell();
    this.#stopping.addEventListener("abort", bell.ring);
    await bell.wait(this.#pause);
    this.#stopping.removeEventListener("abort", bell.ring);
    this.#pause = Math.min(this.#pause * 2, longest);
  }

  /** What came between a connection and its use; throws what will not get better. */
  async broken(link: Link, error: unknown): Promise<void> {
    const alive = await link.reset();
    await link.close();
    if (this.#stopping.aborted) return;
    if (alive) return this.failed(error);
    this.#journal.note("warn", "connection lost", { error: link.reason });
    await this.rest();
  }

  /** Keeps a connection for the next run. */
  async give(link: Link, keep: boolean): Promise<void> {
    if (keep && !link.lost) this.#free.push(link);
    else await link.close();
  }

  /** Closes those that nobody uses. */
  async drain(): Promise<void> {
    await Promise.all(this.#free.splice(0).map((link) => link.close()));
  }
}
