// Files of the replaced scripts as backups, so that whoever verifies or restores one need not know. They count for nothing
// until they are adopted: then a metadata file lies beside them, as beside any other backup.
import { basename } from 'node:path/posix';
import { onlyIn } from '../legacy/forms.ts';
import type { Listed, OldFile, Remembered } from '../legacy/index.ts';
import type { Kind } from '../words.ts';
import type { Backup } from './listing.ts';
import type { Metadata } from './metadata.ts';

export interface KnownStore {
  readonly name: string;
  readonly kind: Kind;
}

export interface OldBackup {
  /** Below the repository's directory, with `/`; it is the stem too. */
  readonly name: string;
  readonly path: string;
  /** `a ChromaDB volume` */
  readonly what: string;
  readonly createdAt: Date;
  readonly sizeBytes: number;
  /** Files of the scripts that belong to it. */
  readonly sidecars: readonly string[];
  readonly notes: readonly string[];
  /** What it can be verified and restored as; undefined where nothing can be restored from it. */
  readonly backup?: Backup;
  /** Its name, or what lies beside it, says that a script made it. */
  readonly isOfScripts: boolean;
  /** Why it cannot be restored. */
  readonly listed?: Listed;
}

/** The unified scripts have a directory for each run, named by the time, and one around these for each store. */
const mayHaveRuns = /^(neo4j|sqlite|chromadb|unified|\d{8}_\d{6})$/;

export function hasRuns(names: readonly string[]): boolean {
  return names.some((name) => mayHaveRuns.test(name));
}

/** Names in such directories: `neo4j/20251201_020000/neo4j.dump.gz`. */
export async function namesBelow(directory: string, names: readonly string[]): Promise<string[]> {
  if (!hasRuns(names)) return [];
  return (await import('../legacy/index.ts')).namesInRuns(directory, names);
}

/** Nothing is loaded where nothing is left to be looked at. */
export async function findOldBackups(
  directory: string,
  options: {
    readonly names: readonly string[];
    readonly taken: ReadonlySet<string>;
    readonly stores: readonly KnownStore[];
    readonly remembered?: Map<string, Remembered> | undefined;
  },
): Promise<readonly OldBackup[]> {
  const isUnknown = (name: string) => !options.taken.has(name) && !isOurs(name);
  if (!options.names.some(isUnknown)) return [];
  const { findOldFiles } = await import('../legacy/index.ts');
  const { remembered, ...known } = options;
  const files = await findOldFiles(directory, { ...known, ...(remembered && { remembered }) });
  return files.map(asOldBackup).sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime());
}

/** By its name alone: no file of the scripts. */
export function isOurs(name: string): boolean {
  return /\.sha256$|\.metadata\.json$|^\.|^sets$/.test(name);
}

function asOldBackup({ found, ...file }: OldFile): OldBackup {
  if (found.form === undefined) return { ...file, isOfScripts: true, listed: found };
  const { form, kind, store, volume, setId, sha256, hostname, counts, databases, isOfScripts } = found;
  const only = onlyIn(form);
  const metadata: Metadata = {
    schema_version: 1,
    backup_file: basename(file.name),
    created_at: file.createdAt.toISOString(),
    store,
    kind,
    form,
    source: volume === undefined ? {} : { volume },
    size_bytes: file.sizeBytes,
    sha256: sha256 ?? '',
    counts: { ...counts },
    ...(setId !== undefined && { set_id: setId }),
    ...(hostname !== undefined && { hostname }),
    ...(databases !== undefined && { databases: [...databases] }),
    ...(only !== undefined && { only: [...only] }),
    checks: [],
  };
  const { name: stem, path, createdAt } = file;
  return { ...file, isOfScripts, backup: { stem, store, path, createdAt, isDamaged: false, metadata } };
}

/** Files of the scripts that belong to an adopted one, wherever it lies. */
export async function sidecarsOf(
  directory: string,
  stem: string,
  names: readonly string[],
): Promise<readonly string[]> {
  const { readSidecars } = await import('../legacy/index.ts');
  const present = new Set(names);
  return readSidecars(directory, stem, (name) => present.has(name)).names;
}

/** It has no metadata of ours. */
export function isUnadopted({ metadata }: Backup): boolean {
  return metadata.form !== undefined && metadata.adopted === undefined;
}
