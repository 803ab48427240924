// Looks at one entry of a directory, and reads it where it is a small file: then what the header says and what follows
// it cannot differ. Twice, because waiting costs four times the work itself on a warm disk, and blocking costs the
// whole program on a cold or far one; pack-tree.ts measures and chooses.
import fs, { constants, type Stats } from 'node:fs';
import { open } from 'node:fs/promises';
import { systemCodeOf } from '../errors.ts';
import type { Arena } from './reused-memory.ts';

export const smallFileBytes = 64 * 1024;
/** Never follows a link that took a file's place, never waits for the other end of a fifo that did. */
export const readFlags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

export interface FoundEntry {
  readonly stats: Stats;
  /** The content of a small file, in the arena; as long as `stats` says. */
  readonly data?: Buffer;
  readonly linkPath?: Buffer;
  readonly hasChanged: boolean;
}

type Path = string | Buffer;
/** What is known of an entry without opening it: by a look at it, or by its directory. */
export type EntryKind = Pick<Stats, 'isDirectory' | 'isFile' | 'isSymbolicLink' | 'isFIFO' | 'isSocket'>;
/** Whether the entry is wanted at all; an unwanted one is not opened. */
type Wants = (kind: EntryKind) => boolean;

interface How {
  readonly wants: Wants;
  readonly memory: Arena;
}

/** The directory says that it is a file, which saves a look; whether it still is one is seen when it is open. */
export function findFileSync(path: Path, kind: EntryKind, how: How): FoundEntry | undefined {
  if (!how.wants(kind)) return undefined;
  const file = tryOpenSync(path);
  return file === undefined ? findEntrySync(path, how) : readOpenSync(file, how.memory);
}

export function findEntrySync(path: Path, how: How): FoundEntry | undefined {
  const stats = fs.lstatSync(path);
  if (!how.wants(stats)) return undefined;
  if (stats.isSymbolicLink()) return symlink(stats, fs.readlinkSync(path, 'buffer'));
  if (!isSmallFile(stats)) return { stats, hasChanged: false };
  const file = openSync(path);
  return file === undefined ? findEntrySync(path, how) : readOpenSync(file, how.memory);
}

function readOpenSync(file: number, memory: Arena): FoundEntry {
  try {
    const before = fs.fstatSync(file);
    if (!isSmallFile(before)) return { stats: before, hasChanged: !before.isFile() };
    const buffer = memory.take(before.size);
    let length = 0;
    while (length < buffer.length) {
      const count = fs.readSync(file, buffer, length, buffer.length - length, length);
      if (count === 0) break;
      length += count;
    }
    return smallFile(before, buffer.subarray(0, length), fs.fstatSync(file));
  } finally {
    fs.closeSync(file);
  }
}

export async function findEntry(path: Path, how: How): Promise<FoundEntry | undefined> {
  const stats = await fs.promises.lstat(path);
  if (!how.wants(stats)) return undefined;
  if (stats.isSymbolicLink()) return symlink(stats, await fs.promises.readlink(path, 'buffer'));
  if (!isSmallFile(stats)) return { stats, hasChanged: false };
  const file = await open(path, readFlags).catch(unlessReplaced);
  if (!file) return findEntry(path, how);
  try {
    const before = await file.stat();
    if (!isSmallFile(before)) return { stats: before, hasChanged: !before.isFile() };
    const buffer = how.memory.take(before.size);
    let length = 0;
    while (length < buffer.length) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return smallFile(before, buffer.subarray(0, length), await file.stat());
  } finally {
    await file.close();
  }
}

function symlink(stats: Stats, linkPath: Buffer): FoundEntry {
  return { stats, linkPath, hasChanged: false };
}

function smallFile(before: Stats, data: Buffer, after: Stats): FoundEntry {
  const hasChanged = isChanged(before, after) || data.length !== before.size;
  before.size = data.length;
  return { stats: before, data, hasChanged };
}

export function isChanged(before: Stats, after: Stats): boolean {
  return before.size !== after.size || before.mtimeMs !== after.mtimeMs;
}

function isSmallFile(stats: Stats): boolean {
  return stats.isFile() && stats.size <= smallFileBytes;
}

function openSync(path: Path): number | undefined {
  try {
    return fs.openSync(path, readFlags);
  } catch (error) {
    return unlessReplaced(error);
  }
}

/** Whatever stands in the way, a look at the entry tells. */
function tryOpenSync(path: Path): number | undefined {
  try {
    return fs.openSync(path, readFlags);
  } catch {
    return undefined;
  }
}

/** ELOOP: a link has taken the file's place since we looked. */
function unlessReplaced(error: unknown): undefined {
  if (systemCodeOf(error) !== 'ELOOP') throw error;
}
