// A file that is the content by itself, perhaps in gzip: a tar with that one file. A tar says the length first, so a file that
// is packed is read twice.
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import zlib from 'node:zlib';
import { attributesOf } from '../archive/pack-parts.ts';
import { type ReadOptions, readUnpacked } from '../archive/read-archive.ts';
import { encodeEntry, endOfArchive, padding } from '../archive/tar-format.ts';
import { messageOf, PkbackupError } from '../errors.ts';

export interface Rules {
  /** In the tar. */
  readonly name: string;
  /** Of its first bytes, one character each. */
  readonly start: RegExp;
  /** Of its last bytes. */
  readonly end?: RegExp;
  /** The same for people. */
  readonly endsWith?: string;
  readonly mode?: number;
  /** Behind so many bytes it is zstd or gzip by itself, which shows where it was cut. */
  readonly isPackedBehind?: number;
}

const edgeBytes = 1024;

export async function* readSingleFile(
  path: string,
  rules: Rules,
  options: ReadOptions,
): AsyncGenerator<Buffer> {
  const size = await measure(path, rules, options);
  const { mode, ...attributes } = attributesOf(await stat(path));
  yield encodeEntry({
    ...attributes,
    mode: rules.mode ?? mode & 0o777,
    path: Buffer.from(rules.name),
    type: 'file',
    size,
  });
  let missing = size;
  const { onBytes: _, ...unheard } = options;
  for await (const chunk of readUnpacked(path, unheard)) {
    missing -= chunk.length;
    if (missing < 0) break;
    yield chunk;
  }
  if (missing !== 0) throw bad(path, 'it changed while it was read');
  yield padding(size);
  yield endOfArchive;
}

/** Its length; throws where it does not begin or end as it should. */
async function measure(path: string, rules: Rules, options: ReadOptions): Promise<number> {
  const edges = new Edges();
  const chunks = edges.watch(readUnpacked(path, options));
  if (rules.isPackedBehind === undefined) for await (const _ of chunks) options.signal.throwIfAborted();
  else await unpackAll(path, chunks, rules.isPackedBehind);
  if (!rules.start.test(edges.first)) throw bad(path, 'it does not begin as it should');
  if (rules.end && !rules.end.test(edges.last)) throw bad(path, `it does not end with "${rules.endsWith}"`);
  return edges.size;
}

class Edges {
  size = 0;
  first = '';
  last = '';

  async *watch(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      this.size += chunk.length;
      if (this.first.length < edgeBytes) this.first += chunk.toString('latin1', 0, edgeBytes);
      this.last = `${this.last}${chunk.toString('latin1', Math.max(0, chunk.length - edgeBytes))}`.slice(
        -edgeBytes,
      );
      yield chunk;
    }
  }
}

async function unpackAll(path: string, chunks: AsyncGenerator<Buffer>, magicBytes: number): Promise<void> {
  const head: Buffer[] = [];
  let length = 0;
  while (length < magicBytes) {
    const { value, done } = await chunks.next();
    if (done) return;
    head.push(value);
    length += value.length;
  }
  const start = Buffer.concat(head);
  const engine = start[1] === 0x47 ? zlib.createGunzip() : zlib.createZstdDecompress();
  async function* body() {
    yield start.subarray(magicBytes);
    yield* chunks;
  }
  try {
    await pipeline(Readable.from(body()), engine, async (unpacked) => {
      for await (const _ of unpacked);
    });
  } catch (error) {
    if (error instanceof PkbackupError) throw error;
    throw bad(path, messageOf(error));
  }
}

function bad(path: string, why: string): PkbackupError {
  return new PkbackupError('bad_backup', `"${path}" is damaged: ${why}`);
}
