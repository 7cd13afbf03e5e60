/** The loop over an ordered source: fetch, body, checkpoint, COMMIT. */

import { type ClientBase, escapeIdentifier } from "pg";

import type { Claim } from "./claim.js";
import { fromJson, type Json, toJson } from "./json.js";

export interface IterateOptions {
  /** Items a batch, and a checkpoint; 1000. */
  every?: number;
  /** A batch that takes longer makes the next one smaller; 10. */
  seconds?: number;
  /** How many items there are in all, for the view of progress. */
  total?: number;
  /** Stored with each checkpoint: an object that the loop's body changes, or a function. */
  results?: unknown;
}

export interface Paging {
  /** The column that orders the rows: unique, not null. */
  key: string;
  /** Of the query's own parameters. */
  values?: readonly unknown[];
}

/** Returns the items after the cursor, and the cursor after them; at the end nothing. */
export type Fetch<Item, Cursor> = (
  cursor: Cursor | undefined, items: number,
) => Promise<{ items: Item[]; cursor: Cursor } | undefined>;

/** The same with cursors as JSON text, which keeps all digits. */
type Pages<Item> = Fetch<Item, string>;

// so that a key that is a float keeps all its digits, in this transaction
const exactly = "(SELECT pg_catalog.set_config('extra_float_digits', '1', true)) IS NOT NULL";
const keyColumn = "tasker_checkpoint_key";

export function pages<Item>(fetch: Fetch<Item, Json>): Pages<Item> {
  return async (cursor, items) => {
    const page = await fetch(cursor === undefined ? undefined : fromJson(cursor), items);
    // one that asks for what comes after the last of no items has no cursor
    if (page === undefined || page.cursor === undefined) return undefined;
    const next = toJson(page.cursor);
    return page.items.length === 0 && next === cursor ? undefined : { items: page.items, cursor: next };
  };
}

export function paging<Item>(
  connection: ClientBase, query: string, { key, values = [] }: Partial<Paging>,
): Pages<Item> {
  if (key === undefined) throw new TypeError("a query takes the name of its key");
  const column = `source.${escapeIdentifier(key)}`;
  return async (cursor, items) => {
    const after = cursor === undefined ? "" : `AND ${column} > $${values.length + 1}`;
    const { rows } = await connection.query<{ [keyColumn]?: string | null }>(
      `SELECT source.*, to_jsonb(${column})::text AS ${keyColumn} FROM (\n${query}\n) AS source WHERE ${exactly} ${after}
       ORDER BY ${column} FETCH FIRST ${items} ROWS WITH TIES`,
      // the server makes the key's own type of it
      cursor === undefined ? [...values] : [...values, cursor.startsWith('"') ? fromJson(cursor) : cursor]);
    const last = rows.at(-1);
    if (last === undefined) return undefined;
    const next = last[keyColumn];
    if (next == null) throw new TypeError(`key "${key}" must not be null`);
    for (const row of rows) delete row[keyColumn];
    return { items: rows as Item[], cursor: next };
  };
}

function stored(results: unknown, total: number | undefined): unknown {
  const value: unknown = typeof results === "function" ? results() : results ?? null;
  if (total === undefined) return value;
  if (typeof value !== "object" || Array.isArray(value)) throw new TypeError("with a total, results must be an object");
  return { ...value, total_items: total };
}

export async function* iterate<Item>(
  claim: Claim, fetch: Pages<Item>, { every = 1000, seconds = 10, total, results }: IterateOptions,
): AsyncGenerator<Item[], void, undefined> {
  if (claim.iterates) throw new Error("a step iterates once: its cursor says where");
  claim.iterates = true;
  let size = every;
  for (;;) {
    if (claim.stopRequested) {
      claim.sawStop = true;
      return;
    }
    const { cursor, items } = claim.progress;
    const began = performance.now();
    const transaction = await claim.begin();
    try {
      const page = await fetch(cursor === null || cursor === "null" ? undefined : cursor, size);
      if (page !== undefined) {
        yield page.items;
        const how = claim.stopRequested ? "yield" : "save";
        if (claim.link.status === "I") throw new Error("the batch's transaction has been ended already");
        await claim.store(how, {
          cursor: fromJson(page.cursor),
          itemsProcessed: items + page.items.length,
          accumulatedResults: stored(results, total),
        }, page.cursor);
      }
      await transaction.commit();
      if (page === undefined) claim.finished = true;
      if (claim.finished || claim.progress.yielded !== undefined || claim.sawStop) return;
    } finally {
      await transaction.rollback();
    }
    const took = (performance.now() - began) / 1000;
    size = Math.max(1, Math.min(every, Math.floor(size * Math.min(2, seconds / took))));
  }
}
