// The point in time of a database: a snapshot that a session of ours keeps open until pg_dump has taken it over. So all
// databases of a cluster can be pinned at one moment, although they are dumped one after another.
// It holds no lock on a table on purpose: somebody who wants to change that table would queue behind us, and pg_dump
// behind them, for ever. The price: a table that is rewritten (TRUNCATE, ALTER TABLE, VACUUM FULL) before pg_dump has its
// locks looks empty in an older snapshot. `rewrittenSince` finds that, and the database is pinned again.
import { z } from 'zod';
import { PkbackupError } from '../../errors.ts';
import { endSessions, userTables } from './cluster.ts';
import type { Server } from './server.ts';
import { conninfo, literal } from './sql.ts';

const pinSchema = z.object({ snapshot: z.string(), pid: z.number(), tables: z.number() });

export interface Pin {
  /** For `pg_dump --snapshot`. */
  readonly snapshot: string;
  readonly pinnedAt: Date;
  /** Tables that a dump of this moment must have entries for. */
  readonly tables: number;
  /** Names of tables that the snapshot no longer shows as they were. */
  rewrittenSince(): Promise<string[]>;
  /** Ends the session; may be called again. */
  release(): Promise<void>;
}

/** If pkbackup dies, the session goes on; it must not hold back VACUUM for ever. */
const longestSeconds = 1800;

const begin = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY';
const noLimit = `SELECT set_config('transaction_timeout', '0', false) FROM pg_settings WHERE name = 'transaction_timeout'`;
const pinSql = `SELECT json_build_object('snapshot', pg_export_snapshot(), 'pid', pg_backend_pid(),
  'tables', (SELECT count(*) FROM ${userTables}))`;
const rewrittenSql = `SELECT coalesce(json_agg(c.relname), '[]') FROM pg_class c
  WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND c.relfilenode <> 0
    AND pg_relation_filenode(c.oid) IS DISTINCT FROM c.relfilenode`;

export async function pin(server: Server, database: string, admin: string): Promise<Pin> {
  const output = server.stream([
    'psql',
    '--no-psqlrc',
    '--no-password',
    '--quiet',
    '--tuples-only',
    '--no-align',
    '--set=ON_ERROR_STOP=1',
    `--username=${server.user}`,
    `--dbname=${conninfo(database)}`,
    `--command=${noLimit}`,
    `--command=${begin}`,
    `--command=${pinSql}`,
    `--command=SELECT pg_sleep(${longestSeconds})`,
  ]);
  const pinnedAt = new Date();
  const { snapshot, pid, tables } = await readPin(output, database);
  let isReleased = false;
  return {
    snapshot,
    pinnedAt,
    tables,
    rewrittenSince: () => rewritten(server, database, snapshot),
    async release() {
      if (isReleased) return;
      isReleased = true;
      const mine = `pid = ${pid} AND application_name = ${literal(server.applicationName)}`;
      await endSessions(server.uninterrupted(), admin, mine);
      await output.return(undefined);
    },
  };
}

async function readPin(output: AsyncGenerator<Buffer>, database: string): Promise<z.infer<typeof pinSchema>> {
  let text = '';
  for (;;) {
    const { value, done } = await output.next();
    if (done) throw new PkbackupError('failed', `database "${database}": no snapshot was given`);
    text += value.toString('utf8');
    const line = /^\{.*\}$/m.exec(text)?.[0];
    if (line !== undefined && text.includes('\n', text.indexOf(line)))
      return pinSchema.parse(JSON.parse(line));
  }
}

async function rewritten(server: Server, database: string, snapshot: string): Promise<string[]> {
  const lines = await server.script(
    database,
    `${begin};\nSET TRANSACTION SNAPSHOT ${literal(snapshot)};\n${rewrittenSql};\nCOMMIT;\n`,
  );
  return z.array(z.string()).parse(JSON.parse(lines.join('')));
}
