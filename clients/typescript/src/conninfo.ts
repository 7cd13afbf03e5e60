/** libpq's connection strings, for pg. */

import { existsSync } from "node:fs";
import { homedir, userInfo } from "node:os";
import { join } from "node:path";

import { type ClientBase, type ClientConfig, Client as PgClient } from "pg";

import { sqlstate } from "./errors.js";

/** "key=value ..." or a URL, or what pg.Client takes, or a function that returns an open connection. */
export type Connection = string | ClientConfig | (() => Promise<ClientBase>);

/** Opens a connection; gives up when the signal is aborted. */
export type Connector = (signal?: AbortSignal) => Promise<ClientBase>;

const defaults: ClientConfig = {
  connectionTimeoutMillis: 10_000,
  // Node sends them once a second from then on, and gives up after ten
  keepAlive: true,
  keepAliveInitialDelayMillis: 10_000,
};

/** Returns a function that opens connections. What can't be read is refused here. */
export function connector(connection: Connection, name: string): Connector {
  if (typeof connection === "function") return connection;
  const configs = typeof connection === "string" ? toConfigs(connection) : [connection];
  return async (signal) => {
    const [first, second] = configs.map((config) => ({ ...defaults, fallback_application_name: name, ...config }));
    return open(first!, signal).catch((error: unknown) => {
      if (second === undefined || !isAboutTls(error)) throw error;
      return open(second, signal);
    });
  };
}

async function open(config: ClientConfig, signal: AbortSignal | undefined): Promise<ClientBase> {
  const client = new PgClient(config);
  // what comes after a failure is of no interest
  client.on("error", () => {});
  const give = () => client.connection.stream.destroy(new Error("the worker stops"));
  signal?.addEventListener("abort", give);
  try {
    await client.connect();
    return client;
  } finally {
    signal?.removeEventListener("abort", give);
  }
}

/** The server has no TLS, or pg_hba.conf none, or nothing else. */
function isAboutTls(error: unknown): boolean {
  return sqlstate(error) === "28000" || (error as Error).message.includes("does not support SSL");
}

/** One for each way of encryption that sslmode lets be tried. */
function toConfigs(text: string): ClientConfig[] {
  const url = toUrl(text);
  const set = (key: string, value: string | undefined) => {
    if (value !== undefined && !url.searchParams.has(key)) url.searchParams.set(key, value);
  };
  const { env } = process;
  const host = url.searchParams.get("host") ?? (decodeURIComponent(url.hostname) || env["PGHOST"] || "localhost");
  if (host.includes(",") || url.searchParams.has("service")) {
    throw new TypeError("several hosts, or a service, take a function that connects");
  }

  if (url.username === "") set("user", env["PGUSER"] ?? account());

  const own = join(homedir(), ".postgresql");
  const file = (name: string) => (existsSync(join(own, name)) ? join(own, name) : undefined);
  set("sslrootcert", env["PGSSLROOTCERT"] ?? file("root.crt"));
  const certificate = file("postgresql.crt");
  set("sslcert", env["PGSSLCERT"] ?? certificate);
  set("sslkey", env["PGSSLKEY"] ?? (certificate && file("postgresql.key")));
  set("sslmode", env["PGSSLMODE"] ?? "prefer");
  if (url.searchParams.get("sslrootcert") === "system") {
    // those that Node brings, with the name always looked at
    url.searchParams.delete("sslrootcert");
    url.searchParams.set("sslmode", "verify-full");
  }

  const mode = url.searchParams.get("sslmode")!;
  const modes = host.startsWith("/") ? ["disable"]
    : mode === "prefer" ? ["prefer", "disable"]
      : mode === "allow" ? ["disable", "require"] : [mode];
  const timeout = url.searchParams.get("connect_timeout") ?? env["PGCONNECT_TIMEOUT"];
  return modes.map((each) => {
    const way = new URL(url);
    way.searchParams.set("sslmode", each);
    way.searchParams.set("uselibpqcompat", "true");
    if (each === "disable") for (const key of ["sslrootcert", "sslcert", "sslkey"]) way.searchParams.delete(key);
    return {
      connectionString: way.href,
      ...(timeout == null ? {} : { connectionTimeoutMillis: Number(timeout) * 1000 }),
    };
  });
}

/** Who we are, if that has a name: pg asks the variable USER. */
function account(): string | undefined {
  try {
    return userInfo().username;
  } catch {
    return undefined;
  }
}

function toUrl(text: string): URL {
  // URL refuses user@/database, which libpq takes
  if (/^postgres(ql)?:\/\//.test(text)) return new URL(text.replace(/@\//, "@localhost/"));

  const url = new URL("postgresql:///");
  const pair = /\s*(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))\s*/gsy;
  let end = 0;
  for (const [all, key, quoted, plain] of text.matchAll(pair)) {
    const value = (quoted ?? plain ?? "").replace(/\\(.)/gs, "$1");
    if (key === "dbname") url.pathname = encodeURIComponent(value);
    else url.searchParams.set(key === "hostaddr" ? "host" : key!, value);
    end += all.length;
  }
  if (end !== text.length) throw new TypeError("connection must be key=value pairs or a URL");
  return url;
}
