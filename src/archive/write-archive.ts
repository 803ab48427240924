// The way in: a tar as it comes from a store, checked as it flows by, cut into members, compressed on all cores, hashed,
// written to a file. One pass; memory is a few members, whatever the size; a slow disk slows the source down, unless that
// is held still.
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { type CompressorOptions, openCompressor } from './compressor.ts';
import { mapInOrder } from './in-order.ts';
import { MemberCutter } from './members.ts';
import { bytesOf, type Member, SlabPool } from './slabs.ts';
import { MemberQueue, type SpoolOptions } from './spool.ts';
import { endOfArchive, type TarEntry } from './tar-format.ts';
import { letGoOfData, type TarPiece, TarScanner } from './tar-scan.ts';

export interface ArchiveOptions extends CompressorOptions {
  /** Entries that are left out. */
  readonly skip?: (entry: TarEntry) => boolean;
  /** Shown every piece of the tar, in order, also of entries that are left out. It MUST NOT keep the bytes. */
  readonly watch?: ((piece: TarPiece) => void) | undefined;
  /** For a source that must not wait. */
  readonly spool?: SpoolOptions | undefined;
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
/** Read ahead of the compression. */
const waitingMembers = 16;

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
  const slabs = new SlabPool(compressor.capacity + waitingMembers);
  await using queue = new MemberQueue(slabs, options.spool?.directory);
  const totals: Totals = { entries: 0, contentBytes: 0, rawSizeBytes: 0 };
  const reading = readAll(tar, { slabs, queue, totals, options });
  // It is heard when its turn comes; until then it must not count as unhandled.
  reading.catch(() => {});
  try {
    const compressed = mapInOrder(queue.members(), compressor.capacity, (raw) => compressor.compress(raw));
    const written = await writeAll(compressed, file, { slabs, totals, options });
    await reading;
    return { ...totals, ...written };
  } catch (error) {
    queue.fail(error);
    throw error;
  } finally {
    await reading.catch(() => undefined);
  }
}

interface Totals {
  entries: number;
  contentBytes: number;
  rawSizeBytes: number;
}

interface Reading {
  readonly slabs: SlabPool;
  readonly queue: MemberQueue;
  readonly totals: Totals;
  readonly options: ArchiveOptions;
}

/** From the source into the queue. What goes wrong is told there. */
async function readAll(
  tar: AsyncIterable<Buffer>,
  { slabs, queue, totals, options }: Reading,
): Promise<void> {
  try {
    const cutter = new MemberCutter(await slabs.take());
    const put = async (members: Iterable<Member>) => {
      for (const member of members) {
        totals.rawSizeBytes += member.length;
        cutter.into(await queue.put(member));
      }
    };
    const scanner = new TarScanner();
    for await (const chunk of tar) {
      options.signal.throwIfAborted();
      // All of the chunk at once, because an `await` per piece is dear with many small files.
      const pieces = Array.from(scanner.scan(chunk));
      if (options.watch) pieces.forEach(options.watch);
      await put(cutPieces(pieces, cutter, totals, options.skip));
      letGoOfData(pieces);
    }
    scanner.end();
    await put(cutter.end(endOfArchive));
    await options.spool?.onRead();
    queue.end();
  } catch (error) {
    queue.fail(error);
    throw error;
  }
}

function* cutPieces(
  pieces: Iterable<TarPiece>,
  cutter: MemberCutter,
  totals: Totals,
  skip: ArchiveOptions['skip'],
): Generator<Member> {
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

/** From the compression into the file. */
async function writeAll(
  members: AsyncIterable<Member>,
  file: FileHandle,
  { slabs, totals, options }: Omit<Reading, 'queue'>,
): Promise<Pick<ArchiveSummary, 'sizeBytes' | 'sha256'>> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  await using disk = new EarlySync(file);
  for await (const member of members) {
    options.signal.throwIfAborted();
    const bytes = bytesOf(member);
    hash.update(bytes);
    await writeWhole(file, bytes);
    sizeBytes += bytes.length;
    slabs.giveBack(member.slab);
    await disk.wrote(bytes.length);
    options.onProgress?.(totals.rawSizeBytes, sizeBytes);
  }
  return { sizeBytes, sha256: hash.digest('hex') };
}

async function writeWhole(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at);
    at += bytesWritten;
  }
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
