/** How an idle worker waits for something to claim. */

import type { Bell } from "./bell.js";
import { Client } from "./client.js";
import { sqlstate } from "./errors.js";
import { type Link, patience } from "./link.js";
import type { Journal } from "./log.js";

/** In the server; by LISTEN, and polling; by polling only. */
export type Waiting = "server" | "listen" | "poll";

export interface WaitOptions {
  wait: Waiting;
  poll: number;
  queues: readonly string[] | null;
  channel: string;
  schema: string | undefined;
}

const inServer = 20;
/** Not allowed, not there, not supported, always in a transaction. */
const unable = ["42501", "42883", "0A000", "25001"];
const canceled = "57014";
/** A wait that takes longer has slept, in seconds. */
const moment = 0.005;

export class Waiter {
  readonly #options: WaitOptions;
  readonly #bell: Bell;
  readonly #journal: Journal;
  readonly #stopping: AbortSignal;
  #waiting: Waiting;
  /** The last wait in the server did not return at once. */
  slept = false;

  constructor(options: WaitOptions, bell: Bell, journal: Journal, stopping: AbortSignal) {
    this.#options = options;
    this.#bell = bell;
    this.#journal = journal;
    this.#stopping = stopping;
    this.#waiting = options.wait;
  }

  /** Returns when there may be something, after so many seconds, or when the worker stops. */
  async wait(link: Link, seconds: number): Promise<void> {
    if (this.#waiting === "server") return this.#waitInServer(link, Math.min(seconds, inServer));
    if (this.#waiting === "listen" && !link.listens) {
      // what came before is claimed first
      return link.within(patience, () => link.listen(this.#options.channel, this.#bell.ring));
    }
    const end = link.onLoss(this.#bell.ring);
    await this.#bell.wait(Math.min(seconds, this.#options.poll));
    end();
  }

  async #waitInServer(link: Link, timeout: number): Promise<void> {
    const { queues, schema } = this.#options;
    // since the claim it may have been told to
    if (this.#stopping.aborted) return;
    // the server notices, and wakes another
    const leave = () => link.lose(new Error("the worker stops"));
    this.#stopping.addEventListener("abort", leave);
    const began = performance.now();
    this.slept = false;
    try {
      const client = new Client(link.connection, schema);
      await link.within(timeout + patience - inServer, () => client.wait({ queues, timeout }));
      this.slept = (performance.now() - began) / 1000 >= moment;
    } catch (error) {
      const code = sqlstate(error) ?? "";
      // a statement_timeout is as good as its time being over
      if (code === canceled || this.#stopping.aborted) return;
      if (!unable.includes(code)) throw error;
      this.#waiting = "poll";
      this.#journal.note("warn", "polling", { error });
    } finally {
      this.#stopping.removeEventListener("abort", leave);
    }
  }
}
