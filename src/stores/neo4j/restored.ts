// What restores of Neo4j have in common, wherever the server is: which backups it can read, and whether what was restored is
// what the backup says.
import { nameOf } from '../../archive/tar-format.ts';
import { scanTar } from '../../archive/tar-scan.ts';
import { PkbackupError } from '../../errors.ts';
import type { Counts } from '../../words.ts';
import type { BackupFacts, Content, StoreContext } from '../store.ts';
import type { StoreCounter } from './records.ts';
import { countDatabases, type Neo4jServer, waitUntilInUse, waitUntilOnline } from './server.ts';

/** What the first file of the archive is says what all are. */
export async function formOf(content: Content): Promise<'files' | 'dumps'> {
  for await (const piece of scanTar(content.tar())) {
    if (piece.type !== 'entry' || piece.entry.type !== 'file') continue;
    return /^(\.\/)?[^/]+\.dump$/.test(nameOf(piece.entry)) ? 'dumps' : 'files';
  }
  return 'files';
}

/** Minor releases change the format of files and logs, and no server reads what a newer one wrote. */
export function refuseOlder(version: string | undefined, storeVersion: string | undefined): void {
  if (version === undefined || storeVersion === undefined || !isOlder(version, storeVersion)) return;
  throw new PkbackupError(
    'restore_failed',
    `the backup is of Neo4j ${storeVersion}, the server is Neo4j ${version}: an older server cannot read it`,
    { hint: `use Neo4j ${storeVersion} or newer; nothing was touched` },
  );
}

/** By major and minor release. */
export function isOlder(version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [otherMajor = 0, otherMinor = 0] = than.split('.').map(Number);
  return major === otherMajor ? minor < otherMinor : major < otherMajor;
}

/** Its files lag behind its log. */
export const wasPaused = ({ quiesce }: BackupFacts): boolean => quiesce === 'pause';

/**
 * What is in the files; those of a paused server say nothing, but the server has said it. Undefined where it cannot be told.
 */
export function stagedCounts(counter: StoreCounter, backup: BackupFacts): Counts | undefined {
  return wasPaused(backup) ? backup.counts : counter.counts();
}

/** Where no server runs on what was restored. */
export function countsWithoutServer(
  counter: StoreCounter,
  backup: BackupFacts,
  { emit, store }: StoreContext,
): Counts {
  const isPaused = wasPaused(backup);
  const how = isPaused ? 'nothing was counted before one has recovered it' : 'its files alone were counted';
  emit({ type: 'step', store, message: `no server runs on the restored data, so ${how}` });
  return isPaused ? {} : (counter.counts() ?? {});
}

export function refuseOtherCounts(counter: StoreCounter, backup: BackupFacts): void {
  const { counts } = backup;
  const staged = stagedCounts(counter, backup);
  if (!staged) return;
  const differences = Object.entries(staged).flatMap(([what, found]) =>
    counts[what] === undefined || counts[what] === found
      ? []
      : [`expected ${counts[what]} ${what}, found ${found}`],
  );
  if (differences.length === 0) return;
  throw new PkbackupError(
    'bad_backup',
    `what was staged is not what the metadata says: ${differences.join(', ')}`,
  );
}

/** The server makes that database anew when it starts. */
export function warnOfUsers({ emit, store }: StoreContext): void {
  emit({
    type: 'warning',
    store,
    message: 'the backup has no database "system": users, passwords and the other databases are made anew',
    hint: 'the password is what NEO4J_AUTH of a container says, or "neo4j" until it is changed',
  });
}

/** Its databases are online, and as full as what was staged. */
export async function checkRunning(
  server: Neo4jServer,
  expected: {
    readonly staged: Counts;
    readonly databases: readonly string[];
    readonly owner: () => Promise<string>;
    readonly whatever: string;
  },
  { emit, store }: StoreContext,
): Promise<Counts> {
  const { staged, databases, owner, whatever } = expected;
  const facts = await waitUntilOnline(server).catch((error: unknown) => {
    if (error instanceof PkbackupError && error.code === 'config') return undefined;
    throw error;
  });
  if (!facts) {
    await waitUntilInUse(server, { databases, owner: await owner() });
    emit({
      type: 'warning',
      store,
      message: `the databases are open, but the server refuses the password that pkbackup has: it has the users and passwords of the time of the backup${whatever}`,
      hint: 'use the password of that time (password_env of this store), or change it with ALTER USER; what was restored was counted in its files',
    });
    return staged;
  }
  const missing = databases.filter((name) => !facts.databases.some((database) => database.name === name));
  if (missing.length > 0)
    throw wrong(`the server does not know the databases ${missing.map((name) => `"${name}"`).join(', ')}`);
  const counts = await countDatabases(server, facts.databases);
  refuseLost(staged, counts);
  return counts;
}

/** The files were counted when they were staged; meanwhile clients may have written again, but nothing is empty. */
function refuseLost(staged: Counts, counts: Counts): void {
  for (const [what, expected] of Object.entries(staged)) {
    const found = counts[what];
    if (expected > 0 && found === 0) throw wrong(`expected ${expected} ${what}, the server has none`);
  }
}

const wrong = (message: string) => new PkbackupError('restore_failed', message);
