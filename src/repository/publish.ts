// A backup comes into a repository: everything is written under names that no listing takes for a backup, and renamed when
// all of it is on disk: the archive, its checksum, and the metadata as the last. No crash leaves something that looks
// complete and is not; what one leaves half renamed, `heal` finishes, because the metadata waits beside.
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PkbackupError } from '../errors.ts';
import { syncDirectory } from '../sync-directory.ts';
import type { Compression } from '../words.ts';
import { writeDurably, writePartial } from './durable.ts';
import { formatMetadata, type Metadata } from './metadata.ts';
import {
  archiveNameOf,
  checksumNameOf,
  checksumTextOf,
  metadataNameOf,
  partialNameOf,
  stemOf,
} from './naming.ts';
import { namesIn, trashName } from './trash.ts';

/** A backup on its way; disposed of without `commit`, it leaves nothing. */
export interface Publication extends AsyncDisposable {
  readonly stem: string;
  readonly archiveName: string;
  /** Takes the bytes of the archive. */
  readonly file: FileHandle;
  commit(metadata: Metadata): Promise<void>;
}

/** The caller MUST hold the store's lock, so that nobody else takes the same name. */
export async function beginPublication(
  directory: string,
  store: string,
  pinnedAt: Date,
  compression: Compression,
): Promise<Publication> {
  const stem = await freeStem(directory, store, pinnedAt);
  const archiveName = archiveNameOf(stem, compression);
  const partial = join(directory, partialNameOf(archiveName));
  const file = await open(partial, 'wx', 0o600);
  let isOpen = true;
  const made = new Set([partial]);
  const close = async () => {
    if (isOpen) await file.close();
    isOpen = false;
  };
  return {
    stem,
    archiveName,
    file,
    async commit(metadata) {
      await file.sync();
      const { size } = await file.stat();
      await close();
      if (size !== metadata.size_bytes) throw wrongSize(archiveName, metadata.size_bytes, size);
      const archive = join(directory, archiveName);
      const checksum = join(directory, checksumNameOf(archiveName));
      const described = join(directory, metadataNameOf(stem));
      const waiting = await writePartial(described, formatMetadata(metadata));
      made.add(waiting);
      await rename(partial, archive);
      made.add(archive);
      made.add(checksum);
      await writeDurably(checksum, checksumTextOf(metadata));
      await rename(waiting, described);
      made.clear();
      await syncDirectory(directory);
    },
    // What cannot be removed is healed by a later command; it must not hide why this backup was given up.
    async [Symbol.asyncDispose]() {
      await close().catch(() => undefined);
      for (const path of made) await rm(path, { force: true }).catch(() => undefined);
    },
  };
}

/** Two backups of one store in one second would have one name: the later one takes the next second. */
async function freeStem(directory: string, store: string, pinnedAt: Date): Promise<string> {
  const taken = new Set([...(await namesIn(directory)), ...(await namesIn(join(directory, trashName)))]);
  for (let at = pinnedAt.getTime(); ; at += 1000) {
    const stem = stemOf(store, new Date(at));
    const names = [archiveNameOf(stem, 'gzip'), archiveNameOf(stem, 'zstd'), metadataNameOf(stem)];
    if (!names.some((name) => taken.has(name) || taken.has(partialNameOf(name)))) return stem;
  }
}

function wrongSize(name: string, expected: number, found: number): PkbackupError {
  return new PkbackupError(
    'backup_failed',
    `"${name}" was not written whole: expected ${expected} bytes, found ${found}`,
    { hint: 'the disk or the network share lost bytes; check it before the next backup' },
  );
}
