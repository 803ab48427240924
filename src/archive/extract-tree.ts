// A tar into an empty directory of this host. The archive is input: nothing in it can make this write outside of that
// directory, through a link, over something that is there, or make a device (see host-tree.ts and safe-name.ts).
import fs from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { promisify } from 'node:util';
import { asPkbackupError, type ErrorCode, PkbackupError } from '../errors.ts';
import { tooLarge } from './entry-guard.ts';
import { HostTree, type MakeFifo } from './host-tree.ts';
import type { RawName } from './raw-name.ts';
import { safePartsOf } from './safe-name.ts';
import { nameOf, nothing, type TarEntry } from './tar-format.ts';
import { TarScanner } from './tar-scan.ts';

/** What could not be kept: the owner, a fifo where the host has none, extended attributes (ACLs, labels). */
export type ExtractNote = 'owner' | 'fifo' | 'extended-attributes';

export interface ExtractOptions {
  readonly signal: AbortSignal;
  /** Which entries; all unless said otherwise. */
  readonly only?: (entry: TarEntry) => boolean;
  /** Owners and set-id bits as in the archive; so where pkbackup runs as root, unless said otherwise. */
  readonly keepOwner?: boolean;
  /** Flushes each file to the disk: slow; on POSIX the caller may rather flush the file system at the end. */
  readonly flushEach?: boolean;
  /** Makes a fifo where this host can, which Node cannot; without it fifos are left out and told. */
  readonly makeFifo?: MakeFifo;
  /** More bytes of content than this are refused: what the metadata says, with a margin. */
  readonly limitBytes?: number;
  /** The code of a failure that is not the archive's; `restore_failed` unless said otherwise. */
  readonly failureCode?: ErrorCode;
  readonly onNote?: (path: string, what: ExtractNote) => void;
  readonly onProgress?: (doneBytes: number) => void;
}

export interface Extracted {
  /** Everything but directories. */
  readonly files: number;
  /** The root not counted. */
  readonly directories: number;
  readonly bytes: number;
}

const turnMs = 10;
const writeAsyncBytes = 64 * 1024;
const write = promisify(fs.write);
const sync = promisify(fs.fsync);

/**
 * Makes `into` where it is missing; it MUST be empty. What was made before a failure stays, for the caller to remove.
 * Throws `bad_backup` for an archive that is cut, malformed or hostile.
 */
export async function extractTree(
  tar: AsyncIterable<Buffer>,
  into: string,
  options: ExtractOptions,
): Promise<Extracted> {
  await makeEmptyDirectory(into, options.failureCode ?? 'restore_failed');
  const extractor = new TreeExtractor(into, options);
  try {
    const scanner = new TarScanner();
    for await (const chunk of tar) {
      options.signal.throwIfAborted();
      for (const piece of scanner.scan(chunk)) {
        if (piece.type === 'entry') await extractor.entry(piece.entry);
        else await extractor.data(piece.bytes);
      }
      options.onProgress?.(extractor.result.bytes);
    }
    scanner.end();
    await extractor.end();
  } finally {
    extractor.abandon();
  }
  return extractor.result;
}

class TreeExtractor {
  readonly result = { files: 0, directories: 0, bytes: 0 };
  readonly #options: ExtractOptions;
  readonly #tree: HostTree;
  #open: { file: number; parts: RawName[]; entry: TarEntry; missing: number } | undefined;
  #turnStartedAt = performance.now();

  constructor(into: string, options: ExtractOptions) {
    this.#options = options;
    this.#tree = new HostTree(into, {
      keepOwner: options.keepOwner ?? process.getuid?.() === 0,
      failureCode: options.failureCode ?? 'restore_failed',
      onOwnerLost: (name) => options.onNote?.(name, 'owner'),
    });
  }

  async entry(entry: TarEntry): Promise<void> {
    const parts = safePartsOf(entry.path);
    if (this.#options.only && !this.#options.only(entry)) return;
    if (parts.length === 0 && entry.type !== 'directory') throw refused(entry, 'is not a directory');
    if (entry.type === 'directory') {
      this.#tree.makeDirectory(parts, entry);
      if (parts.length > 0) this.result.directories += 1;
    } else {
      await this.#make(parts, entry);
      this.result.files += 1;
    }
    if (entry.pax && [...entry.pax.keys()].some(isExtendedAttribute)) {
      this.#options.onNote?.(nameOf(entry), 'extended-attributes');
    }
    await this.#giveTurn();
  }

  async #make(parts: RawName[], entry: TarEntry): Promise<void> {
    if (entry.type === 'file') {
      this.#open = { file: this.#tree.openFile(parts), parts, entry, missing: entry.size };
      if (entry.size === 0) await this.#endFile();
    } else if (entry.type === 'symlink') this.#tree.makeSymlink(parts, entry);
    else if (entry.type === 'link') this.#tree.makeLink(parts, safePartsOf(entry.linkPath ?? nothing));
    else if (entry.type !== 'fifo') throw refused(entry, 'is a device');
    else if (!(await this.#tree.makeFifo(parts, entry, this.#options.makeFifo)))
      this.#options.onNote?.(nameOf(entry), 'fifo');
  }

  async data(bytes: Buffer): Promise<void> {
    const open = this.#open;
    if (!open) return;
    this.result.bytes += bytes.length;
    const { limitBytes = Number.POSITIVE_INFINITY } = this.#options;
    if (this.result.bytes > limitBytes) throw tooLarge(limitBytes);
    try {
      for (let at = 0; at < bytes.length; ) at += await this.#write(open.file, bytes.subarray(at));
      open.missing -= bytes.length;
    } catch (error) {
      throw this.#tree.failure(error, open.parts.join('/'));
    }
    if (open.missing === 0) await this.#endFile();
  }

  async #write(file: number, bytes: Buffer): Promise<number> {
    if (bytes.length < writeAsyncBytes) return fs.writeSync(file, bytes);
    return (await write(file, bytes)).bytesWritten;
  }

  async #endFile(): Promise<void> {
    const open = this.#open;
    if (!open) return;
    if (this.#options.flushEach) await sync(open.file);
    this.#open = undefined;
    this.#tree.closeFile(open.file, open.parts, open.entry);
  }

  async end(): Promise<void> {
    for (const _ of this.#tree.finish()) await this.#giveTurn();
  }

  /** After a failure: what is open is closed. */
  abandon(): void {
    if (this.#open) fs.closeSync(this.#open.file);
    this.#open = undefined;
  }

  async #giveTurn(): Promise<void> {
    if (performance.now() - this.#turnStartedAt < turnMs) return;
    await nextTurn();
    this.#options.signal.throwIfAborted();
    this.#turnStartedAt = performance.now();
  }
}

async function makeEmptyDirectory(path: string, code: ErrorCode): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
    if ((await readdir(path)).length === 0) return;
  } catch (error) {
    throw asPkbackupError(error, code, `the directory "${path}" cannot be made`);
  }
  throw new PkbackupError(code, `"${path}" is not empty; nothing was extracted`);
}

function isExtendedAttribute(key: string): boolean {
  return /^(SCHILY\.(xattr|acl)|LIBARCHIVE\.xattr|RHT\.security)\./.test(key);
}

function refused(entry: TarEntry, why: string): PkbackupError {
  return new PkbackupError('bad_backup', `the archive holds "${nameOf(entry)}", which ${why}`);
}
