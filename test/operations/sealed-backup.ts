// Backups that are listed and whose checksums are right, whatever is in them: what somebody makes who may write to the
// repository, and damage that was there before the checksum was.
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { readArchive } from '../../src/archive/read-archive.ts';
import { encodeEntry, endOfArchive, nameOf, padding, type TarEntry } from '../../src/archive/tar-format.ts';
import { TarScanner } from '../../src/archive/tar-scan.ts';
import {
  type Backup,
  checksumNameOf,
  type Metadata,
  metadataNameOf,
  schemaVersion,
  stemOf,
} from '../../src/repository/index.ts';
import type { Kind } from '../../src/words.ts';
import { gather, never } from '../archive/gather.ts';

export interface Sealed {
  readonly store: string;
  readonly kind: Kind;
  readonly tar: Buffer;
  readonly metadata?: Partial<Metadata>;
}

/** Gives the stem. */
export function seal(repository: string, { store, kind, tar, metadata = {} }: Sealed): string {
  mkdirSync(repository, { recursive: true });
  const createdAt = new Date();
  const stem = stemOf(store, createdAt);
  write(repository, `${stem}.tar.gz`, tar, {
    schema_version: schemaVersion,
    backup_file: `${stem}.tar.gz`,
    created_at: createdAt.toISOString(),
    store,
    kind,
    source: {},
    size_bytes: 0,
    sha256: '',
    counts: {},
    checks: [],
    ...factsOf(tar),
    ...metadata,
  });
  return stem;
}

/** Puts another content into a backup, and makes everything say so. */
export async function reseal(
  backup: Backup,
  change: (tar: Buffer) => Buffer | Promise<Buffer>,
  metadata: Partial<Metadata> = {},
): Promise<void> {
  const tar = await change(await gather(readArchive(backup.path, { signal: never() })));
  const { backup_file: name } = backup.metadata;
  write(join(backup.path, '..'), name, tar, {
    ...backup.metadata,
    ...factsOf(tar),
    compression: 'gzip',
    ...metadata,
  });
}

function write(directory: string, name: string, tar: Buffer, metadata: Metadata): void {
  const bytes = gzipSync(tar, { level: 1 });
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const whole = { ...metadata, size_bytes: bytes.length, sha256 };
  writeFileSync(join(directory, name), bytes);
  writeFileSync(join(directory, checksumNameOf(name)), `${sha256}  ${name}\n`);
  writeFileSync(join(directory, metadataNameOf(name.replace(/\.tar\.\w+$/, ''))), JSON.stringify(whole));
}

function factsOf(tar: Buffer): Pick<Metadata, 'raw_size_bytes' | 'entries'> {
  let entries = 0;
  for (const piece of new TarScanner().scan(tar)) if (piece.type === 'entry') entries += 1;
  return { raw_size_bytes: tar.length, entries };
}

/** The tar with another content of the file `path`, which is added where it is missing. */
export function withFile(tar: Buffer, path: string, change: (bytes: Buffer) => Buffer): Buffer {
  const parts: Buffer[] = [];
  let found: { entry: TarEntry; data: Buffer[] } | undefined;
  let open: TarEntry | undefined;
  const close = () => {
    if (open) parts.push(padding(open.size));
    open = undefined;
  };
  for (const piece of new TarScanner().scan(tar)) {
    if (piece.type === 'data') {
      if (open) parts.push(piece.bytes);
      else found?.data.push(piece.bytes);
      continue;
    }
    close();
    if (nameOf(piece.entry) === path) found = { entry: piece.entry, data: [] };
    else {
      open = piece.entry;
      parts.push(piece.raw);
    }
  }
  close();
  const bytes = change(Buffer.concat(found?.data ?? []));
  const entry = found?.entry ?? { type: 'file', mode: 0o644, uid: 0, gid: 0, mtime: 1_700_000_000 };
  const header = encodeEntry({ ...entry, path: Buffer.from(path), size: bytes.length });
  return Buffer.concat([...parts, header, bytes, padding(bytes.length), endOfArchive]);
}
