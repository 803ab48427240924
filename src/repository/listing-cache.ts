// What the metadata files said when they were last read, so that a listing of ten thousand need not open them all. It saves
// work and decides nothing: an entry counts only for the very file that was read (the same inode, length and times), and
// archives are looked at anew each time. Files that have just changed are not kept, because a second change within one tick
// of the clock would not show. It is read only where it is ours: what it says was checked by us, and is not checked again.
import { lstatSync, readFileSync, renameSync, rmSync, type Stats, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { version } from '../version.ts';
import type { Metadata } from './metadata.ts';

export interface ListingCache {
  /** What the file of this name, as it is now, is known to say. */
  get(name: string, stats: Stats): Metadata | undefined;
  /** `stats` MUST have been taken before the file was read. */
  add(name: string, stats: Stats, metadata: Metadata): void;
  /** Writes what is new, where it is worth it. Never throws: the next listing is slower, and as right. */
  save(): void;
}

const fileName = 'listing.cache';
const head = `pkbackup ${version} listing`;
/** Fewer are read as fast as they are looked up. */
const worthWriting = 100;
/** The coarsest times that are in use: those of FAT. */
const settledMs = 3000;
const staleMs = 60_000;

export function openListingCache(directory: string, now = Date.now): ListingCache {
  const place = join(directory, '.pkbackup');
  const isUsable = isOwn(place, 'directory');
  const known = isUsable ? readEntries(join(place, fileName)) : new Map<string, string>();
  const kept: string[] = [];
  let added = 0;
  return {
    get(name, stats) {
      const entry = known.get(name);
      const start = `${keyOf(stats)}\t`;
      if (!entry?.startsWith(start)) return undefined;
      try {
        const metadata = JSON.parse(entry.slice(start.length)) as Metadata;
        kept.push(`${name}\t${entry}`);
        return metadata;
      } catch {
        return undefined;
      }
    },
    add(name, stats, metadata) {
      const isSettled = Math.max(stats.mtimeMs, stats.ctimeMs) < now() - settledMs;
      if (!isUsable || !isSettled) return;
      added += 1;
      kept.push(`${name}\t${keyOf(stats)}\t${JSON.stringify(metadata)}`);
    },
    save() {
      const isWorthIt = added >= Math.max(worthWriting, kept.length / 20);
      if (isWorthIt) write(join(place, fileName), [head, ...kept].join('\n'));
    },
  };
}

function keyOf({ ino, size, mtimeMs, ctimeMs }: Stats): string {
  return `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
}

/** The key and the JSON of each name. */
function readEntries(path: string): Map<string, string> {
  if (!isOwn(path, 'file')) return new Map();
  try {
    const [first, ...lines] = readFileSync(path, 'utf8').split('\n');
    if (first !== head) return new Map();
    return new Map(
      lines.map((line) => {
        const tab = line.indexOf('\t');
        return [line.slice(0, tab), line.slice(tab + 1)];
      }),
    );
  } catch {
    return new Map();
  }
}

/** Whole or not at all; where two write at once, one does. */
function write(path: string, text: string): void {
  const partial = `${path}.partial`;
  try {
    writeFileSync(partial, text, { mode: 0o600, flag: 'wx' });
    renameSync(partial, path);
  } catch {
    removeStale(partial);
  }
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
