/**
 * Cursors and results travel as JSON text. Integers beyond 2^53 - 1, which a
 * number can't hold, are bigint, both ways; other numbers are what JavaScript
 * makes of them.
 */

import { parse, stringify } from "lossless-json";

/* As of JSON.parse: it is the handler that knows what it has stored. */
/* eslint-disable-next-line @typescript-eslint/no-explicit-any */
export type Json = any;

function toNumber(text: string): number | bigint {
  const value = Number(text);
  if (!Number.isFinite(value)) throw new RangeError("number is out of range");
  return /^-?\d+$/.test(text) && !Number.isSafeInteger(value) ? BigInt(text) : value;
}

export function fromJson(text: string | null): Json {
  return text === null ? null : parse(text, null, toNumber);
}

export function toJson(value: unknown): string {
  const text = stringify(value, (_key: string, part: unknown) => {
    if (typeof part === "number" && !Number.isFinite(part)) throw new TypeError(`${part} is not JSON`);
    return part;
  });
  if (text === undefined) throw new TypeError("undefined is not JSON");
  return text;
}
