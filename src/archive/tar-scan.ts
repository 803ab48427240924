// Reads a tar as it flows by: entries and their data, without waiting and without copying. Strict, because an HTTP 200
// proves nothing (the Engine ends normally on a cut tar): every header's checksum must be right, every byte must have
// its place, and the end-of-archive blocks must be there with nothing but zeros behind them.
import { PkbackupError } from '../errors.ts';
import { letGoIfAlone } from './given-up.ts';
import {
  blockBytes,
  checksumOf,
  nothing,
  type TarEntry,
  type TarEntryType,
  typeFlags,
} from './tar-format.ts';

/** An entry is the caller's; `raw` and data are good for as long as the chunk that they came in. */
export type TarPiece =
  /** `raw` is what the tar had for the entry's headers; data and padding follow it. */
  { type: 'entry'; entry: TarEntry; raw: Buffer } | { type: 'data'; bytes: Buffer };

/** Gives up the memory of a chunk that was nothing but the middle of a file: at headers somebody may look again. */
export function letGoOfData(pieces: readonly TarPiece[]): void {
  const [first, second] = pieces;
  if (first?.type === 'data' && second === undefined) letGoIfAlone(first.bytes);
}

/** Of chunks whose maker has told them. */
const toldPieces = new WeakMap<Buffer, readonly TarPiece[]>();

/**
 * Spares those who scan `chunk` the work, which for small files is as much as making it. `pieces` MUST be what they would
 * find; of the last entry the data may come in later chunks, of the others none.
 */
export function tellPieces(chunk: Buffer, pieces: readonly TarPiece[]): Buffer {
  toldPieces.set(chunk, pieces);
  return chunk;
}

const longestExtension = 1024 * 1024;
const typeOfFlag = new Map(Object.entries(typeFlags).map(([type, flag]) => [flag, type as TarEntryType]));

/** The pieces of a tar; throws `bad_backup` where it is cut or malformed. */
export async function* scanTar(chunks: AsyncIterable<Buffer>): AsyncGenerator<TarPiece> {
  const scanner = new TarScanner();
  for await (const chunk of chunks) yield* scanner.scan(chunk);
  scanner.end();
}

/** The same for callers that have the chunks in hand: `scan` each one, then `end`. */
export class TarScanner {
  #carry: Buffer = nothing;
  #remaining = 0;
  #padding = 0;
  #zeroBlocks = 0;
  #offset = 0;
  #extension: { flag: string; chunks: Buffer[]; missing: number } | undefined;
  #raw: Buffer[] = [];
  #pax = new Map<string, Buffer>();
  #globalPax = new Map<string, Buffer>();
  #longPath: Buffer | undefined;
  #longLink: Buffer | undefined;

  scan(input: Buffer): Iterable<TarPiece> {
    return this.#takeTold(input) ?? this.#read(input);
  }

  #takeTold(chunk: Buffer): readonly TarPiece[] | undefined {
    const pieces = toldPieces.get(chunk);
    if (!pieces || !this.#isBetweenEntries()) return undefined;
    const last = pieces.at(-1);
    if (last?.type === 'entry') this.#expectData(last.entry.size);
    this.#offset += chunk.length;
    return pieces;
  }

