import { mkdir, readFile, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { asPkbackupError, PkbackupError } from '../errors.ts';
import type { Remembered } from '../legacy/index.ts';
import type { Compression } from '../words.ts';
import type { Adoption } from './adopt.ts';
import { withNewest } from './checks.ts';
import { writeDurably } from './durable.ts';
import { type Healed, heal, settlePartials } from './heal.ts';
import { type JournalFiles, journalFilesIn } from './journal-files.ts';
import { type Backup, type Listing, listBackups, readNames } from './listing.ts';
import type { ManifestFiles } from './manifest.ts';
import type { Check, Metadata } from './metadata.ts';
import { directoryOf, metadataNameOf } from './naming.ts';
import { isUnadopted, type KnownStore } from './old-backups.ts';
import type { OutcomeFiles } from './outcomes.ts';
import type { Publication } from './publish.ts';
import type { Remains } from './remains.ts';
import { makeScratch } from './scratch.ts';
import type { TrashedBackup } from './trash.ts';
import { asNotWritable } from './writable.ts';

export type { Adoption } from './adopt.ts';
export type { CheckLevel } from './checks.ts';
export type { DrillRecord } from './drill-record.ts';
export type { GuardRecord, GuardStep, RollbackMode } from './guard-record.ts';
export type { Healed } from './heal.ts';
export type { Backup, Leftover, Listing } from './listing.ts';
export type { Manifest, ManifestFiles } from './manifest.ts';
export type { Check, Metadata } from './metadata.ts';
export {
  assertStoreName,
  checksumNameOf,
  isStoreName,
  journalNameOf,
  metadataNameOf,
  setIdOf,
  stemOf,
  storeOfJournal,
} from './naming.ts';
export { isUnadopted, type KnownStore, type OldBackup } from './old-backups.ts';
export type { Outcome, OutcomeFiles } from './outcomes.ts';
export type { Publication } from './publish.ts';
export { findBackups, type LooseArchive, looseOf, ranksOf, targetOf } from './references.ts';
export type { Remains } from './remains.ts';
export type { RestoreRecord, RestoreStep } from './restore-record.ts';
export type { TrashedBackup } from './trash.ts';

/** Of the metadata that this version writes. */
export const schemaVersion = 1;
/** How long a pruned backup can be brought back. */
export const trashGraceMs = 7 * 24 * 3600 * 1000;

export interface Space {
  readonly totalBytes: number;
  /** For this user. */
  readonly freeBytes: number;
  /** As `df` counts: of what this user could have. */
  readonly usedPercent: number;
}

export interface Repository {
  readonly directory: string;
  list(): Promise<Listing>;
  /** Free bytes for this user, where the system says so. */
  freeBytes(): Promise<number | undefined>;
  /** Of the disk that it is on, where the system says so. */
  space(): Promise<Space | undefined>;
  /** What dead runs have left; touches nothing. */
  remains(): Promise<Remains>;
  /** Throws `failed` where this user cannot write to it; touches nothing. */
  assertWritable(): Promise<void>;
  /** Holds the lock of a store until it is disposed of; throws `locked`. */
  lock(
    store: string,
    options: { command: string; waitMs?: number; signal: AbortSignal },
  ): Promise<AsyncDisposable>;
  begin(store: string, pinnedAt: Date, compression: Compression): Promise<Publication>;
  /** Adds a check to a backup's metadata, where it has any. */
  recordCheck(backup: Backup, check: Check, signal: AbortSignal): Promise<void>;
  /** Changes what its metadata says: pins. */
  setPinned(backup: Backup, pinned: string | boolean, signal: AbortSignal): Promise<void>;
  /** A file of a script gets metadata, and a checksum file where it has none; not a byte of it is touched. */
  adopt(backup: Backup, adoption: Adoption): Promise<void>;
  /** Takes away what `adopt` has made. */
  disown(backup: Backup, signal: AbortSignal): Promise<void>;
  readonly trash: Trash;
  readonly journal: JournalFiles;
  /** Of sets. */
  readonly manifests: ManifestFiles;
  /** Of the last runs. */
  readonly outcomes: OutcomeFiles;
  /** Finishes or removes what a dead run has left of publishing; needs the store's lock. */
  settle(store: string, options: { readonly signal: AbortSignal }): Promise<void>;
  /** Finishes or removes what dead runs have left; what a living one holds is not touched. */
  heal(options: { readonly dryRun?: boolean; readonly signal: AbortSignal }): Promise<Healed[]>;
  /** A private directory, here where that is possible, removed when it is disposed of. */
  makeScratch(): Promise<{ path: string } & AsyncDisposable>;
}

/** Pruned backups; all but `list` need the store's lock. */
export interface Trash {
  list(): Promise<readonly TrashedBackup[]>;
  add(backup: Backup, now: Date): Promise<void>;
  bringBack(trashed: TrashedBackup): Promise<void>;
  /** For good. */
  remove(trashed: TrashedBackup): Promise<void>;
  /** Ends what a crash left half done. */
  settle(store: string): Promise<void>;
}

/** A check is worth waiting for, but not for the whole of another run. */
const changeWaitMs = 10_000;
const freshMs = 100;

/**
 * Nothing is touched until something is written. What only some commands need (the schemas, SQLite for the locks) is loaded
 * when it is used: every command opens a repository, and `list` is over in the time that loading all of it takes.
 */
export function openRepository(
  directory: string,
  { stores }: { readonly stores?: readonly KnownStore[] } = {},
): Repository {
  // Every command heals and most list right after it: the names are read once. What changes them takes a lock.
  let justRead: { readonly names: string[]; readonly atMs: number } | undefined;
  const remembered = new Map<string, Remembered>();
  return {
    directory,
    async list() {
      const isFresh = justRead !== undefined && performance.now() - justRead.atMs < freshMs;
      const names = isFresh ? justRead?.names : undefined;
      justRead = undefined;
      return listBackups(directory, { names, stores, remembered });
    },
    freeBytes: async () => (await spaceAt(directory))?.freeBytes,
    space: () => spaceAt(directory),
    remains: async () => (await import('./remains.ts')).findRemains(directory),
    assertWritable: async () => (await import('./writable.ts')).assertCanWrite(directory),
    async lock(store, options) {
      justRead = undefined;
      await makeDirectory(directory);
      const { takeLock } = await import('./lock.ts');
      return takeLock(directory, store, options);
    },
    async begin(store, pinnedAt, compression) {
      await makeDirectory(directory);
      const { beginPublication } = await import('./publish.ts');
      return beginPublication(directory, store, pinnedAt, compression);
    },
    recordCheck: async (backup, check, signal) => {
      if (isUnadopted(backup)) return;
      await changeMetadata(backup, signal, (metadata) => {
        return { ...metadata, checks: withNewest([...metadata.checks, check]) };
      });
    },
    setPinned: (backup, pinned, signal) =>
      changeMetadata(backup, signal, (metadata) => ({ ...metadata, pinned })),
    adopt: async (backup, adoption) => (await import('./adopt.ts')).adopt(directory, backup, adoption),
    disown: async (backup, signal) => (await import('./adopt.ts')).disown(directory, backup, signal),
    trash: trashOf(directory),
    journal: journalFilesIn(directory),
    manifests: manifestsOf(directory),
    outcomes: outcomesOf(directory),
    settle: (store, options) => settlePartials(directory, store, options),
    async heal(options) {
      const names = readNames(directory);
      const healed = await heal(directory, names, options);
      justRead = healed.length === 0 ? { names, atMs: performance.now() } : undefined;
      return healed;
    },
    makeScratch: () => makeScratch(directory),
  };
}

function trashOf(directory: string): Trash {
  const open = () => import('./trash.ts');
  return {
    list: async () => (await open()).listTrash(directory),
    add: async (backup, now) => (await open()).moveToTrash(directory, backup, now),
    bringBack: async (trashed) => (await open()).undelete(directory, trashed),
    remove: async (trashed) => (await open()).removeFromTrash(directory, trashed),
    settle: async (store) => (await open()).settleTrash(directory, store),
  };
}

function manifestsOf(directory: string): ManifestFiles {
  const open = async () => (await import('./manifest.ts')).manifestFilesIn(directory);
  return {
    write: async (manifest) => (await open()).write(manifest),
    read: async (setId) => (await open()).read(setId),
    ids: async () => (await open()).ids(),
    remove: async (setId) => (await open()).remove(setId),
  };
}

function outcomesOf(directory: string): OutcomeFiles {
  const open = async () => (await import('./outcomes.ts')).outcomeFilesIn(directory);
  return {
    read: async (key) => (await open()).read(key),
    ofStores: async (operation) => (await open()).ofStores(operation),
    write: async (key, outcome) => (await open()).write(key, outcome),
  };
}

/** Under the lock of the store in the directory where the backup lies: two changes at once would lose one. */
async function changeMetadata(
  backup: Backup,
  signal: AbortSignal,
  change: (metadata: Metadata) => Metadata,
): Promise<void> {
  if (isUnadopted(backup)) throw notAdopted(backup);
  const [{ takeLock }, { formatMetadata, parseMetadata }] = await Promise.all([
    import('./lock.ts'),
    import('./metadata.ts'),
  ]);
  const directory = directoryOf(backup);
  const options = { command: 'pkbackup', waitMs: changeWaitMs, signal };
  await using _lock = await takeLock(directory, backup.store, options);
  const name = metadataNameOf(backup.stem);
  const path = join(directory, name);
  await writeDurably(path, formatMetadata(change(parseMetadata(await readFile(path, 'utf8'), name))));
}

function notAdopted({ stem }: Backup): PkbackupError {
  return new PkbackupError('bad_backup', `"${stem}" was made by an older script, and has no metadata`, {
    hint: 'pkbackup adopt gives it some',
  });
}

async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw asPkbackupError(asNotWritable(path, error), 'failed', `the directory "${path}" cannot be made`);
  }
}

async function spaceAt(path: string): Promise<Space | undefined> {
  try {
    const { blocks, bavail, bfree, bsize } = await statfs(path);
    const used = blocks - bfree;
    const mine = used + bavail;
    const usedPercent = mine > 0 ? (100 * used) / mine : 0;
    return { totalBytes: blocks * bsize, freeBytes: bavail * bsize, usedPercent };
  } catch {
    return undefined;
  }
}
