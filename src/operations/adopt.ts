// pkbackup adopt: files of the replaced scripts become backups like any other. All of each is read first, because what is
// listed is whole; then it gets metadata, and a checksum file where it has none. Not a byte of it is touched, and no name.
import type { Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname, isAbsolute, relative, resolve, sep } from 'node:path';
import { asPkbackupError, PkbackupError } from '../errors.ts';
import type { Listing, OldBackup, Repository } from '../repository/index.ts';
import { inspectArchive } from './inspect-archive.ts';
import type { Run } from './run.ts';

export interface AdoptOptions {
  /** Directories and files; the repository where there is none. */
  readonly paths: readonly string[];
  /** The store that they are of, instead of what they are taken for. */
  readonly store?: string;
  readonly dryRun: boolean;
  /** For directories other than the repository. */
  readonly open: (directory: string) => Repository;
  readonly now?: Date;
}

export interface AdoptResult {
  readonly dryRun: boolean;
  /** In the order in which they were looked at. */
  readonly files: readonly AdoptedFile[];
}

export interface AdoptedFile {
  readonly name: string;
  readonly path: string;
  readonly what: string;
  readonly sizeBytes: number;
  /** As which it was adopted, or would be. */
  readonly store?: string;
  /** Why it was not. */
  readonly reason?: string;
  readonly hint?: string;
  readonly isDamaged?: boolean;
}

interface Candidate {
  readonly repository: Repository;
  readonly old: OldBackup;
}

export async function adopt(run: Run, options: AdoptOptions): Promise<AdoptResult> {
  const candidates = await candidatesFor(run, options);
  refuseSeveralKinds(candidates, options.store);
  const files: AdoptedFile[] = [];
  for (const candidate of candidates) files.push(await adoptOne(run, candidate, options));
  return { dryRun: options.dryRun, files };
}

/** Takes away again what `adopt` has made, for those that are not pruned. */
export async function disown(run: Run, options: AdoptOptions): Promise<AdoptResult> {
  const files: AdoptedFile[] = [];
  for (const { repository, isWanted, listing } of await placesFor(run, options)) {
    for (const backup of listing.backups.filter(({ path }) => isWanted(path))) {
      if (backup.metadata.adopted === undefined) continue;
      const { stem: name, path, store, metadata } = backup;
      if (!options.dryRun) await repository.disown(backup, run.signal);
      files.push({ name, path, store, what: 'an adopted file', sizeBytes: metadata.size_bytes });
    }
  }
  return { dryRun: options.dryRun, files };
}

async function candidatesFor(run: Run, options: AdoptOptions): Promise<Candidate[]> {
  const places = await placesFor(run, options);
  return places.flatMap(({ repository, isWanted, listing }) =>
    listing.old.filter(({ path }) => isWanted(path)).map((old) => ({ repository, old })),
  );
}

interface Place {
  readonly repository: Repository;
  readonly listing: Listing;
  readonly isWanted: (path: string) => boolean;
}

/** What lies in the repository is seen from there: directories of runs are no repositories of their own. */
async function placesFor(run: Run, { paths, open }: AdoptOptions): Promise<Place[]> {
  if (paths.length === 0) return [{ ...(await listed(run.repository)), isWanted: () => true }];
  const own = await listed(run.repository);
  const places: Place[] = [];
  for (const path of new Set(paths.map((each) => resolve(each)))) {
    const isWanted = (each: string) => isWithin(resolve(each), path);
    if (path === resolve(run.repository.directory) || hasAny(own.listing, isWanted)) {
      places.push({ ...own, isWanted });
      continue;
    }
    const isFile = (await statAt(path)).isFile();
    const other = await listed(open(isFile ? dirname(path) : path));
    if (isFile && !hasAny(other.listing, isWanted)) throw notOld(path);
    places.push({ ...other, isWanted });
  }
  return places;
}

async function listed(repository: Repository): Promise<Omit<Place, 'isWanted'>> {
  return { repository, listing: await repository.list() };
}

function hasAny({ backups, old }: Listing, isWanted: Place['isWanted']): boolean {
  return backups.some(({ path }) => isWanted(path)) || old.some(({ path }) => isWanted(path));
}

function isWithin(path: string, directory: string): boolean {
  const below = relative(directory, path);
  return below !== '..' && !below.startsWith(`..${sep}`) && !isAbsolute(below);
}

async function statAt(path: string): Promise<Stats> {
  return stat(path).catch((error: unknown) => {
    throw asPkbackupError(error, 'not_found', `there is nothing at "${path}"`);
  });
}

async function adoptOne(
  run: Run,
  { repository, old }: Candidate,
  options: AdoptOptions,
): Promise<AdoptedFile> {
  const { name, path, what, sizeBytes, backup, listed, isOfScripts } = old;
  const file = { name, path, what, sizeBytes };
  if (!backup) {
    const { reason = 'nothing can be restored from it', hint, isDamaged } = listed ?? {};
    return { ...file, reason, ...(hint && { hint }), ...(isDamaged && { isDamaged }) };
  }
  if (!isOfScripts && options.paths.every((each) => resolve(each) !== path)) return { ...file, ...notTheirs };
  const store = options.store ?? backup.store;
  if (options.dryRun) return { ...file, store };
  const { kind } = backup.metadata;
  run.emit({ type: 'started', store, kind, operation: 'verify', backup: name });
  const { findings, sha256 } = await inspectArchive(run, backup, 'archive');
  const [finding] = findings;
  run.emit({ type: 'ended', store, ok: finding === undefined, ...(finding && { message: finding }) });
  if (finding !== undefined || sha256 === undefined) {
    return { ...file, reason: findings.join('; '), hint: 'take another one', isDamaged: true };
  }
  const now = options.now ?? new Date();
  const check = { at: now.toISOString(), level: 'archive', ok: true } as const;
  await repository.adopt(backup, { store, sha256, check, now, signal: run.signal });
  return { ...file, store };
}

/** A database that lies there may be somebody's live one: retention is not for it. */
const notTheirs = {
  reason: 'its name is none that the scripts gave',
  hint: 'name the file itself to adopt it all the same',
};

function refuseSeveralKinds(candidates: readonly Candidate[], store: string | undefined): void {
  if (store === undefined) return;
  const kinds = [...new Set(candidates.flatMap(({ old }) => old.backup?.metadata.kind ?? []))];
  if (kinds.length <= 1) return;
  throw new PkbackupError(
    'usage',
    `--store ${store}: there are files of several kinds: ${kinds.join(', ')}`,
    {
      hint: 'name the files that are of this store',
    },
  );
}

function notOld(path: string): PkbackupError {
  return new PkbackupError('not_found', `"${path}" is nothing that the older scripts made`, {
    hint: 'docs/migrating.md says what they made',
  });
}
