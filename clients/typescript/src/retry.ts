/** When a step is tried again that has failed. */

import type { Context } from "./context.js";
import { TransientError } from "./errors.js";

/** Seconds before the first retry, or a function of what has failed. */
export type RetryDelay = number | ((context: Context, error: unknown) => number);

const hour = 3600;
const longest = 24 * hour;

/** min(4 h, base * 2^(deliveries - 1)), and up to a quarter more; but what an error names itself. */
export function delayOf(context: Context, error: unknown, deliveries: number, retryDelay: RetryDelay = 1): number {
  const delay = error instanceof TransientError && error.delay !== undefined ? error.delay
    : typeof retryDelay === "function" ? retryDelay(context, error)
      : Math.min(4 * hour, retryDelay * 2 ** Math.max(0, deliveries - 1)) * (1 + Math.random() / 4);
  return Number.isNaN(delay) ? longest : Math.round(1000 * Math.min(Math.max(delay, 0), longest)) / 1000;
}
