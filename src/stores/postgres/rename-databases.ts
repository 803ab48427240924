// Renaming and dropping databases that somebody may be using: those who are connected are disconnected first, and kept out
// until the names are right.
import { z } from 'zod';
import { sleep } from '../../docker/index.ts';
import { PkbackupError } from '../../errors.ts';
import { type Server, SqlError } from './server.ts';
import { identifier, literal } from './sql.ts';

const presentSchema = z.record(z.string(), z.object({ oid: z.number(), canConnect: z.boolean() }));

/** What keeps its identity when it is renamed is the oid. */
export type PresentDatabases = ReadonlyMap<string, z.infer<typeof presentSchema>[string]>;

const presentSql = `SELECT json_object_agg(datname, json_build_object('oid', oid::bigint, 'canConnect', datallowconn))
  FROM pg_database`;

export async function presentDatabases(server: Server, admin: string): Promise<PresentDatabases> {
  return new Map(Object.entries(presentSchema.parse(JSON.parse(await server.value(admin, presentSql)))));
}

export interface Rename {
  readonly from: string;
  readonly to: string;
}

/** All of them or none. Those in `close` allow no connections any more, under whatever name. */
export async function renameDatabases(
  server: Server,
  admin: string,
  close: readonly string[],
  renames: readonly Rename[],
): Promise<void> {
  if (renames.length === 0) return;
  const all = renames.map(
    ({ from, to }) => `ALTER DATABASE ${identifier(from)} RENAME TO ${identifier(to)};`,
  );
  await whileInUse(server, () =>
    server.execute(
      admin,
      ...close.map((name) => allowConnections(name, false)),
      endConnections(renames.map(({ from }) => from)),
      `BEGIN; ${all.join(' ')} COMMIT`,
    ),
  );
}

export async function openDatabases(server: Server, admin: string, names: readonly string[]): Promise<void> {
  if (names.length > 0) await server.execute(admin, ...names.map((name) => allowConnections(name, true)));
}

export async function dropDatabase(server: Server, admin: string, name: string): Promise<void> {
  await whileInUse(server, () =>
    server.execute(
      admin,
      allowConnections(name, false),
      endConnections([name]),
      `DROP DATABASE ${identifier(name)}`,
    ),
  );
}

const recoveryDeadlineMs = 120_000;

/** A server that has lost one of its processes is back in a moment, and refuses everybody until then. */
export async function untilItAnswers(server: Server, admin: string): Promise<void> {
  const endAt = performance.now() + recoveryDeadlineMs;
  for (;;) {
    try {
      await server.value(admin, 'SELECT 1');
      return;
    } catch (error) {
      const isHere = error instanceof SqlError && !/^(57P0|08|$)/.test(error.sqlState ?? '');
      const isRefused = error instanceof PkbackupError && error.code === 'config';
      if (isHere || isRefused || performance.now() > endAt || !(await server.isUp())) throw error;
      await sleep(500, server.signal);
    }
  }
}

const allowConnections = (name: string, isAllowed: boolean): string =>
  `ALTER DATABASE ${identifier(name)} ALLOW_CONNECTIONS ${isAllowed}`;

const endConnections = (databases: readonly string[]): string =>
  `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
   WHERE datname IN (${databases.map(literal).join(', ')}) AND pid <> pg_backend_pid()`;

const inUseDeadlineMs = 60_000;
const objectInUse = '55006';

/** Those who were told to go take a moment; autovacuum may come by. */
async function whileInUse(server: Server, act: () => Promise<void>): Promise<void> {
  const endAt = performance.now() + inUseDeadlineMs;
  for (;;) {
    try {
      return await act();
    } catch (error) {
      const isInUse = error instanceof SqlError && error.sqlState === objectInUse;
      if (!isInUse || performance.now() > endAt) throw error;
      await sleep(200, server.signal);
    }
  }
}
