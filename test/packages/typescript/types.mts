/* What an application writes, to be compiled under each way of resolution. */
import { Client, type Context, type Fields, Superseded, TransientError, Worker } from "tasker-checkpoint-client";
import { expireLease, runStep } from "tasker-checkpoint-client/testing";
import { type DatabaseError, Pool } from "pg";

interface Totals {
  rows: number;
}

const pool = new Pool();
const seen: Fields[] = [];

async function handler(context: Context): Promise<Totals | undefined> {
  const totals: Totals = context.accumulatedResults ?? { rows: 0 };
  for await (const rows of context.iterate<{ id: string }>("SELECT id FROM source", { key: "id", results: totals })) {
    totals.rows += rows.map(({ id }) => id.length).length;
  }
  const pages = context.iterate(async (cursor: string | undefined, n) => ({ items: [n], cursor: `${cursor}.` }));
  for await (const [n] of pages) totals.rows += n ?? 0;
  if (context.stopRequested) throw new TransientError("later", { delay: 5 });
  const transaction = await context.begin();
  await context.checkpointSave({ cursor: { at: 1n }, itemsProcessed: totals.rows });
  await transaction.commit();
  return context.finish(totals);
}

export async function main(): Promise<void> {
  const worker = new Worker<Totals>({
    connection: () => pool.connect(),
    queues: ["imports"],
    observe: (_event, fields) => seen.push(fields),
    log: console,
    retryDelay: (context, error) => (error instanceof Superseded ? 0 : context.deliveries),
    async onSuccess(context, { rows }) {
      await context.connection.query("UPDATE steps SET results = $2 WHERE id = $1", [context.stepUuid, rows]);
    },
  });
  await worker.run(handler, { signal: new AbortController().signal, exitWhenIdle: 1 });
  await worker[Symbol.asyncDispose]();

  // a handler of Tasker's, as it stands
  await worker.run({
    async ported(context) {
      const start = context.hasCheckpoint() ? context.checkpointCursor : 0;
      const accumulated = context.accumulatedResults ?? { rows: 0 };
      return context.checkpointYield({ cursor: start + 1, itemsProcessed: start + 1, accumulatedResults: accumulated });
    },
  });

  const connection = await pool.connect();
  const [progress] = await new Client(connection).progress();
  const { outcome, result, checkpoints } = await runStep(connection, progress!.stepUuid, handler, { stopAt: 1 });
  await expireLease(connection, progress!.stepUuid);
  const error: DatabaseError = new Superseded("gone");
  console.log(outcome, result?.rows, checkpoints.length, error.code);
}
