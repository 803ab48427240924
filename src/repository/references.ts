// How people name a backup: a path, a stem or file name, STORE@latest, STORE@2 (the one before the newest),
// STORE@pre-restore (the newest safety backup), or a set id.
import { stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { PkbackupError } from '../errors.ts';
import type { Listed } from '../legacy/index.ts';
import { type Backup, type Leftover, type Listing, listBackups } from './listing.ts';
import type { OldBackup } from './old-backups.ts';

/** A file that is not listed as a backup: it can be checked, but says nothing of itself. */
export interface LooseArchive {
  readonly path: string;
  readonly metadata?: undefined;
  /** Of an older script, and nothing can be restored from it. */
  readonly listed?: Listed;
  /** Why it is not listed, where it was a backup once. */
  readonly problem?: string;
}

/** The backups that `reference` names: several for a set id, else one; throws `not_found`. */
export async function findBackups(
  reference: string,
  listing: Listing,
): Promise<readonly (Backup | LooseArchive)[]> {
  const byStem = listing.backups.filter(
    (backup) => backup.stem === reference || basename(backup.path) === reference,
  );
  if (byStem.length > 0) return byStem;
  const old = listing.old.filter(({ name }) => isNamed(name, reference));
  if (old.length > 0) return old.map(targetOf);
  const known = [...listing.backups, ...listing.old.flatMap(({ backup }) => backup ?? [])];
  const ofSet = known.filter((backup) => backup.metadata.set_id === reference);
  if (ofSet.length > 0) return ofSet;
  const damaged = listing.leftovers.filter(
    ({ name, state }) => state === 'damaged' && (name === reference || name.startsWith(`${reference}.`)),
  );
  if (damaged.length > 0) return damaged.map((leftover) => looseOf(listing.directory, leftover));
  const at = /^(?<store>.+)@(?<which>latest|pre-restore|[1-9]\d*)$/.exec(reference)?.groups;
  if (at?.store && at.which) return [byRank(at.store, at.which, listing)];
  const file = await byPath(reference);
  if (file) return [file];
  throw notFound(reference, listing);
}

/** By its name, with the directories before it or without, and by that without its ending. */
function isNamed(name: string, reference: string): boolean {
  return name === reference || basename(name) === reference || name === `${reference}.tar.gz`;
}

/** What is verified, or restored, of a file of an older script. */
export function targetOf({ path, backup, listed }: OldBackup): Backup | LooseArchive {
  return backup ?? { path, ...(listed && { listed }) };
}

/** `@1` for the newest of a store, and so on; undefined for safety backups, which are not counted. */
export function ranksOf(listing: Listing): ReadonlyMap<Backup, number> {
  const counted = new Map<string, number>();
  const ranks = new Map<Backup, number>();
  for (const backup of listing.backups) {
    if (backup.metadata.safety) continue;
    const rank = (counted.get(backup.store) ?? 0) + 1;
    counted.set(backup.store, rank);
    ranks.set(backup, rank);
  }
  return ranks;
}

function byRank(store: string, which: string, listing: Listing): Backup {
  const isSafety = which === 'pre-restore';
  const ofStore = listing.backups.filter(
    (backup) => backup.store === store && (backup.metadata.safety ?? false) === isSafety,
  );
  const backup = ofStore[which === 'latest' || isSafety ? 0 : Number(which) - 1];
  if (backup) return backup;
  const has = ofStore.length === 0 ? 'no backup' : `${ofStore.length} (@1 is the newest)`;
  throw new PkbackupError('not_found', `there is no backup "${store}@${which}": the store has ${has}`, {
    hint: 'pkbackup list shows what there is',
  });
}

async function byPath(reference: string): Promise<Backup | LooseArchive | undefined> {
  const path = resolve(reference);
  try {
    if (!(await stat(path)).isFile()) return undefined;
  } catch {
    return undefined;
  }
  const { backups, leftovers, old } = await listBackups(dirname(path));
  const ofScripts = old.find((each) => each.path === path);
  if (ofScripts) return targetOf(ofScripts);
  const leftover = leftovers.find(({ name, state }) => name === basename(path) && state === 'damaged');
  return (
    backups.find((backup) => backup.path === path) ?? (leftover ? looseOf(dirname(path), leftover) : { path })
  );
}

/** The file of a leftover, to be checked. */
export function looseOf(directory: string, { name, reason }: Leftover): LooseArchive {
  return { path: join(directory, name), problem: reason };
}

function notFound(reference: string, listing: Listing): PkbackupError {
  const stores = [...new Set(listing.backups.map((backup) => backup.store))].sort();
  const known = stores.length === 0 ? 'the repository has none' : `there are backups of ${stores.join(', ')}`;
  return new PkbackupError('not_found', `there is no backup "${reference}": ${known}`, {
    hint: 'name a file, a stem, STORE@latest, STORE@2 or a set id; pkbackup list shows them',
  });
}
