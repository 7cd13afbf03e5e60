/** A connection that knows when it is lost, and how its transaction stands. */

import type { EventEmitter } from "node:events";

import type { ClientBase, Notification } from "pg";

/** How long a call of the loop's own may take before its connection counts as lost. */
export const patience = 35;

/** Takes a connection back, which is not to be used any more if it is broken. */
export type Disconnect = (connection: ClientBase, broken: boolean) => unknown;

/* What pg does not declare: its wire, and what pg.Pool adds. */
interface Insides {
  readonly connection: EventEmitter & { readonly stream: { destroy(): void } };
  release?(broken: boolean): void;
  end?(): Promise<void>;
}

/** How long who is said goodbye to may take to answer, in seconds: over a dead link nobody does. */
const farewell = 1;

async function dispose(connection: ClientBase, broken: boolean): Promise<void> {
  const { release, end, connection: wire } = connection as unknown as Insides;
  if (broken) wire.stream.destroy();
  if (release !== undefined) return release.call(connection, broken);
  const timer = setTimeout(() => wire.stream.destroy(), farewell * 1000);
  try {
    await end?.call(connection);
  } finally {
    clearTimeout(timer);
  }
}

export class Link {
  /** As of the last reply: none, one that is open, one that has failed. */
  status: "I" | "T" | "E" = "I";
  lost = false;
  /** Why it is lost. */
  reason: unknown;
  readonly #disconnect: Disconnect;
  readonly #losses = new Set<(reason: unknown) => void>();
  #onNotification: (() => void) | undefined;
  #closed = false;

  constructor(readonly connection: ClientBase, disconnect: Disconnect = dispose) {
    this.#disconnect = disconnect;
    connection.on("error", this.lose);
    connection.on("end", this.#end);
    this.#wire.on("readyForQuery", this.#ready);
  }

  get #wire(): EventEmitter {
    return (this.connection as unknown as Insides).connection;
  }

  readonly #ready = (message: { status: Link["status"] }): void => {
    this.status = message.status;
  };

  readonly #end = (): void => this.lose(new Error("connection ended"));

  /** From now on it is lost: whoever waits for it is told. */
  readonly lose = (reason: unknown): void => {
    this.reason ??= reason;
    if (this.lost) return;
    this.lost = true;
    for (const loss of this.#losses) loss(this.reason);
  };

  /** Calls back when it is lost; returns what ends that. */
  onLoss(callback: (reason: unknown) => void): () => void {
    if (this.lost) callback(this.reason);
    else this.#losses.add(callback);
    return () => this.#losses.delete(callback);
  }

  /** Does what is to be done in so many seconds, or loses the connection. */
  async within<T>(seconds: number, work: () => Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    let end = () => {};
    const loss = new Promise<never>((_, reject) => {
      end = this.onLoss(reject);
      // after a long sleep of the process the reply may be there all the same
      const expire = () => setImmediate(() => this.lose(new Error(`no reply within ${seconds} s`)));
      timer = setTimeout(expire, seconds * 1000);
    });
    try {
      return await Promise.race([work(), loss]);
    } finally {
      clearTimeout(timer);
      end();
    }
  }

  /** Ends a transaction that was left open. False: there is no connection. */
  async reset(): Promise<boolean> {
    const text = this.status === "I" ? "" : "ROLLBACK";
    if (!this.lost) await this.within(patience, () => this.connection.query(text)).catch(this.lose);
    return !this.lost;
  }

  /** Calls back for each notification on the channel. */
  async listen(channel: string, callback: () => void): Promise<void> {
    if (this.#onNotification !== undefined) return;
    this.#onNotification = callback;
    this.connection.on("notification", callback as (message: Notification) => void);
    await this.connection.query(`LISTEN ${this.connection.escapeIdentifier(channel)}`);
  }

  get listens(): boolean {
    return this.#onNotification !== undefined;
  }

  /** Gives the connection back as it was. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (!this.lost && this.listens) {
      await this.within(farewell, () => this.connection.query("UNLISTEN *")).catch(this.lose);
    }
    const { lost } = this;
    this.leave();
    try {
      await this.#disconnect(this.connection, lost);
    } catch {
      // it is nobody's any more
    }
  }

  /** Lets go of a connection that is somebody else's. */
  leave(): void {
    const { connection } = this;
    this.#wire.off("readyForQuery", this.#ready);
    connection.off("end", this.#end);
    if (this.#onNotification !== undefined) connection.off("notification", this.#onNotification);
    // one that is broken may still have something to say
    if (this.lost) connection.on("error", () => {});
    connection.off("error", this.lose);
  }
}