  #isBetweenEntries(): boolean {
    const isAtHeader = this.#remaining === 0 && this.#padding === 0 && this.#carry.length === 0;
    return isAtHeader && this.#raw.length === 0 && this.#zeroBlocks === 0 && this.#globalPax.size === 0;
  }

  #expectData(size: number): void {
    this.#remaining = size;
    this.#padding = paddingOf(size);
  }

  *#read(input: Buffer): Generator<TarPiece> {
    let chunk = input;
    if (this.#carry.length > 0) {
      chunk = Buffer.concat([this.#carry, input]);
      this.#carry = nothing;
    }
    let at = 0;
    while (at < chunk.length) {
      const start = at;
      if (this.#remaining > 0) {
        const take = Math.min(this.#remaining, chunk.length - at);
        at += take;
        this.#remaining -= take;
        const bytes = chunk.subarray(start, at);
        if (this.#extension) this.#takeExtension(bytes);
        else yield { type: 'data', bytes };
      } else if (this.#padding > 0) {
        at += Math.min(this.#padding, chunk.length - at);
        this.#padding -= at - start;
        if (this.#raw.length > 0) this.#raw.push(Buffer.from(chunk.subarray(start, at)));
      } else if (chunk.length - at < blockBytes) {
        this.#carry = Buffer.from(chunk.subarray(at));
        break;
      } else {
        at += blockBytes;
        const piece = this.#takeBlock(chunk.subarray(start, at));
        if (piece) yield piece;
      }
      this.#offset += at - start;
    }
  }

  /** MUST be called when the chunks have ended. */
  end(): void {
    const isWhole = this.#carry.length === 0 && this.#remaining === 0 && this.#padding === 0;
    if (!isWhole || this.#zeroBlocks < 2) throw this.#bad('it ends in the middle');
  }

  #takeBlock(block: Buffer): TarPiece | undefined {
    if (isZero(block)) {
      this.#zeroBlocks += 1;
      return undefined;
    }
    if (this.#zeroBlocks > 0) throw this.#bad('there is data after its end');
    if (checksumOf(block) !== readNumber(block, 148, 8)) throw this.#bad('a header has a wrong checksum');
    const flag = block[156] === 0 ? '0' : String.fromCharCode(block[156] ?? 0);
    const size = readNumber(block, 124, 12);
    if (!Number.isSafeInteger(size) || size < 0) throw this.#bad('a header has no valid size');
    if ('xgLK'.includes(flag)) {
      this.#beginExtension(flag, size, block);
      return undefined;
    }
    return this.#takeEntry(block, flag, size);
  }

  #beginExtension(flag: string, size: number, block: Buffer): void {
    if (size > longestExtension) throw this.#bad('an extended header is too long');
    this.#extension = { flag, chunks: [], missing: size };
    this.#raw.push(Buffer.from(block));
    this.#expectData(size);
    if (size === 0) this.#endExtension();
  }

  #takeExtension(bytes: Buffer): void {
    if (!this.#extension) return;
    const kept = Buffer.from(bytes);
    this.#extension.chunks.push(kept);
    this.#raw.push(kept);
    if (this.#remaining === 0) this.#endExtension();
  }

  #endExtension(): void {
    const data = Buffer.concat(this.#extension?.chunks ?? []);
    const flag = this.#extension?.flag;
    this.#extension = undefined;
    if (flag === 'L') this.#longPath = untilNul(data);
    else if (flag === 'K') this.#longLink = untilNul(data);
    else this.#readPax(data, flag === 'g' ? this.#globalPax : this.#pax);
  }

  #readPax(data: Buffer, into: Map<string, Buffer>): void {
    let at = 0;
    while (at < data.length) {
      const space = data.indexOf(0x20, at);
      const length = Number(data.toString('latin1', at, Math.max(at, space)));
      const record = data.subarray(space + 1, at + length - 1);
      const equals = record.indexOf(0x3d);
      const isGood = space > at && length > 0 && at + length <= data.length && equals > 0;
      if (!isGood || data[at + length - 1] !== 0x0a) throw this.#bad('an extended header is malformed');
      into.set(record.toString('utf8', 0, equals), record.subarray(equals + 1));
      at += length;
    }
  }

  #takeEntry(block: Buffer, flag: string, headerSize: number): TarPiece {
    const pax = new Map([...this.#globalPax, ...this.#pax]);
    const path = take(pax, 'path') ?? this.#longPath ?? pathOf(block);
    const type = this.#typeOf(flag, path);
    const linkPath = take(pax, 'linkpath') ?? this.#longLink;
    for (const key of pax.keys()) if (key.startsWith('GNU.sparse.')) throw this.#bad('it has a sparse entry');
    const size = type === 'file' ? this.#number(pax, 'size', headerSize) : 0;
    const entry: TarEntry = {
      path,
      type,
      size,
      mode: readNumber(block, 100, 8) & 0o7777,
      uid: this.#number(pax, 'uid', readNumber(block, 108, 8)),
      gid: this.#number(pax, 'gid', readNumber(block, 116, 8)),
      mtime: this.#number(pax, 'mtime', readNumber(block, 136, 12)),
      ...(type === 'link' || type === 'symlink'
        ? { linkPath: linkPath ?? Buffer.from(untilNul(block.subarray(157, 257))) }
        : {}),
      ...(type.endsWith('-device')
        ? { devMajor: readNumber(block, 329, 8), devMinor: readNumber(block, 337, 8) }
        : {}),
      ...(pax.size > 0 ? { pax } : {}),
    };
    const raw = this.#raw.length === 0 ? block : Buffer.concat([...this.#raw, block]);
    this.#raw = [];
    this.#pax = new Map();
    this.#longPath = undefined;
    this.#longLink = undefined;
    this.#expectData(size);
    return { type: 'entry', entry, raw };
  }

  #typeOf(flag: string, path: Buffer): TarEntryType {
    if (flag === '0' && path.at(-1) === 0x2f) return 'directory';
    const type = typeOfFlag.get(flag === '7' ? '0' : flag);
    if (!type) throw this.#bad(`it has an entry of the unknown type "${flag}"`);
    return type;
  }

  #number(pax: Map<string, Buffer>, key: string, otherwise: number): number {
    const record = take(pax, key);
    const value = record ? Number(record.toString('latin1')) : otherwise;
    const isGood = key === 'mtime' ? Number.isFinite(value) : Number.isSafeInteger(value) && value >= 0;
    if (!isGood) throw this.#bad(`a header has no valid ${key}`);
    return value;
  }

  #bad(what: string): PkbackupError {
    return new PkbackupError('bad_backup', `the tar is not whole: ${what} (at byte ${this.#offset})`);
  }
}

function take(pax: Map<string, Buffer>, key: string): Buffer | undefined {
  const value = pax.get(key);
  pax.delete(key);
  return value;
}

function pathOf(block: Buffer): Buffer {
  const name = Buffer.from(untilNul(block.subarray(0, 100)));
  // Only POSIX's magic ends with NUL; in GNU's own format the prefix field holds other things.
  const isPosix = block.toString('latin1', 257, 263) === 'ustar\0';
  const prefix = isPosix ? untilNul(block.subarray(345, 500)) : nothing;
  return prefix.length > 0 ? Buffer.concat([prefix, Buffer.from('/'), name]) : name;
}

function untilNul(bytes: Buffer): Buffer {
  const end = bytes.indexOf(0);
  return end === -1 ? bytes : bytes.subarray(0, end);
}

/** Octal with spaces around it, as tars write it; empty is 0. NaN where it is none. */
function readNumber(block: Buffer, offset: number, width: number): number {
  const end = offset + width;
  if ((block[offset] ?? 0) & 0x80) return readBase256(block.subarray(offset, end));
  let at = offset;
  while (at < end && block[at] === space) at += 1;
  let value = 0;
  for (; at < end; at += 1) {
    const digit = (block[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 7) break;
    value = value * 8 + digit;
  }
  for (; at < end && block[at] !== 0; at += 1) if (block[at] !== space) return Number.NaN;
  return value;
}

const space = 0x20;

/** Two's complement, the top bit of the first byte being the mark of this form. */
function readBase256(field: Buffer): number {
  const isNegative = ((field[0] ?? 0) & 0x40) !== 0;
  let value = isNegative ? -1n : 0n;
  for (const [index, byte] of field.entries()) {
    const bits = index === 0 ? (isNegative ? byte | 0x80 : byte & 0x7f) : byte;
    value = (value << 8n) | BigInt(bits);
  }
  return Number(value);
}

function paddingOf(size: number): number {
  return (blockBytes - (size % blockBytes)) % blockBytes;
}

function isZero(block: Buffer): boolean {
  return block[0] === 0 && block[257] === 0 && block.equals(zeroBlock);
}

const zeroBlock = Buffer.alloc(blockBytes);
