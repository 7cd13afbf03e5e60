/** A transaction of the handler's, with its checkpoints. */

import type { Claim } from "./claim.js";

export class Transaction {
  readonly #claim: Claim;
  /** As it was before, and is again if this one is rolled back. */
  readonly #before: Claim["progress"];
  #open = true;

  private constructor(claim: Claim) {
    this.#claim = claim;
    this.#before = claim.progress;
    claim.transaction = this;
  }

  /** @internal */
  static async begin(claim: Claim): Promise<Transaction> {
    if (claim.link.status !== "I") throw new Error("a transaction is open already");
    await claim.link.connection.query("BEGIN");
    return new Transaction(claim);
  }

  /** Whether it is there, and was not ended by somebody else. */
  get #alive(): boolean {
    return this.#open && this.#claim.link.status !== "I";
  }

  /** Write rows first, then the checkpoint, then this. */
  async commit(): Promise<void> {
    if (!this.#alive) throw new Error("the transaction has been ended already");
    try {
      const { command } = await this.#claim.link.connection.query("COMMIT");
      if (command !== "COMMIT") throw new Error("the transaction was rolled back");
    } catch (error) {
      // a COMMIT without a reply may as well have failed
      await this.rollback();
      throw error;
    }
    this.#close();
  }

  async rollback(): Promise<void> {
    if (!this.#open) return;
    const { link } = this.#claim;
    this.#claim.progress = this.#before;
    this.#close();
    // without a connection there is nothing to roll back
    if (link.status !== "I" && !link.lost) await link.connection.query("ROLLBACK").catch(() => {});
  }

  /** Rolls back what was not committed. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.rollback();
  }

  #close(): void {
    this.#open = false;
    this.#claim.transaction = undefined;
  }
}

/** Runs the work in a transaction, which is rolled back if it throws. */
export async function inTransaction<T>(claim: Claim, work: () => T | Promise<T>): Promise<T> {
  const transaction = await claim.begin();
  try {
    const value = await work();
    await transaction.commit();
    return value;
  } finally {
    await transaction.rollback();
  }
}
