// What packing a tree and packing single files share: chunks of a good size, headers from what the file system says,
// and the bytes of a large file.
import fs, { type Stats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { PkbackupError, systemCodeOf } from '../errors.ts';
import { type EntryKind, isChanged, readFlags, smallFileBytes } from './find-entry.ts';
import { reusedBuffer } from './reused-memory.ts';
import { encodeInto, nothing, padding, type TarEntry, type TarEntryType } from './tar-format.ts';
import { type TarPiece, tellPieces } from './tar-scan.ts';

const chunkBytes = 256 * 1024;
const readBytes = 1024 * 1024;

/** A small file, and more than its name, target and capabilities can take. */
const mostEntryBytes = 2 * smallFileBytes;
const makeChunkMemory = () => reusedBuffer(chunkBytes + mostEntryBytes);

/** Gathers headers and small files, because a step of the pipeline per file is dear. What it gives is good until the next. */
export class ChunkBuilder {
  #memory = makeChunkMemory();
  #filled = 0;
  #pieces: TarPiece[] = [];
  /** What was full before anybody asked. */
  readonly #full: Buffer[] = [];

  get isFull(): boolean {
    return this.#filled >= chunkBytes || this.#full.length > 0;
  }

  /** An entry, with its data where that is a small file's. */
  put(entry: TarEntry, data?: Buffer): void {
    if (this.#memory.length - this.#filled < mostEntryBytes) this.#turnOver();
    const raw = this.#grown(encodeInto(this.#memory, this.#filled, entry));
    this.#pieces.push({ type: 'entry', entry, raw });
    if (!data || data.length === 0) return;
    const bytes = this.#grown(data.length);
    data.copy(bytes);
    this.#pieces.push({ type: 'data', bytes });
    this.#grown(padding(data.length).length).fill(0);
  }

  *flush(): Generator<Buffer> {
    yield* this.#full.splice(0);
    if (this.#filled > 0) yield this.#taken();
  }

  #grown(bytes: number): Buffer {
    const start = this.#filled;
    // A view would be cut to what is there without a word.
    if (start + bytes > this.#memory.length) throw new RangeError(`${bytes} bytes of an entry do not fit`);
    this.#filled += bytes;
    return this.#memory.subarray(start, this.#filled);
  }

  #taken(): Buffer {
    const chunk = tellPieces(this.#memory.subarray(0, this.#filled), this.#pieces);
    this.#filled = 0;
    this.#pieces = [];
    return chunk;
  }

  #turnOver(): void {
    this.#full.push(this.#taken());
    this.#memory = makeChunkMemory();
  }
}

/** The type that a tar has for it; undefined for sockets and devices, which hold nothing that could be restored. */
export function typeOf(kind: EntryKind): TarEntryType | undefined {
  if (kind.isFile()) return 'file';
  if (kind.isDirectory()) return 'directory';
  if (kind.isSymbolicLink()) return 'symlink';
  return kind.isFIFO() ? 'fifo' : undefined;
}

/** Those alone have capabilities (`security.capability`), which Node cannot read. */
export const isProgram = (stats: Stats): boolean => stats.isFile() && (stats.mode & 0o111) !== 0;

export interface Attributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds; to the microsecond, which is what a double holds of them. */
  readonly mtime: number;
}

export function attributesOf(stats: Stats): Attributes {
  const mtime = Math.round(stats.mtimeMs * 1000) / 1e6;
  return { mode: stats.mode & 0o7777, uid: stats.uid, gid: stats.gid, mtime };
}

export function entryOf(path: Buffer, type: TarEntryType, stats: Stats, linkPath?: Buffer): TarEntry {
  const size = type === 'file' ? stats.size : 0;
  return { path, type, size, ...attributesOf(stats), ...(linkPath ? { linkPath } : {}) };
}

/** Names inodes that have several names, so that the later names become links to the first. */
export class LinkFinder {
  readonly #first = new Map<string, { path: Buffer; namesLeft: number }>();

  /** The name under which the file is in the tar already; else notes that it now is under `path`. */
  firstNameOf(file: string | Buffer, stats: Stats, path: Buffer): Buffer | undefined {
    if (stats.nlink < 2) return undefined;
    // As big integers: a double does not hold every inode number of NTFS or of a network file system.
    const exact = fs.lstatSync(file, { bigint: true, throwIfNoEntry: false });
    if (!exact) return undefined;
    const key = `${exact.dev}:${exact.ino}`;
    const first = this.#first.get(key);
    if (!first) {
      this.#first.set(key, { path, namesLeft: stats.nlink - 1 });
      return undefined;
    }
    first.namesLeft -= 1;
    if (first.namesLeft === 0) this.#first.delete(key);
    return first.path;
  }
}

export interface LargeFile {
  readonly stats: Stats;
  /** Exactly `stats.size` bytes and the padding; zeros where the file has become shorter. */
  chunks(): AsyncGenerator<Buffer>;
  /** Known when `chunks` has ended. */
  change(): 'grown' | 'shrunk' | 'changed' | undefined;
  close(): Promise<void>;
}

/** In which large files are read, one after the other: each chunk is good until the next. */
export type ReadMemory = readonly [Buffer, Buffer];

export const makeReadMemory = (): ReadMemory => [reusedBuffer(readBytes), reusedBuffer(readBytes)];

/** Opens a file to be read in the size that it has now; throws as `open` does. */
export async function openLargeFile(
  path: string | Buffer,
  memory: ReadMemory,
  signal: AbortSignal,
): Promise<LargeFile> {
  const file = await open(path, readFlags);
  const stats = await file.stat();
  if (!stats.isFile()) {
    await file.close();
    throw Object.assign(new Error('it is no file any more'), { code: 'ENOENT' });
  }
  let change: ReturnType<LargeFile['change']>;
  return {
    stats,
    change: () => change,
    close: () => file.close(),
    async *chunks() {
      let missing = stats.size;
      let [current, next] = memory;
      let ahead = read(file, current, 0, missing);
      try {
        while (missing > 0) {
          signal.throwIfAborted();
          const chunk = await ahead;
          if (chunk.length === 0) break;
          missing -= chunk.length;
          [current, next] = [next, current];
          ahead = read(file, current, stats.size - missing, missing);
          yield chunk;
        }
      } finally {
        await ahead.catch(() => undefined);
      }
      if (missing > 0) change = 'shrunk';
      yield* zeros(missing);
      yield padding(stats.size);
      const after = await file.stat();
      if (after.size > stats.size) change ??= 'grown';
      else if (isChanged(stats, after)) change ??= 'changed';
    },
  };
}

async function read(file: FileHandle, into: Buffer, position: number, missing: number): Promise<Buffer> {
  if (missing === 0) return nothing;
  const { bytesRead } = await file.read(into, 0, Math.min(into.length, missing), position);
  return into.subarray(0, bytesRead);
}

function* zeros(length: number): Generator<Buffer> {
  for (let left = length; left > 0; left -= readBytes) yield Buffer.alloc(Math.min(left, readBytes));
}

export function cannotRead(path: string, cause: unknown): PkbackupError {
  const why: Record<string, string> = {
    EACCES: 'permission denied',
    EPERM: 'permission denied',
    EBUSY: 'it is in use',
  };
  const code = systemCodeOf(cause) ?? '';
  const reason = why[code] ?? (cause instanceof Error ? cause.message : String(cause));
  return new PkbackupError('backup_failed', `"${path}" cannot be read: ${reason}`, {
    cause,
    ...(why[code] ? { hint: 'run pkbackup as a user who may read it, or exclude it' } : {}),
  });
}
