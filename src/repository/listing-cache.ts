// What the metadata files said when they were last read, so that a listing of ten thousand need not open them all. It saves
// work and decides nothing: an entry counts only for the very file that was read (the same inode, length and times), and
// archives are looked at anew each time. Files that have just changed are not kept.
import type { Stats } from 'node:fs';
import { version } from '../version.ts';
import type { Metadata } from './metadata.ts';
import { canCache, isSettled, keyOf, readCache, writeCache } from './own-cache.ts';

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
export const worthCaching = 100;

export function openListingCache(directory: string, now = Date.now): ListingCache {
  const isUsable = canCache(directory);
  const known = entriesOf(readCache(directory, fileName, head));
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
      if (!isUsable || !isSettled(stats, now())) return;
      added += 1;
      kept.push(`${name}\t${keyOf(stats)}\t${JSON.stringify(metadata)}`);
    },
    save() {
      const isWorthIt = added >= Math.max(worthCaching, kept.length / 20);
      if (isWorthIt) writeCache(directory, fileName, [head, ...kept]);
    },
  };
}

/** The key and the JSON of each name. */
function entriesOf(text: string | undefined): Map<string, string> {
  const entries = new Map<string, string>();
  for (const line of text?.split('\n') ?? []) {
    const tab = line.indexOf('\t');
    entries.set(line.slice(0, tab), line.slice(tab + 1));
  }
  return entries;
}
