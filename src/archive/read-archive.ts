// The way out: an archive file to the tar in it. Our own archives are hopped through member by member and decompressed on
// all cores; any other gzip, zstd or plain tar is streamed. What a file is, its first bytes say, not its name.
import { open } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { pipeline, Readable } from 'node:stream';
import zlib from 'node:zlib';
import { messageOf, PkbackupError } from '../errors.ts';
import { type Codec, codecOf } from './codec.ts';
import { letGoOf } from './given-up.ts';
import { mapInOrder } from './in-order.ts';
import { nothing } from './tar-format.ts';

export interface ReadOptions {
  readonly signal: AbortSignal;
  readonly threads?: number;
  /** Every byte of the file, in order, as it is read: for the checksum and for progress. */
  readonly onBytes?: (bytes: Buffer) => void;
  /** Each chunk is good only until the next one is asked for: its memory is given back then. */
  readonly isFleeting?: boolean;
}

export type ArchiveFormat = 'gzip' | 'zstd' | 'tar' | 'sqlite' | 'unknown';

const chunkBytes = 256 * 1024;
const sniffedBytes = 512;

/** The tar in the archive `path`; throws `bad_backup` where the file is not one, is cut or damaged. */
export async function* readArchive(path: string, options: ReadOptions): AsyncGenerator<Buffer> {
  const source = new Source(path, options);
  await source.open();
  try {
    const head = await source.peek(sniffedBytes);
    const format = formatOf(head);
    if (format === 'tar') yield* source.chunks();
    else if (format === 'gzip' || format === 'zstd')
      yield* decompress(source, codecOf(format), head, options);
    else throw notAnArchive(path, format, head.length);
  } finally {
    await source.close();
  }
}

/** What is in the file `path`, whatever that is: out of gzip or zstd, or as it lies there. */
export async function* readUnpacked(path: string, options: ReadOptions): AsyncGenerator<Buffer> {
  const source = new Source(path, options);
  await source.open();
  try {
    const head = await source.peek(sniffedBytes);
    const format = formatOf(head);
    if (format === 'gzip' || format === 'zstd') yield* decompress(source, codecOf(format), head, options);
    else yield* source.chunks();
  } finally {
    await source.close();
  }
}

export function formatOf(head: Buffer): ArchiveFormat {
  if (head[0] === 0x1f && head[1] === 0x8b) return 'gzip';
  const magic = head.length >= 4 ? head.readUInt32LE(0) : 0;
  if (magic === 0xfd2fb528 || (magic >= 0x184d2a50 && magic <= 0x184d2a5f)) return 'zstd';
  if (head.toString('latin1', 257, 262) === 'ustar') return 'tar';
  if (head.toString('latin1', 0, 16) === 'SQLite format 3\0') return 'sqlite';
  return 'unknown';
}

async function* decompress(
  source: Source,
  codec: Codec,
  head: Buffer,
  options: ReadOptions,
): AsyncGenerator<Buffer> {
  if (!codec.isOurs(head)) {
    yield* decompressStream(source, codec);
    return;
  }
  const limit = 2 * (options.threads ?? availableParallelism());
  const raws = mapInOrder(membersOf(source, codec), limit, async ({ bytes, rawLength }) => {
    const raw = await codec.decompress(bytes, rawLength);
    letGoOf(bytes);
    return raw;
  });
  for await (const raw of raws) {
    options.signal.throwIfAborted();
    yield raw;
    if (options.isFleeting) letGoOf(raw);
  }
}

async function* membersOf(
  source: Source,
  codec: Codec,
): AsyncGenerator<{ bytes: Buffer; rawLength: number }> {
  for (;;) {
    const start = await source.peek(codec.headBytes);
    if (start.length === 0) return;
    const head = codec.readHead(start);
    if (head === undefined) throw source.bad('a member does not start where it should');
    const bytes = await source.take(head.length);
    if (bytes.length < head.length) throw source.bad('it ends in the middle of a member');
    yield { bytes, rawLength: head.rawLength };
  }
}

async function* decompressStream(source: Source, codec: Codec): AsyncGenerator<Buffer> {
  const engine = codec.compression === 'gzip' ? zlib.createGunzip() : zlib.createZstdDecompress();
  const ended = new Promise<Error | null>((resolve) => {
    pipeline(Readable.from(source.chunks()), engine, (error) => resolve(error ?? null));
  });
  try {
    for await (const chunk of engine) yield chunk;
  } catch (error) {
    if (error instanceof PkbackupError) throw error;
    throw source.bad(messageOf(error));
  } finally {
    engine.destroy();
  }
  const error = await ended;
  if (error) throw source.bad(error.message);
}

function notAnArchive(path: string, format: ArchiveFormat, length: number): PkbackupError {
  const found =
    length === 0
      ? 'it is empty'
      : format === 'sqlite'
        ? 'it is an SQLite database'
        : 'its first bytes are of no known kind';
  return new PkbackupError(
    'bad_backup',
    `"${path}" is not an archive: expected gzip, zstd or tar, but ${found}`,
  );
}

/** A file read once from start to end, with a look ahead. */
class Source {
  readonly #path: string;
  readonly #options: ReadOptions;
  #file: Awaited<ReturnType<typeof open>> | undefined;
  #ahead: Buffer = nothing;
  #position = 0;

  constructor(path: string, options: ReadOptions) {
    this.#path = path;
    this.#options = options;
  }

  async open(): Promise<void> {
    try {
      this.#file = await open(this.#path, 'r');
    } catch (cause) {
      throw new PkbackupError('bad_backup', `"${this.#path}" cannot be read: ${messageOf(cause)}`, { cause });
    }
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }

  /** The next bytes without taking them: at least `length`, fewer only at the end of the file. */
  async peek(length: number): Promise<Buffer> {
    if (this.#ahead.length < length) this.#ahead = await this.#fill(length);
    return this.#ahead;
  }

  /** The next `length` bytes, fewer only at the end of the file. */
  async take(length: number): Promise<Buffer> {
    const bytes = this.#ahead.length < length ? await this.#fill(length) : this.#ahead;
    // What is taken may be given up, with all the memory that it lies in.
    this.#ahead = bytes.length > length ? Buffer.from(bytes.subarray(length)) : nothing;
    return bytes.subarray(0, length);
  }

  async *chunks(): AsyncGenerator<Buffer> {
    for (;;) {
      const bytes = await this.take(chunkBytes);
      if (bytes.length === 0) return;
      yield bytes;
    }
  }

  bad(why: string): PkbackupError {
    return new PkbackupError('bad_backup', `the archive "${this.#path}" is damaged: ${why}`);
  }

  /** What is ahead and what follows it, up to `length` bytes, in one buffer. */
  async #fill(length: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafeSlow(length);
    let filled = this.#ahead.copy(buffer);
    while (filled < length) {
      this.#options.signal.throwIfAborted();
      const result = await this.#file?.read(buffer, filled, length - filled, this.#position);
      const bytesRead = result?.bytesRead ?? 0;
      if (bytesRead === 0) break;
      this.#options.onBytes?.(buffer.subarray(filled, filled + bytesRead));
      this.#position += bytesRead;
      filled += bytesRead;
    }
    return buffer.subarray(0, filled);
  }
}
