// What an SQLite file says of itself without SQLite (https://sqlite.org/fileformat.html): so that looking changes nothing,
// waits for no lock and makes no log beside it. Only for processes that have no connection to the database themselves:
// POSIX drops all of a process's locks on a file when it closes any descriptor of it.
import type { Stats } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { cannotRead } from '../archive/pack-parts.ts';
import { PkbackupError, systemCodeOf } from '../errors.ts';

/** What SQLite may put beside a database; part of it while it is live, never of a backup. */
export const sidecarSuffixes = ['-wal', '-shm', '-journal'];

const magic = 'SQLite format 3\0';
const headerBytes = 112;

export interface DatabaseFile {
  readonly stats: Stats;
  /** Of the log, which holds what was committed last: pages that replace some of the file, and new ones. */
  readonly logBytes: number;
  /** Of the SQLite that wrote it last. */
  readonly version?: string;
  /** There is no table and nothing else in it. */
  readonly isEmpty: boolean;
}

/** Throws `not_found` where there is no SQLite database at `path`. */
export async function lookAtDatabase(path: string): Promise<DatabaseFile> {
  const stats = await stat(path).catch((error) => {
    if (!['ENOENT', 'ENOTDIR'].includes(systemCodeOf(error) ?? '')) throw cannotRead(path, error);
    throw new PkbackupError('not_found', `"${path}" is not there`, { hint: 'check "path" of this store' });
  });
  if (!stats.isFile()) throw notADatabase(path, stats.isDirectory() ? 'a directory' : 'no file');
  const logBytes = (await sizeOf(`${path}-wal`)) ?? 0;
  const header = await headOf(path);
  const isWhole = header.length === headerBytes && header.toString('latin1', 0, 16) === magic;
  if (header.length > 0 && !isWhole) throw notADatabase(path, 'a file of another kind');
  const version = versionOf(header);
  return {
    stats,
    logBytes,
    // The root of the schema is in the first page: a leaf (13) with no cells.
    isEmpty: logBytes === 0 && (!isWhole || (header[100] === 13 && header.readUInt16BE(103) === 0)),
    ...(version ? { version } : {}),
  };
}

export async function isDatabase(path: string): Promise<boolean> {
  return (await headOf(path)).toString('latin1', 0, 16) === magic;
}

export async function sizeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    (stats) => stats.size,
    () => undefined,
  );
}

async function headOf(path: string): Promise<Buffer> {
  try {
    const file = await open(path, 'r');
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(headerBytes), 0, headerBytes, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw cannotRead(path, error);
  }
}

function versionOf(header: Buffer): string | undefined {
  const number = header.length === headerBytes ? header.readUInt32BE(96) : 0;
  if (number < 3_000_000 || number > 3_999_999) return undefined;
  return `${Math.floor(number / 1e6)}.${Math.floor(number / 1000) % 1000}.${number % 1000}`;
}

function notADatabase(path: string, found: string): PkbackupError {
  const hint = found === 'a directory' ? 'name the database file, or use kind: directory' : undefined;
  const message = `"${path}" is ${found}, expected an SQLite database`;
  return new PkbackupError('not_found', message, hint ? { hint } : {});
}
