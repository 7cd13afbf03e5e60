// A worker on a pool's connections, as the README makes it: typescript.sh adds its line.
import pg from "pg";
import { Worker } from "tasker-checkpoint-client";

const pool = new pg.Pool({ max: 2 });
let failures = 1;

async function run(worker) {
  await worker.run(async (context) => {
    for await (const rows of context.iterate("SELECT id, amount FROM orders", { key: "id", every: 4_000 })) {
      await context.connection.query("INSERT INTO invoices SELECT * FROM unnest($1::bigint[], $2::bigint[])",
        [rows.map((row) => row.id), rows.map((row) => row.amount)]);
      // with a batch written, which then must not be there
      if (context.sequence === 2 && failures-- > 0) throw new Error("told to fail");
    }
  }, { exitWhenIdle: 2 });
  if (failures > 0) throw new Error("it has not failed");
  if (pool.totalCount !== pool.idleCount) throw new Error("a connection is not released");
  await pool.end();
}
