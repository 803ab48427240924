// A file of a replaced script becomes a backup like any other: by a metadata file beside it, whose name is that of the file
// with `.metadata.json` behind it, so that it takes the place of nothing. Removing that file undoes it.
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PkbackupError, systemCodeOf } from '../errors.ts';
import { writeDurably } from './durable.ts';
import type { Backup } from './listing.ts';
import { takeLock } from './lock.ts';
import { type Check, formatMetadata, type Metadata, parseMetadata } from './metadata.ts';
import { checksumNameOf, checksumTextOf, metadataNameOf } from './naming.ts';

export interface Adoption {
  readonly store: string;
  readonly sha256: string;
  /** That was passed when all of it was read. */
  readonly check: Check;
  readonly now: Date;
  readonly signal: AbortSignal;
}

const lockWaitMs = 10_000;

export async function adopt(
  directory: string,
  backup: Backup,
  { store, sha256, check, now, signal }: Adoption,
): Promise<void> {
  await using _lock = await takeLock(directory, store, {
    command: 'pkbackup adopt',
    waitMs: lockWaitMs,
    signal,
  });
  const checksum = join(directory, checksumNameOf(backup.stem));
  const hasChecksum = await isThere(checksum);
  const metadata: Metadata = {
    ...backup.metadata,
    store,
    sha256,
    adopted: { at: now.toISOString(), wrote_checksum: !hasChecksum },
    checks: [check],
  };
  const path = join(directory, metadataNameOf(backup.stem));
  const text = formatMetadata(metadata);
  // What could not be read again would be a damaged backup where there was a good file.
  parseMetadata(text, path);
  if (!hasChecksum) await writeDurably(checksum, checksumTextOf(metadata));
  await writeDurably(path, text);
}

export async function disown(directory: string, backup: Backup, signal: AbortSignal): Promise<void> {
  const { stem, store, metadata } = backup;
  if (metadata.adopted === undefined) throw new PkbackupError('failed', `"${stem}" was not adopted`);
  const options = { command: 'pkbackup adopt', waitMs: lockWaitMs, signal };
  await using _lock = await takeLock(directory, store, options);
  await rm(join(directory, metadataNameOf(stem)), { force: true });
  if (metadata.adopted.wrote_checksum) await rm(join(directory, checksumNameOf(stem)), { force: true });
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return false;
    throw error;
  }
}
