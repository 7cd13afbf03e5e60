/** A claimed step while it is run: what its handler has seen and stored, and what it was told. */

import type { Checkpoint, Client, Delivery, Receipt } from "./client.js";
import { AlreadyYielded } from "./errors.js";
import type { Journal } from "./log.js";
import type { Link } from "./link.js";
import { Transaction } from "./transaction.js";
import { toJson } from "./json.js";

/** What the world around a run says to it. */
export interface Surroundings {
  readonly journal: Journal;
  /** Aborted when the worker stops. */
  readonly stopping: AbortSignal;
  /** Extends the lease, by another connection if there is one. */
  beat(claim: Claim): Promise<boolean>;
  /** Called before a checkpoint is sent, and as it was accepted. */
  onCheckpoint?(claim: Claim): void;
  onAccepted?(receipt: Receipt, checkpoint: Checkpoint, how: "yield" | "save"): void;
  /** Rejects when the handler is not waited for any more. */
  unlessKilled<T>(work: Promise<T>): Promise<T>;
}

/** What a transaction takes back. */
interface Progress {
  sequence: number;
  deliveries: number;
  items: number;
  cursor: string | null;
  yielded: Receipt | undefined;
}

export class Claim {
  /** Of the last checkpoint, those of this run included. */
  progress: Progress;
  /** It has seen that it is to stop, so what it returns is no result. */
  sawStop = false;
  /** It has said that it is done all the same. */
  finished = false;
  iterates = false;
  transaction: Transaction | undefined;
  readonly #stop = new AbortController();
  /** The yield is in a transaction that is not ours, and may have been rolled back. */
  #doubtful = false;

  constructor(
    readonly delivery: Delivery, readonly link: Link, readonly client: Client, readonly surroundings: Surroundings,
  ) {
    this.progress = {
      sequence: delivery.sequence,
      deliveries: delivery.deliveries,
      items: delivery.itemsProcessed,
      cursor: delivery.hasCheckpoint ? delivery.cursorText ?? "null" : null,
      yielded: undefined,
    };
    const { stopping } = surroundings;
    if (stopping.aborted) this.requestStop();
    stopping.addEventListener("abort", this.requestStop);
  }

  readonly requestStop = (): void => this.#stop.abort();

  /** The run is over. */
  end(): void {
    this.surroundings.stopping.removeEventListener("abort", this.requestStop);
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  get stopRequested(): boolean {
    return this.#stop.signal.aborted;
  }

  /** What proves that the step is this run's: the claim, or the yield that ended it. */
  get fence(): string {
    return this.progress.yielded?.eventId ?? this.delivery.eventId;
  }

  /** Whether a yield was accepted, and was not rolled back. */
  async hasYielded(): Promise<boolean> {
    const { yielded } = this.progress;
    if (yielded !== undefined && this.#doubtful && (await this.client.heartbeat(this.delivery.eventId))) {
      this.progress = { ...this.progress, sequence: yielded.sequence - 1, yielded: undefined };
    }
    return this.progress.yielded !== undefined;
  }

  async store(how: "yield" | "save", checkpoint: Checkpoint, cursor = toJson(checkpoint.cursor)): Promise<Receipt> {
    const { delivery, link, surroundings } = this;
    if (await this.hasYielded()) throw new AlreadyYielded(`step ${delivery.stepUuid} has been yielded`);
    surroundings.onCheckpoint?.(this);

    const receipt = await this.client.store(how, delivery.stepUuid, checkpoint, delivery.eventId, cursor);
    const items = checkpoint.itemsProcessed;
    const { sequence, directive } = receipt;
    const moves = items !== this.progress.items || cursor !== this.progress.cursor;
    this.progress = {
      sequence,
      deliveries: moves ? 0 : this.progress.deliveries,
      items,
      cursor,
      yielded: how === "yield" ? receipt : undefined,
    };
    this.#doubtful = link.status !== "I" && this.transaction === undefined;
    if (directive !== "continue") {
      this.sawStop = true;
      this.requestStop();
    }
    if (how === "save") {
      const { stepUuid: step, queue } = delivery;
      const told = directive === "continue" ? {} : { directive };
      surroundings.journal.note("debug", "saved", { step, queue, sequence, items, ...told });
    }
    surroundings.onAccepted?.(receipt, checkpoint, how);
    return receipt;
  }

  begin(): Promise<Transaction> {
    return Transaction.begin(this);
  }
}
