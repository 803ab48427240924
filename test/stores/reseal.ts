// A backup whose content was changed behind its back, and sealed again: archive, checksum and metadata agree with one another.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll } from 'vitest';
import { readArchive } from '../../src/archive/read-archive.ts';
import { encodeEntry, endOfArchive, nameOf, padding, type TarEntry } from '../../src/archive/tar-format.ts';
import { scanTar } from '../../src/archive/tar-scan.ts';
import { writeArchive } from '../../src/archive/write-archive.ts';
import type { Run } from '../../src/operations/run.ts';
import { type Backup, checksumNameOf, metadataNameOf, openRepository } from '../../src/repository/index.ts';

const made: string[] = [];
afterAll(() => {
  for (const directory of made) rmSync(directory, { recursive: true, force: true });
});

/** The files of a backup, by their names without `./`; what is deleted here is gone, what is set is changed. */
export type Edit = (files: Map<string, Buffer>) => void | Promise<void>;

/** The run with a repository in which the changed backup is the only one. */
export async function resealed(run: Run, backup: Backup, edit: Edit): Promise<Run> {
  const directory = mkdtempSync(join(tmpdir(), 'pkbackup-resealed-'));
  made.push(directory);
  const tar = await edited(readArchive(backup.path, { signal: run.signal }), edit);
  const archive = basename(backup.path);
  const file = await open(join(directory, archive), 'w');
  const compression = backup.metadata.compression ?? 'gzip';
  const summary = await writeArchive(tar, file, { compression, signal: run.signal });
  await file.close();
  const metadata = {
    ...backup.metadata,
    size_bytes: summary.sizeBytes,
    raw_size_bytes: summary.rawSizeBytes,
    content_bytes: summary.contentBytes,
    entries: summary.entries,
    sha256: summary.sha256,
    checks: [],
  };
  writeFileSync(join(directory, checksumNameOf(archive)), `${summary.sha256}  ${archive}\n`);
  writeFileSync(join(directory, metadataNameOf(backup.stem)), JSON.stringify(metadata));
  return { ...run, repository: openRepository(directory) };
}

async function edited(tar: AsyncIterable<Buffer>, edit: Edit): Promise<AsyncGenerator<Buffer>> {
  const entries: { entry: TarEntry; name: string; data: Buffer[] }[] = [];
  for await (const piece of scanTar(tar)) {
    if (piece.type === 'data') entries.at(-1)?.data.push(Buffer.from(piece.bytes));
    else entries.push({ entry: piece.entry, name: nameOf(piece.entry).replace(/^\.\//, ''), data: [] });
  }
  const files = new Map<string, Buffer>();
  for (const { entry, name, data } of entries)
    if (entry.type === 'file') files.set(name, Buffer.concat(data));
  await edit(files);
  return (async function* () {
    for (const { entry, name } of entries) {
      const data = files.get(name);
      if (entry.type !== 'file') yield encodeEntry(entry);
      else if (data)
        yield Buffer.concat([encodeEntry({ ...entry, size: data.length }), data, padding(data.length)]);
    }
    yield endOfArchive;
  })();
}
