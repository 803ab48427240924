// The overview as it was when it was last made, so that `list` need not look at ten thousand files to show a hundred. It
// counts only while the directory is the one that was read (a backup that comes, goes, or gets other metadata changes it),
// and while each file that is shown, or that is no whole backup, is the one that was looked at. What is not shown is not
// looked at; a day later everything is. Where something has just changed, and where a file system might not tell of a
// change, nothing is remembered. It serves eyes only: whatever decides makes a listing.
import { type Stats, statfsSync, statSync } from 'node:fs';
import { version } from '../version.ts';
import { asBackup, type Backup, type Leftover, type Listing, type Looked } from './listing.ts';
import { worthCaching } from './listing-cache.ts';
import type { Metadata } from './metadata.ts';
import { archiveOf, metadataNameOf } from './naming.ts';
import type { Overview } from './overview.ts';
import { isSettled, keyOf, readCache, writeCache } from './own-cache.ts';

interface Remembered {
  readonly atMs: number;
  /** Names and keys, without the directory's. */
  readonly files: readonly (readonly [string, string])[];
  readonly stores: readonly {
    readonly store: string;
    readonly backups: readonly (readonly [reference: string, stem: string, metadata: Metadata])[];
    readonly others?: { readonly count: number; readonly oldestMs: number };
  }[];
  readonly leftovers: readonly Leftover[];
}

const fileName = 'overview.cache';
const head = `pkbackup ${version} overview`;
const longestMs = 24 * 3600 * 1000;

/**
 * Of this machine's own disks, whose directories get a new time with every name: ext2 to ext4, XFS, Btrfs, F2FS, bcachefs,
 * ZFS, tmpfs, overlayfs. FAT has times of two seconds and Windows keeps none for its directories; network file systems may
 * be changed, and their clock set, by another machine.
 */
const tellsOfChanges = new Set([
  0xef53, 0x58465342, 0x9123683e, 0xf2f52010, 0xca451a4e, 0x2fc12fc1, 0x01021994, 0x794c7630,
]);

/** Whether the directory has the names that the remembered overview was made from: no partial file is among them. */
export function hasKnownNames(directory: string): boolean {
  return readRemembered(directory) !== undefined;
}

export function recallOverview(directory: string): Overview | undefined {
  const text = readRemembered(directory);
  if (text === undefined) return undefined;
  try {
    const { atMs, files, stores, leftovers } = JSON.parse(text) as Remembered;
    const ageMs = Date.now() - atMs;
    if (ageMs < 0 || ageMs > longestMs) return undefined;
    if (!files.every(([name, key]) => keyIn(directory, name) === key)) return undefined;
    return {
      stores: stores.map(({ store, backups, others }) => ({
        store,
        backups: backups.map(([reference, stem, metadata]) => {
          return { reference, backup: asBackup(directory, stem, metadata) };
        }),
        ...(others && { others: { count: others.count, oldest: new Date(others.oldestMs) } }),
      })),
      leftovers,
      old: [],
    };
  } catch {
    return undefined;
  }
}

/** `overview` is what is shown of `listing`, for which `looked` was filled. */
export function rememberOverview(overview: Overview, listing: Listing, looked: Looked): void {
  const { directory } = listing;
  const isPlain =
    listing.backups.length >= worthCaching &&
    overview.old.length === 0 &&
    overview.leftovers.every(({ state }) => state !== 'unfinished');
  if (!isPlain || !isOnOwnDisk(directory)) return;
  const files = keysOf(shownFiles(overview, listing, looked), looked.sinceMs);
  const key = files?.get('.');
  if (files === undefined || key === undefined) return;
  files.delete('.');
  const remembered: Remembered = {
    atMs: looked.sinceMs,
    files: [...files],
    stores: overview.stores.map(({ store, backups, others }) => ({
      store,
      // Samples can be long, and nobody looks at them.
      backups: backups.map(({ reference, backup: { stem, metadata } }) => {
        return [reference, stem, { ...metadata, samples: undefined }] as const;
      }),
      ...(others && { others: { count: others.count, oldestMs: others.oldest.getTime() } }),
    })),
    leftovers: overview.leftovers,
  };
  writeCache(directory, fileName, [head, key, JSON.stringify(remembered)]);
}

function readRemembered(directory: string): string | undefined {
  const text = readCache(directory, fileName, head);
  const key = text === undefined ? undefined : keyIn(directory, '.');
  return key !== undefined && text?.startsWith(`${key}\n`) ? text.slice(key.length + 1) : undefined;
}

function keyIn(directory: string, name: string): string | undefined {
  const stats = statSync(`${directory}/${name}`, { throwIfNoEntry: false });
  return stats && keyOf(stats);
}

/** All that was looked at, but for backups that are not shown. */
function shownFiles(overview: Overview, listing: Listing, { files }: Looked): Map<string, Stats | undefined> {
  const shown = new Set(
    overview.stores.flatMap(({ backups }) => backups.flatMap(({ backup }) => filesOf(backup))),
  );
  const left = new Map(files);
  for (const name of listing.backups.flatMap(filesOf)) if (!shown.has(name)) left.delete(name);
  return left;
}

function filesOf({ stem, metadata }: Backup): string[] {
  return [metadataNameOf(stem), archiveOf(stem, metadata.backup_file)];
}

/** Undefined where one of them has just changed. */
function keysOf(files: Map<string, Stats | undefined>, atMs: number): Map<string, string> | undefined {
  const keys = new Map<string, string>();
  for (const [name, stats] of files) {
    if (stats === undefined || !isSettled(stats, atMs)) return undefined;
    keys.set(name, keyOf(stats));
  }
  return keys;
}

function isOnOwnDisk(directory: string): boolean {
  try {
    return tellsOfChanges.has(statfsSync(directory).type);
  } catch {
    return false;
  }
}
