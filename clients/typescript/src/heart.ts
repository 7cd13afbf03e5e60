/** Extends the leases of long runs, by a connection that is there only as long as there are any. */

import type { Claim } from "./claim.js";
import { Client } from "./client.js";
import { type Link, patience } from "./link.js";
import type { Journal } from "./log.js";

export class Heart {
  readonly #open: (signal: AbortSignal) => Promise<Link>;
  readonly #lease: number;
  readonly #schema: string | undefined;
  readonly #journal: Journal;
  readonly #watched = new Set<Claim>();
  readonly #beating = new Set<Claim>();
  readonly #end = new AbortController();
  #link: Link | undefined;
  /** One after the other, and one at a time for each claim. */
  #turn: Promise<unknown> = Promise.resolve();
  readonly #due = new Map<Claim, Promise<boolean>>();

  constructor(open: (signal: AbortSignal) => Promise<Link>, lease: number, schema: string | undefined, journal: Journal) {
    this.#open = open;
    this.#lease = lease;
    this.#schema = schema;
    this.#journal = journal;
  }

  /** Beats every third of the lease from now on; returns what ends that. */
  watch(claim: Claim): () => void {
    this.#watched.add(claim);
    const timer = setInterval(() => void this.beat(claim), (this.#lease * 1000) / 3);
    return () => {
      clearInterval(timer);
      this.#watched.delete(claim);
      this.#beating.delete(claim);
      if (this.#beating.size === 0) this.#turn = this.#turn.then(() => this.#rest());
    };
  }

  /** False: the claim does not hold any more, and its handler is told to stop. */
  beat(claim: Claim): Promise<boolean> {
    let held = this.#due.get(claim);
    if (held === undefined) {
      this.#beating.add(claim);
      held = this.#turn.then(() => this.#beatOnce(claim)).finally(() => this.#due.delete(claim));
      this.#due.set(claim, held);
      this.#turn = held;
    }
    return held;
  }

  async #beatOnce(claim: Claim): Promise<boolean> {
    for (let tries = 0; tries < 2 && this.#watched.has(claim); tries++) {
      try {
        this.#link ??= await this.#open(this.#end.signal);
        const client = new Client(this.#link.connection, this.#schema);
        // another one is to be in time
        const limit = Math.min(patience, Math.max(this.#lease / 3, 5));
        const held = await this.#link.within(limit, () => client.heartbeat(claim.delivery.eventId));
        if (held || claim.progress.yielded !== undefined) return true;
        claim.requestStop();
        return false;
      } catch (error) {
        // whether it holds is not known, and the next beat may tell
        const event = this.#link === undefined ? "could not connect" : "connection lost";
        if (this.#watched.has(claim)) this.#journal.note("warn", event, { error });
        await this.#close();
      }
    }
    return true;
  }

  async #rest(): Promise<void> {
    if (this.#beating.size === 0) await this.#close();
  }

  /** When the worker ends, and nobody waits for a beat any more. */
  async stop(): Promise<void> {
    const reason = new Error("the worker ends");
    this.#end.abort(reason);
    this.#link?.lose(reason);
    await this.#turn;
    await this.#close();
  }

  async #close(): Promise<void> {
    const link = this.#link;
    this.#link = undefined;
    await link?.close();
  }
}
