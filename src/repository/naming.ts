// Names of files in a repository: made, and read back. Names select and sort; what a backup is, its metadata says.
import { join } from 'node:path';
import { basename, dirname } from 'node:path/posix';
import { PkbackupError } from '../errors.ts';
import type { Compression } from '../words.ts';

const suffixes: Readonly<Record<Compression, string>> = { gzip: '.tar.gz', zstd: '.tar.zst' };
const storeName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;
const windowsDevices = /^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)/i;
const archiveName =
  /^(?<store>.+)-backup-(?<y>\d{4})(?<mo>\d{2})(?<d>\d{2})-(?<h>\d{2})(?<mi>\d{2})(?<s>\d{2})\.tar\.(gz|zst)$/;

/** Names of stores become names of files, on every system: letters, digits, dot, dash and underscore. */
export function isStoreName(name: string): boolean {
  const isGood = storeName.test(name) && !windowsDevices.test(name) && !name.endsWith('.');
  return isGood && !name.includes('-backup-');
}

export function assertStoreName(name: string): void {
  if (isStoreName(name)) return;
  throw new PkbackupError(
    'config',
    `the store name "${name}" cannot be used: expected letters, digits, ".", "-" or "_", starting with a letter or digit, at most 100, not a Windows device, without "-backup-"`,
  );
}

/** `<store>-backup-YYYYMMDD-HHMMSS`, in UTC. */
export function stemOf(store: string, createdAt: Date): string {
  const stamp = createdAt.toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15);
  return `${store}-backup-${stamp}`;
}

export function archiveNameOf(stem: string, compression: Compression): string {
  return `${stem}${suffixes[compression]}`;
}

/** The id of a set: when the run began, in UTC, and what parts two runs of the same second. */
export function setIdOf(startedAt: Date, salt: string): string {
  return `${stemOf('', startedAt).replace('-backup-', '')}-${salt}`;
}

export function checksumNameOf(archive: string): string {
  return `${archive}.sha256`;
}

/** As `sha256sum` writes it. */
export function checksumTextOf(backup: { readonly sha256: string; readonly backup_file: string }): string {
  return `${backup.sha256}  ${backup.backup_file}\n`;
}

export function metadataNameOf(stem: string): string {
  return `${stem}${metadataSuffix}`;
}

export function partialNameOf(name: string): string {
  return `.${name}.partial`;
}

export function isPartialName(name: string): boolean {
  return name.startsWith('.') && name.endsWith('.partial');
}

/**
 * Whether `archive` is the name of the archive of the backup `stem`; a metadata file speaks of no other. The stem of a file
 * that was adopted is its whole name, with the directories before it.
 */
export function isArchiveOf(stem: string, archive: string): boolean {
  return (
    archive === basename(stem) || Object.values(suffixes).some((suffix) => archive === `${stem}${suffix}`)
  );
}

/** The archive of a backup, below the directory of the repository. */
export function archiveOf(stem: string, archive: string): string {
  return dirname(stem) === '.' ? archive : `${dirname(stem)}/${archive}`;
}

/** The directory of the repository that a backup is listed in. */
export function directoryOf({ stem, path }: { readonly stem: string; readonly path: string }): string {
  return join(path, ...stem.split('/').map(() => '..'));
}

export const metadataSuffix = '.metadata.json';

/** Store and stem of a partial file of a backup. */
export function stemOfPartial(name: string): { store: string; stem: string } | undefined {
  if (!isPartialName(name)) return undefined;
  const groups = /^\.(?<stem>(?<store>.+)-backup-\d{8}-\d{6})\..+\.partial$/.exec(name)?.groups;
  return groups?.store && groups.stem ? { store: groups.store, stem: groups.stem } : undefined;
}

/** Of an operation on a store that writes down how far it is; by name the oldest of a store is the first. */
export function journalNameOf(store: string, startedAt: Date, salt: string, suffix: string): string {
  return `${store}-${startedAt.getTime()}-${salt}${suffix}`;
}

/** Undefined where the name has not this form. */
export function storeOfJournal(name: string, suffix: string): string | undefined {
  if (!name.endsWith(suffix)) return undefined;
  return /^(?<store>[^.].*)-\d+-[0-9a-f]{8}$/.exec(name.slice(0, -suffix.length))?.groups?.store;
}

/** The store of what a crash has left of writing a journal. */
export function storeOfPartialJournal(name: string): string | undefined {
  return /^\.(?<store>.+)-\d+-[0-9a-f]{8}\..+\.partial$/.exec(name)?.groups?.store;
}

/** Store and time of an archive's name, if it has the form of one. */
export function parseArchiveName(name: string): { store: string; stem: string; createdAt: Date } | undefined {
  if (!name.endsWith(suffixes.gzip) && !name.endsWith(suffixes.zstd)) return undefined;
  const groups = archiveName.exec(name)?.groups;
  if (!groups?.store) return undefined;
  const { store, y, mo, d, h, mi, s } = groups;
  const createdAt = new Date(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`);
  if (Number.isNaN(createdAt.getTime())) return undefined;
  return { store, stem: name.replace(/\.tar\.(gz|zst)$/, ''), createdAt };
}
