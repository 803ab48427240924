// Where pruned backups wait before they go: `.trash/`, from which they can be brought back. Every step is such that a crash
// between any two of them leaves the backup either listed or in the trash, once `settleTrash` has run.
import { mkdir, readdir, readFile, rename, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { basename } from 'node:path/posix';
import { messageOf, PkbackupError, systemCodeOf } from '../errors.ts';
import { syncDirectory } from '../sync-directory.ts';
import { writeDurably } from './durable.ts';
import type { Backup } from './listing.ts';
import { formatMetadata, type Metadata, parseMetadata } from './metadata.ts';
import { archiveOf, checksumNameOf, isArchiveOf, metadataNameOf, metadataSuffix } from './naming.ts';
import { namesBelow, sidecarsOf } from './old-backups.ts';

export const trashName = '.trash';

export interface TrashedBackup {
  readonly stem: string;
  readonly store: string;
  readonly createdAt: Date;
  readonly trashedAt: Date;
  readonly metadata: Metadata;
}

/** The caller MUST hold the store's lock, here and below. */
export async function moveToTrash(directory: string, backup: Backup, now: Date): Promise<void> {
  const trash = join(directory, trashName);
  const name = metadataNameOf(backup.stem);
  await mkdir(dirname(join(trash, name)), { recursive: true, mode: 0o700 });
  const metadata = { ...backup.metadata, trashed_at: now.toISOString() };
  await writeDurably(join(trash, name), formatMetadata(metadata));
  await rm(join(directory, name));
  await syncDirectory(dirname(join(directory, name)));
  await moveFiles(directory, trash, backup);
}

/** Newest first. What cannot be read is left out: it is never removed either. */
export async function listTrash(directory: string): Promise<readonly TrashedBackup[]> {
  const trash = join(directory, trashName);
  const names = (await allNamesIn(trash)).filter(
    (name) => name.endsWith(metadataSuffix) && !basename(name).startsWith('.'),
  );
  const found = await Promise.all(names.map((name) => readTrashed(trash, name)));
  return found
    .filter((trashed) => trashed !== undefined)
    .sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime());
}

/** Brings a backup back as it was; throws `failed` where its name is taken or its archive is gone. */
export async function undelete(directory: string, trashed: TrashedBackup): Promise<void> {
  const trash = join(directory, trashName);
  const name = metadataNameOf(trashed.stem);
  const archive = archiveOf(trashed.stem, trashed.metadata.backup_file);
  const [here, there] = [await allNamesIn(directory), await allNamesIn(trash)];
  if (here.includes(name)) throw new PkbackupError('failed', `there is a backup "${trashed.stem}" already`);
  if (!there.includes(archive))
    throw new PkbackupError('failed', `the archive "${archive}" is not in the trash`);
  await moveFiles(trash, directory, trashed);
  const { trashed_at: _, ...metadata } = trashed.metadata;
  await writeDurably(join(directory, name), formatMetadata(metadata));
  await rm(join(trash, name));
  await syncDirectory(dirname(join(trash, name)));
  await removeIfEmpty(trash, name);
}

/** Removes for good; the metadata last, so that what is left after a crash is found again. */
export async function removeFromTrash(directory: string, trashed: TrashedBackup): Promise<void> {
  const trash = join(directory, trashName);
  for (const name of [...(await filesOf(trash, trashed)), metadataNameOf(trashed.stem)]) {
    await rm(join(trash, name), { force: true });
    await syncDirectory(dirname(join(trash, name)));
  }
  await removeIfEmpty(trash, trashed.stem);
}

/** Ends what a crash left half done: listed backups stay listed, all files of the others go into the trash. */
export async function settleTrash(directory: string, store: string): Promise<void> {
  const trash = join(directory, trashName);
  const here = new Set(await allNamesIn(directory));
  for (const trashed of await listTrash(directory)) {
    if (trashed.store !== store) continue;
    const name = metadataNameOf(trashed.stem);
    if (here.has(name)) await rm(join(trash, name), { force: true });
    else if (here.has(archiveOf(trashed.stem, trashed.metadata.backup_file))) {
      await moveFiles(directory, trash, trashed);
    }
  }
}

type Moved = Pick<TrashedBackup, 'stem' | 'metadata'>;

/** The archive last: as long as it is there, somebody sees that there is more to do. */
async function moveFiles(from: string, to: string, moved: Moved): Promise<void> {
  await mkdir(dirname(join(to, moved.stem)), { recursive: true, mode: 0o700 });
  for (const name of (await filesOf(from, moved)).reverse()) {
    try {
      await rename(join(from, name), join(to, name));
    } catch (error) {
      if (systemCodeOf(error) !== 'ENOENT') throw error;
    }
  }
  await syncDirectory(dirname(join(to, moved.stem)));
  await syncDirectory(dirname(join(from, moved.stem)));
  await removeIfEmpty(from, moved.stem);
}

/** All but the metadata: the archive, its checksum, and what a script wrote beside. */
async function filesOf(directory: string, { stem, metadata }: Moved): Promise<string[]> {
  const archive = archiveOf(stem, metadata.backup_file);
  const own = [archive, checksumNameOf(archive)];
  if (metadata.form === undefined) return own;
  const ofScripts = await sidecarsOf(directory, stem, await allNamesIn(directory));
  return [...new Set([...own, ...ofScripts])];
}

/** The directory of a run, when the last file of it has gone. */
async function removeIfEmpty(directory: string, name: string): Promise<void> {
  if (name !== basename(name)) await rmdir(dirname(join(directory, name))).catch(() => undefined);
}

async function allNamesIn(directory: string): Promise<string[]> {
  const names = await namesIn(directory);
  return [...names, ...(await namesBelow(directory, names))];
}

async function readTrashed(trash: string, name: string): Promise<TrashedBackup | undefined> {
  try {
    const metadata = parseMetadata(await readFile(join(trash, name), 'utf8'), name);
    const stem = name.slice(0, -metadataSuffix.length);
    if (!isArchiveOf(stem, metadata.backup_file)) return undefined;
    return {
      stem,
      store: metadata.store,
      createdAt: new Date(metadata.created_at),
      trashedAt: new Date(metadata.trashed_at ?? Number.NaN),
      metadata,
    };
  } catch {
    return undefined;
  }
}

export async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return [];
    throw new PkbackupError('failed', `"${directory}" cannot be read: ${messageOf(error)}`, { cause: error });
  }
}
