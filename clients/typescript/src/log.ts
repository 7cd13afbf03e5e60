/** What is logged and observed: the same events and fields in all languages, and never a cursor or results. */

import { described } from "./errors.js";

export type Event =
  | "claimed" | "resumed" | "saved" | "yielded" | "completed" | "interrupted" | "released" | "failed" | "superseded"
  | "abandoned" | "connected" | "could not connect" | "connection lost" | "polling" | "stopping";

export interface Fields {
  step?: string;
  queue?: string;
  worker?: string;
  deliveries?: number;
  sequence?: number;
  items?: number;
  /** Of the run. */
  seconds?: number;
  delay?: number;
  directive?: string;
  /** Class or SQLSTATE, and the first line of the message. */
  error?: string;
}

/** console is one, and so are most loggers. */
export interface Logger {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

export type Observe = (event: Event, fields: Fields) => void;

const order = [
  "step", "queue", "worker", "deliveries", "sequence", "items", "seconds", "delay", "directive", "error",
] as const satisfies readonly (keyof Fields)[];

const toStderr: Logger = {
  debug: () => {},
  info: (message) => console.error(message),
  warn: (message) => console.error(message),
  error: (message) => console.error(message),
};

function written(key: string, value: string | number): string {
  if (key === "seconds") return Number(value).toFixed(3);
  const text = String(value);
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}

export class Journal {
  readonly #worker: string;
  readonly #logger: Logger;
  readonly #observe: Observe | undefined;

  constructor(worker: string, logger: Logger = toStderr, observe?: Observe) {
    this.#worker = worker;
    this.#logger = logger;
    this.#observe = observe;
  }

  note(level: keyof Logger, event: Event, { error, ...fields }: Omit<Fields, "error"> & { error?: unknown } = {}) {
    const all: Fields = { worker: this.#worker, ...fields };
    if (error !== undefined) all.error = typeof error === "string" ? error : described(error);
    const pairs = order.flatMap((key) => (all[key] === undefined ? [] : [`${key}=${written(key, all[key])}`]));
    this.#logger[level]([event, ...pairs].join(" "));
    try {
      this.#observe?.(event, all);
    } catch (failure) {
      this.#logger.error(`observe ${event} error=${JSON.stringify(described(failure))}`);
    }
  }
}
