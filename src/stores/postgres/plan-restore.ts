// Where a backup would go: looks at the server, refuses what cannot be done, and says what will happen. Changes nothing.
import { z } from 'zod';
import { sleep } from '../../docker/index.ts';
import { PkbackupError } from '../../errors.ts';
import type { Counts } from '../../words.ts';
import type { Restoration, RestorePlan, RestoreState, ResumedRestore } from '../store.ts';
import { type Cluster, endSessions, lookAtContents, majorOf, toolVersion } from './cluster.ts';
import { addContents, noCounts } from './counts.ts';
import {
  DatabasesRestoration,
  quoted,
  type RestoreOptions,
  refuseExisting,
  stateSchema,
} from './restore-databases.ts';
import { bytesBeside, roomAt } from './room.ts';
import { type Server, toolsAt } from './server.ts';
import { literal } from './sql.ts';

export async function planDatabasesRestore(options: RestoreOptions): Promise<Restoration> {
  const { server, cluster, backup, target, beside } = options;
  const tool = await toolVersion(server, 'pg_restore');
  refuseNewerDump(tool, options);
  const wanted = wantedNames(options);
  const present = cluster.databases.filter(({ name }) => wanted?.includes(name));
  if (beside)
    for (const { name } of present) await refuseExisting(server, name, target.beside?.name !== undefined);
  const replaced = beside ? [] : present;
  const room = await roomAt(server, cluster.dataDirectory);
  const added = bytesBeside(backup);
  const plan: RestorePlan = {
    target: describe(wanted, server),
    replaces: wanted === undefined ? !beside : replaced.length > 0,
    volumes: [],
    ...(server.container ? { containers: [server.container.id] } : {}),
    ...(replaced.length > 0 ? { presentBytes: sum(replaced.map(({ bytes }) => bytes ?? 0)) } : {}),
    ...(replaced.length > 0 ? { presentCounts: await presentCounts(server, replaced) } : {}),
    ...(replaced.length > 0 ? { usedBy: await connectionsTo(server, cluster.admin, replaced) } : {}),
    ...(added === undefined ? {} : { neededBytes: added + (room?.reserveBytes ?? 0) }),
    ...(room === undefined ? {} : { freeBytes: room.disk.freeBytes }),
  };
  return new DatabasesRestoration(options, plan, tool);
}

/** After a crash: ends what the dead process has begun in the container, then goes by what the server shows. */
export async function resumeDatabasesRestore(
  options: Omit<RestoreOptions, 'beside'>,
  state: RestoreState,
): Promise<ResumedRestore> {
  const made = stateSchema.parse(state);
  const { server, cluster } = options;
  await endSessionsOf(made.applicationName, server, cluster.admin);
  const names = made.staged.map(({ name }) => name);
  const target = describe(names.length > 0 ? names : undefined, server);
  const plan = { target, replaces: made.replaces, volumes: [] };
  return new DatabasesRestoration({ ...options, beside: false }, plan, '', made);
}

async function endSessionsOf(applicationName: string, server: Server, admin: string): Promise<void> {
  const sessions = `application_name = ${literal(applicationName)}`;
  const count = `SELECT count(*) FROM pg_stat_activity WHERE ${sessions}`;
  const endAt = performance.now() + endDeadlineMs;
  while ((await server.value(admin, count)) !== '0') {
    if (performance.now() > endAt) {
      throw new PkbackupError('failed', `sessions of "${applicationName}" do not end in ${server.where}`, {
        hint: 'restart the server, then run pkbackup recover',
      });
    }
    await endSessions(server, admin, sessions);
    await sleep(100, server.signal);
  }
}

const endDeadlineMs = 60_000;

/** The names after the restore; undefined where the metadata does not tell what is in the backup. */
function wantedNames({ backup, target }: RestoreOptions): string[] | undefined {
  const { beside, databases } = target;
  const inBackup = backup.databases?.filter((name) => databases?.includes(name) ?? true);
  if (beside?.name !== undefined) {
    const chosen = inBackup?.filter((name) => beside.original === undefined || name === beside.original);
    if (chosen && chosen.length !== 1) throw notOne(chosen, beside.original, inBackup ?? []);
    return [beside.name];
  }
  const missing = backup.databases && databases?.find((name) => !backup.databases?.includes(name));
  if (missing === undefined) return inBackup;
  throw new PkbackupError('not_found', `database "${missing}" is not in the backup`, {
    hint: `it has ${quoted(backup.databases ?? [])}`,
  });
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);

function notOne(chosen: readonly string[], original: string | undefined, inBackup: readonly string[]) {
  const has = `the backup has ${quoted(inBackup)}`;
  return chosen.length === 0
    ? new PkbackupError('not_found', `database "${original ?? ''}" is not in the backup`, { hint: has })
    : new PkbackupError('ambiguous', `which database of the backup? it has ${quoted(chosen)}`, {
        hint: `say --to ${chosen[0]}=NEW_NAME`,
      });
}

async function presentCounts(server: Server, databases: Cluster['databases']): Promise<Counts> {
  const counts = noCounts();
  for (const { name, canConnect } of databases) {
    if (canConnect) addContents(counts, await lookAtContents(server, name));
  }
  return counts;
}

const connectionsSchema = z.array(
  z.object({ database: z.string(), program: z.string(), connections: z.number() }),
);

/** They are closed when the databases are renamed. */
async function connectionsTo(
  server: Server,
  admin: string,
  databases: Cluster['databases'],
): Promise<string[]> {
  const names = databases.map(({ name }) => literal(name)).join(', ');
  const text = await server.value(
    admin,
    `SELECT coalesce(json_agg(one), '[]') FROM (
      SELECT datname AS database, application_name AS program, count(*) AS connections FROM pg_stat_activity
      WHERE datname IN (${names}) AND application_name <> ${literal(server.applicationName)} AND pid <> pg_backend_pid()
      GROUP BY 1, 2 ORDER BY 1, 3 DESC, 2) one`,
  );
  return connectionsSchema.parse(JSON.parse(text)).map(({ database, program, connections }) => {
    const from = program === '' ? '' : ` from "${program}"`;
    return `${connections} ${connections === 1 ? 'connection' : 'connections'} to "${database}"${from}`;
  });
}

function describe(names: readonly string[] | undefined, { where }: Server): string {
  if (names === undefined) return `the databases in ${where}`;
  return `${names.length === 1 ? 'database' : 'databases'} ${quoted(names)} in ${where}`;
}

function refuseNewerDump(tool: string, { server, backup: { storeVersion } }: RestoreOptions): void {
  if (storeVersion === undefined || majorOf(storeVersion) <= majorOf(tool)) return;
  throw new PkbackupError(
    'restore_failed',
    `the backup is of PostgreSQL ${storeVersion}, which pg_restore ${tool} ${toolsAt(server)} cannot read`,
    { hint: `restore into a server of version ${majorOf(storeVersion)} or newer` },
  );
}
