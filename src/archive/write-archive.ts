// The way in: a tar as it comes from a store, checked as it flows by, cut into members, compressed on all cores, hashed,
// written to a file. One pass; memory is a few members, whatever the size; a slow disk slows the source down.
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { type CompressorOptions, openCompressor } from './compressor.ts';
import { letGoOf } from './given-up.ts';
import { mapInOrder } from './in-order.ts';
import { MemberCutter } from './members.ts';
import { endOfArchive, type TarEntry } from './tar-format.ts';
import { type TarPiece, TarScanner } from './tar-scan.ts';

export interface ArchiveOptions extends CompressorOptions {
  /** Entries that are left out. */
  readonly skip?: (entry: TarEntry) => boolean;
  readonly onProgress?: (rawBytes: number, writtenBytes: number) => void;
  readonly signal: AbortSignal;
}

export interface ArchiveSummary {
  /** Length of the archive in bytes. */
  readonly sizeBytes: number;
  /** Length of the tar in it, in bytes. */
  readonly rawSizeBytes: number;
  readonly entries: number;
  /** Bytes in the files of it. */
  readonly contentBytes: number;
  readonly sha256: string;
}

const syncedAtOnce = 64 * 1024 * 1024;

/**
 * Writes `tar` to `file` from its present position; throws `bad_backup` where the tar is not whole. The chunks are given up:
 * their source MUST NOT use them again.
 */
export async function writeArchive(
  tar: AsyncIterable<Buffer>,
  file: FileHandle,
  options: ArchiveOptions,
): Promise<ArchiveSummary> {
  await using compressor = openCompressor(options);
  const totals = { entries: 0, contentBytes: 0, rawSizeBytes: 0 };
  const hash = createHash('sha256');
  let sizeBytes = 0;
  await using disk = new EarlySync(file);
  const members = mapInOrder(cutMembers(tar, totals, options), compressor.capacity, (raw) =>
    compressor.compress(raw),
  );
  for await (const buffers of members) {
    options.signal.throwIfAborted();
    for (const buffer of buffers) hash.update(buffer);
    const written = await writeAll(file, buffers);
    sizeBytes += written;
    await disk.wrote(written);
    buffers.forEach(letGoOf);
    options.onProgress?.(totals.rawSizeBytes, sizeBytes);
  }
  return { ...totals, sizeBytes, sha256: hash.digest('hex') };
}

interface Totals {
  entries: number;
  contentBytes: number;
  rawSizeBytes: number;
}

async function* cutMembers(
  tar: AsyncIterable<Buffer>,
  totals: Totals,
  options: ArchiveOptions,
): AsyncGenerator<Buffer> {
  const cutter = new MemberCutter();
  for await (const pieces of batchesOfPieces(tar)) {
    options.signal.throwIfAborted();
    for (const member of cutPieces(pieces, cutter, totals, options.skip)) {
      totals.rawSizeBytes += member.length;
      yield member;
    }
  }
  for (const member of cutter.end(endOfArchive)) {
    totals.rawSizeBytes += member.length;
    yield member;
  }
}

/** One batch per chunk, because an `await` per piece is dear with many small files. */
async function* batchesOfPieces(tar: AsyncIterable<Buffer>): AsyncGenerator<Iterable<TarPiece>> {
  const scanner = new TarScanner();
  for await (const chunk of tar) yield scanner.scan(chunk);
  scanner.end();
}

function* cutPieces(
  pieces: Iterable<TarPiece>,
  cutter: MemberCutter,
  totals: Totals,
  skip: ArchiveOptions['skip'],
): Generator<Buffer> {
  for (const piece of pieces) {
    if (piece.type === 'data') {
      if (!cutter.isSkipping) yield* cutter.data(piece.bytes);
    } else if (skip?.(piece.entry)) {
      cutter.isSkipping = true;
    } else {
      cutter.isSkipping = false;
      totals.entries += 1;
      totals.contentBytes += piece.entry.size;
      yield* cutter.entry(piece.entry, piece.raw);
    }
  }
}

async function writeAll(file: FileHandle, buffers: Buffer[]): Promise<number> {
  let length = 0;
  for (const buffer of buffers) {
    for (let at = 0; at < buffer.length; ) {
      const { bytesWritten } = await file.write(buffer, at, buffer.length - at);
      at += bytesWritten;
    }
    length += buffer.length;
  }
  return length;
}

/** Sends what is written to the disk while the rest is compressed, so that publishing has little to wait for. */
class EarlySync implements AsyncDisposable {
  readonly #file: FileHandle;
  #unsynced = 0;
  #underWay: Promise<unknown> | undefined;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  /** Throws what an earlier one has met. */
  async wrote(bytes: number): Promise<void> {
    this.#unsynced += bytes;
    if (this.#unsynced < syncedAtOnce) return;
    this.#unsynced = 0;
    await this.#underWay;
    this.#underWay = this.#file.datasync();
    this.#underWay.catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#underWay;
  }
}
