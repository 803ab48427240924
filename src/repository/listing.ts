// What is in a repository. A backup counts when its metadata, its archive and the archive's length agree; everything else
// is said: leftovers, unreadable metadata, files of other origin. A directory that cannot be read is an error, never an
// empty repository: retention stands on this list.
import { readdirSync, readFileSync, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import { basename } from 'node:path/posix';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { asPkbackupError, messageOf, systemCodeOf } from '../errors.ts';
import type { Remembered } from '../legacy/index.ts';
import { isKnownDamaged } from './checks.ts';
import { type ListingCache, openListingCache } from './listing-cache.ts';
import type { Metadata } from './metadata.ts';
import { archiveOf, isArchiveOf, isPartialName, metadataSuffix, parseArchiveName } from './naming.ts';
import {
  findOldBackups,
  hasRuns,
  isOurs,
  type KnownStore,
  namesBelow,
  type OldBackup,
} from './old-backups.ts';

export interface Backup {
  readonly stem: string;
  readonly store: string;
  /** Path of the archive. */
  readonly path: string;
  readonly createdAt: Date;
  /** By what its checks found; that the file has its length is seen to before it is listed. */
  readonly isDamaged: boolean;
  readonly metadata: Metadata;
}

/** Something in the repository that is no whole backup, and why. */
export interface Leftover {
  /** Of the file, in the repository's directory. */
  readonly name: string;
  readonly reason: string;
  /** `damaged` was a backup once; `unfinished` never was one; `foreign` came from elsewhere. */
  readonly state: 'damaged' | 'unfinished' | 'foreign';
}

export interface Listing {
  readonly directory: string;
  /** Newest first; of one moment, the later name first. */
  readonly backups: readonly Backup[];
  readonly leftovers: readonly Leftover[];
  /** What older scripts made, newest first. Nothing removes it until it was adopted. */
  readonly old: readonly OldBackup[];
}

export interface ListOptions {
  /** In the directory, where somebody has just read them. */
  readonly names?: readonly string[] | undefined;
  /** For the names of the stores that old files belong to. */
  readonly stores?: readonly KnownStore[] | undefined;
  /** Of old files, from one listing to the next. */
  readonly remembered?: Map<string, Remembered> | undefined;
  /** Gets everything that the listing is made from. */
  readonly looked?: Looked | undefined;
}

/** What a listing was made from. */
export interface Looked {
  /** Nothing was looked at before. */
  readonly sinceMs: number;
  /** By name, `.` for the directory, as it was before it was read; undefined where that tells nothing of a change. */
  readonly files: Map<string, Stats | undefined>;
}

/** So many are looked at before signals and timers have their turn. */
const readAtOnce = 250;

/** Throws where the directory cannot be read; a directory that is not there yet holds nothing. */
export async function listBackups(
  directory: string,
  { looked, names: inDirectory = readNames(directory, looked), stores = [], remembered }: ListOptions = {},
): Promise<Listing> {
  const names = [...inDirectory, ...(await namesBelow(directory, inDirectory))];
  const present = new Set(names);
  const leftovers: Leftover[] = [];
  const backups: Backup[] = [];
  const cache = openListingCache(directory);
  const metadataNames = names.filter(
    (name) => name.endsWith(metadataSuffix) && !isHidden(name) && !isOfAdopted(name, present),
  );
  for (const [index, name] of metadataNames.entries()) {
    if (index % readAtOnce === readAtOnce - 1) await nextTurn();
    const found = await readBackup(directory, name, present, { cache, looked });
    if ('reason' in found) leftovers.push(found);
    else backups.push(found);
  }
  cache.save();
  const known = new Set(backups.map(({ stem, metadata }) => archiveOf(stem, metadata.backup_file)));
  for (const { name } of leftovers) known.add(name);
  if (looked) lookAtOthers(directory, names, known, looked);
  const old = await findOldBackups(directory, { names, taken: known, stores, remembered });
  const ofOld = new Set(old.flatMap(({ name, sidecars }) => [name, ...sidecars]));
  for (const name of names) {
    const leftover = known.has(name) || ofOld.has(name) ? undefined : asLeftover(name, present);
    if (leftover !== undefined) leftovers.push(leftover);
  }
  backups.sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime() || (a.stem < b.stem ? 1 : -1));
  return { directory, backups, leftovers: leftovers.filter(({ name }) => !ofOld.has(name)), old };
}

