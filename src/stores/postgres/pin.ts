// The point in time of a database: a snapshot that a session of ours keeps open until pg_dump has taken it over. So all
// databases of a cluster can be pinned at one moment, although they are dumped one after another.
// It holds no lock on a table on purpose: somebody who wants to change that table would queue behind us, and pg_dump
// behind them, for ever. The price: a table that is rewritten (TRUNCATE, ALTER TABLE, VACUUM FULL) before pg_dump has its
// locks looks empty in an older snapshot. `rewrittenSince` finds that, and the database is pinned again.
import { z } from 'zod';
import { PkbackupError } from '../../errors.ts';
import { readUntil } from '../read-until.ts';
import { endSessions, userTables } from './cluster.ts';
import { psqlCommand } from './psql-command.ts';
import type { Server } from './server.ts';
import { literal } from './sql.ts';

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
const statements = [begin, pinSql, `SELECT pg_sleep(${longestSeconds})`];
const rewrittenSql = `SELECT coalesce(json_agg(c.relname), '[]') FROM pg_class c
  WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND c.relfilenode <> 0
    AND pg_relation_filenode(c.oid) IS DISTINCT FROM c.relfilenode`;

export async function pin(server: Server, database: string, admin: string): Promise<Pin> {
  const session = await openSession(server, database);
  return session.pin(admin);
}

/** A session that is connected and waits to pin. */
export interface PinSession {
  pin(admin: string): Promise<Pin>;
  /** Ends it, pinned or not. */
  close(): Promise<void>;
}

const ready = 'pkbackup is ready';

/** Over Windows pipes nothing can be said to a session that has begun: it connects when it is to pin. */
export async function openSession(server: Server, database: string): Promise<PinSession> {
  const told = Promise.withResolvers<void>();
  async function* script(): AsyncGenerator<Buffer> {
    yield Buffer.from(`${noLimit};\nSELECT ${literal(ready)};\n`);
    await told.promise;
    yield Buffer.from(`${statements.map((statement) => `${statement};\n`).join('')}`);
  }
  if (!server.takesStdin) {
    const commands = [noLimit, ...statements].map((statement) => `--command=${statement}` as const);
    return {
      close: async () => undefined,
      pin: (admin) =>
        pinned(server, {
          database,
          admin,
          output: server.stream(psqlCommand(server.user, database, commands)),
        }),
    };
  }
  const output = server.stream(psqlCommand(server.user, database, ['--file=-']), script());
  try {
    const find = (text: string) => /^pkbackup is ready\r?\n/m.test(text) || undefined;
    await readUntil(output, find, noSnapshot(database));
  } catch (error) {
    await output.return(undefined);
    throw error;
  }
  return {
    pin(admin) {
      told.resolve();
      return pinned(server, { database, admin, output });
    },
    async close() {
      await output.return(undefined);
    },
  };
}

async function pinned(
  server: Server,
  { database, admin, output }: { database: string; admin: string; output: AsyncGenerator<Buffer> },
): Promise<Pin> {
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

function readPin(output: AsyncGenerator<Buffer>, database: string): Promise<z.infer<typeof pinSchema>> {
  const find = (text: string) => {
    const line = /^\{.*\}$/m.exec(text)?.[0];
    const isWhole = line !== undefined && text.includes('\n', text.indexOf(line));
    return isWhole ? pinSchema.parse(JSON.parse(line)) : undefined;
  };
  return readUntil(output, find, noSnapshot(database));
}

const noSnapshot = (database: string) => () =>
  new PkbackupError('failed', `database "${database}": no snapshot was given`);

async function rewritten(server: Server, database: string, snapshot: string): Promise<string[]> {
  const lines = await server.script(
    database,
    `${begin};\nSET TRANSACTION SNAPSHOT ${literal(snapshot)};\n${rewrittenSql};\nCOMMIT;\n`,
  );
  return z.array(z.string()).parse(JSON.parse(lines.join('')));
}
