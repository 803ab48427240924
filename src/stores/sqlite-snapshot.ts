// The copy of an SQLite database: taken, checked, packed; and what is found again in an archive of it.
import { randomBytes } from 'node:crypto';
import { chmod, readdir, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { packFiles } from '../archive/pack-files.ts';
import { attributesOf } from '../archive/pack-parts.ts';
import { PkbackupError } from '../errors.ts';
import {
  copyDatabase,
  type Inspected,
  inspectDatabase,
  loadDatabase,
  SqliteError,
} from './sqlite-database.ts';
import { isDatabase, lookAtDatabase } from './sqlite-file.ts';
import type { Snapshot, StoreContext } from './store.ts';

export const schema = z.strictObject({
  path: z.string().min(1),
  /** How long to wait for a database that is locked. */
  wait_seconds: z.number().min(0).max(3600).optional(),
});

export type SqliteTarget = z.infer<typeof schema>;

export interface SqliteSnapshot extends Snapshot {
  readonly inspected: Inspected;
  readonly dispose: () => Promise<void>;
}

/** A copy of `path` as it is now, under `name` in the tar; whether it is sound is for the caller to judge. */
export async function takeSnapshot(
  { path, wait_seconds = 30 }: SqliteTarget,
  name: string,
  context: StoreContext,
): Promise<SqliteSnapshot> {
  const { signal, store, emit } = context;
  const { stats, logBytes } = await lookAtDatabase(path);
  await refuseSmallDisk(context.scratchDir, stats.size + logBytes);
  const copy = join(context.scratchDir, `copy-${randomBytes(4).toString('hex')}.db`);
  const dispose = async () => {
    for (const suffix of ['', '-journal', '-wal', '-shm']) await rm(`${copy}${suffix}`, { force: true });
  };
  try {
    const { pinnedAtMs } = await copyDatabase(path, copy, {
      timeoutMs: wait_seconds * 1000,
      signal,
      beforePin: context.beforePin,
      onPinned: context.onPinned,
    });
    await context.afterPin?.();
    emit({ type: 'step', store, message: 'copied; checking the copy' });
    const inspected = await inspectDatabase(copy, { isLive: false, signal });
    for (const each of inspected.notChecked)
      emit({ type: 'warning', store, message: `not checked: ${each}` });
    return {
      pinnedAt: new Date(pinnedAtMs),
      tar: packFiles([{ name, path: copy, attributes: attributesOf(stats) }], { signal }),
      counts: inspected.counts,
      samples: inspected.samples,
      notes: () => inspected.notChecked.map((each) => `not checked: ${each}`),
      inspected,
      dispose,
    };
  } catch (error) {
    await dispose();
    throw error instanceof SqliteError ? cannotCopy(path, error, wait_seconds) : error;
  }
}

/** The one database in a directory that an archive was extracted into; made there where it is SQL text. */
export async function findDatabaseIn(directory: string, signal: AbortSignal): Promise<string> {
  const names = await readdir(directory);
  const [name] = names;
  if (name !== undefined && names.length === 1) {
    const path = join(directory, name);
    if (await isDatabase(path)) return path;
    if (name.endsWith('.sql')) return databaseFrom(path, signal);
  }
  const found = names.length === 0 ? 'nothing' : names.map((each) => `"${each}"`).join(', ');
  throw new PkbackupError('bad_backup', `expected one SQLite database in the archive, found ${found}`);
}

async function databaseFrom(text: string, signal: AbortSignal): Promise<string> {
  const path = `${text}.db`;
  try {
    await loadDatabase(text, path, signal);
  } catch (error) {
    if (!(error instanceof SqliteError)) throw error;
    throw new PkbackupError('bad_backup', `no database can be made of the SQL: ${error.message}`, {
      cause: error,
    });
  }
  await chmod(path, 0o600);
  await rm(text);
  return path;
}

async function refuseSmallDisk(directory: string, neededBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  if (bavail * bsize >= neededBytes) return;
  throw new PkbackupError(
    'backup_failed',
    `a copy needs ${neededBytes} bytes in "${directory}", which has ${bavail * bsize}`,
    { hint: 'free some space there, or put the repository elsewhere' },
  );
}

function cannotCopy(path: string, error: SqliteError, waitSeconds: number): PkbackupError {
  const options = { cause: error };
  if (error.code === 0 || (error.code & 0xff) === 5) {
    const message = `"${path}" was locked for ${waitSeconds} s`;
    const hint = 'somebody holds an exclusive lock on it; try again later, or set wait_seconds';
    return new PkbackupError('backup_failed', message, { ...options, hint });
  }
  if ((error.code & 0xff) === 14) {
    const message = `"${path}" cannot be opened by SQLite: ${error.message}`;
    const hint = 'reading a database in WAL mode needs the right to write to its directory';
    return new PkbackupError('backup_failed', message, { ...options, hint });
  }
  const isDamaged = [11, 26].includes(error.code & 0xff);
  const what = isDamaged ? 'is damaged' : 'cannot be copied';
  return new PkbackupError('backup_failed', `"${path}" ${what}: ${error.message}`, options);
}