/** A script wrote it, and the file that it is of has metadata of ours. */
function isOfAdopted(name: string, present: ReadonlySet<string>): boolean {
  const stem = name.slice(0, -metadataSuffix.length);
  return present.has(`${stem}.tar.gz${metadataSuffix}`) && !present.has(`${stem}.tar.zst`);
}

const isHidden = (name: string) => basename(name).startsWith('.');

export function readNames(directory: string, looked?: Looked): string[] {
  try {
    if (looked) look(directory, '.', looked);
    return readdirSync(directory).sort();
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return [];
    throw asPkbackupError(error, 'failed', `the repository "${directory}" cannot be read`);
  }
}

interface Reading {
  readonly cache: ListingCache;
  readonly looked: Looked | undefined;
}

/** MUST come before what it says is read. */
function look(directory: string, name: string, looked: Looked | undefined): Stats {
  looked?.files.set(name, undefined);
  const stats = statSync(join(directory, name));
  looked?.files.set(name, stats);
  return stats;
}

/** What is no backup of ours could become one of the scripts'. */
function lookAtOthers(
  directory: string,
  names: readonly string[],
  known: ReadonlySet<string>,
  looked: Looked,
): void {
  if (hasRuns(names)) looked.files.set('.', undefined);
  for (const name of names) {
    if (known.has(name) || isOurs(name)) continue;
    try {
      look(directory, name, looked);
    } catch {
      // A link that leads nowhere: so it is noted.
    }
  }
}

async function readBackup(
  directory: string,
  name: string,
  present: ReadonlySet<string>,
  { cache, looked }: Reading,
): Promise<Backup | Leftover> {
  try {
    const metadata = await readMetadata(directory, name, { cache, looked });
    const archive = metadata.backup_file;
    const stem = name.slice(0, -metadataSuffix.length);
    if (!isArchiveOf(stem, archive)) {
      return { name, reason: `it names the archive of another backup, "${archive}"`, state: 'damaged' };
    }
    const path = archiveOf(stem, archive);
    if (!present.has(path)) {
      return { name, reason: `its archive "${archive}" is not here`, state: 'damaged' };
    }
    const { size } = look(directory, path, looked);
    if (size !== metadata.size_bytes) {
      const reason = `it has ${size} bytes, its metadata says ${metadata.size_bytes}`;
      return { name: path, reason, state: 'damaged' };
    }
    return asBackup(directory, stem, metadata);
  } catch (error) {
    return { name, reason: messageOf(error), state: 'damaged' };
  }
}

/** What the metadata says; whether the archive is whole is for the caller to see. */
export function asBackup(directory: string, stem: string, metadata: Metadata): Backup {
  return {
    stem,
    store: metadata.store,
    path: join(directory, archiveOf(stem, metadata.backup_file)),
    createdAt: new Date(metadata.created_at),
    isDamaged: isKnownDamaged(metadata.checks),
    metadata,
  };
}

async function readMetadata(directory: string, name: string, { cache, looked }: Reading): Promise<Metadata> {
  const path = join(directory, name);
  const stats = look(directory, name, looked);
  const cached = cache.get(name, stats);
  if (cached !== undefined) return cached;
  const { parseMetadata } = await loadParser();
  const metadata = parseMetadata(readFileSync(path, 'utf8'), name);
  cache.add(name, stats, metadata);
  return metadata;
}

/** Only where something must be parsed: the schemas take longer to load than a small repository to list. */
function loadParser(): Promise<typeof import('./metadata.ts')> {
  parser ??= import('./metadata.ts');
  return parser;
}
let parser: ReturnType<typeof loadParser> | undefined;

function asLeftover(name: string, present: ReadonlySet<string>): Leftover | undefined {
  if (isPartialName(basename(name))) return { name, reason: 'it was never finished', state: 'unfinished' };
  const parsed = parseArchiveName(name);
  if (!parsed || present.has(`${parsed.stem}${metadataSuffix}`)) return undefined;
  return { name, reason: 'it has no metadata', state: 'foreign' };
}
