// Files in `.pkbackup` that save time and decide nothing: what they say was checked by us and is not checked again, so they
// are read and written only where nobody else could have put something there.
import { lstatSync, readFileSync, renameSync, rmSync, type Stats, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';

/** The coarsest times that are in use: those of FAT. */
const settledMs = 3000;
const staleMs = 60_000;

const placeIn = (directory: string) => join(directory, '.pkbackup');

/** False where nothing was ever written to the repository, too. */
export function canCache(directory: string): boolean {
  return isOwn(placeIn(directory), 'directory');
}

/** What follows the first line, where that is `head`; undefined where there is nothing that can be trusted. */
export function readCache(directory: string, fileName: string, head: string): string | undefined {
  const path = join(placeIn(directory), fileName);
  try {
    if (!canCache(directory) || !isOwn(path, 'file')) return undefined;
    const text = readFileSync(path, 'utf8');
    return text.startsWith(`${head}\n`) ? text.slice(head.length + 1) : undefined;
  } catch {
    return undefined;
  }
}

/** Whole or not at all; where two write at once, one does. Never throws: the next reader is slower, and as right. */
export function writeCache(directory: string, fileName: string, lines: readonly string[]): void {
  if (!canCache(directory)) return;
  const path = join(placeIn(directory), fileName);
  const partial = `${path}.partial`;
  try {
    writeFileSync(partial, lines.join('\n'), { mode: 0o600, flag: 'wx' });
    renameSync(partial, path);
  } catch {
    removeStale(partial);
  }
}

/** Whatever changes a file or the names in a directory changes this, but for what `isSettled` is asked for. */
export function keyOf({ ino, size, mtimeMs, ctimeMs }: Stats): string {
  return `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
}

/** Whether a change after `atMs` shows: a second one within one tick of the clock would not. */
export function isSettled({ mtimeMs, ctimeMs }: Stats, atMs: number): boolean {
  return Math.max(mtimeMs, ctimeMs) < atMs - settledMs;
}

/** Of a process that was killed while it wrote. */
function removeStale(path: string): void {
  try {
    if (lstatSync(path).mtimeMs < Date.now() - staleMs) rmSync(path, { force: true });
  } catch {
    // There is none.
  }
}

function isOwn(path: string, type: 'file' | 'directory'): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined || !(type === 'file' ? stats.isFile() : stats.isDirectory())) return false;
  return process.getuid === undefined || (stats.uid === process.getuid() && (stats.mode & 0o022) === 0);
}
