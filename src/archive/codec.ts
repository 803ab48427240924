// One member at a time: compressed so that every gunzip (or zstd) reads it, with its own length and that of its content in a
// place that those skip, so that a reader can hop from member to member and work on many at once.
//   gzip: a header without time whose extra field "PK" holds the lengths (RFC 1952, 2.3.1.1), as BGZF does it
//   zstd: a skippable frame with the lengths, then a frame with content size and checksum (RFC 8878, 3.1.2)
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { PkbackupError } from '../errors.ts';
import { type Compression, compressionLevels } from '../words.ts';
import { looksRandom } from './looks-random.ts';
import { longestMemberBytes } from './members.ts';
import { compressedBound } from './slabs.ts';

export interface Codec {
  readonly compression: Compression;
  /** Bytes at a member's start in which its length can be read. */
  readonly headBytes: number;
  /** The member as buffers to be written one after the other. */
  compress(raw: Buffer): Promise<Buffer[]>;
  /** The same while the caller waits. */
  compressNow(raw: Buffer): Buffer[];
  /** Whether an archive that starts so is one of ours, or was made by another tool. */
  isOurs(head: Buffer): boolean;
  /** What the member that starts here says of itself; undefined where that cannot be. */
  readHead(head: Buffer): MemberHead | undefined;
  /** `rawLength` is as its head says; a member of another length is an error. */
  decompress(member: Buffer, rawLength: number): Promise<Buffer>;
}

export interface MemberHead {
  /** Bytes of the whole member. */
  readonly length: number;
  /** Bytes of its content. */
  readonly rawLength: number;
}

const gzip = promisify<Buffer, zlib.ZlibOptions, Buffer>(zlib.gzip);
const gunzip = promisify<Buffer, zlib.ZlibOptions, Buffer>(zlib.gunzip);
const zstdCompress = promisify<Buffer, zlib.ZstdOptions, Buffer>(zlib.zstdCompress);
const zstdDecompress = promisify<Buffer, zlib.ZstdOptions, Buffer>(zlib.zstdDecompress);

const plainGzipHeaderBytes = 10;
/** Two numbers of 32 bits, little-endian: the length of the member, and of its content. */
const lengthsBytes = 8;
/** ID, method deflate, flag FEXTRA, no time, no hint, system unknown, 12 bytes of extra: subfield "PK" of 8 bytes. */
const gzipHead = Buffer.from([0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 12, 0, 0x50, 0x4b, 8, 0]);
const skippableHead = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 8, 0, 0, 0]);

export function codecOf(
  compression: Compression,
  level: number = compressionLevels[compression].usual,
): Codec {
  return compression === 'gzip' ? gzipCodec(level) : zstdCodec(level);
}

function gzipCodec(level: number): Codec {
  return {
    compression: 'gzip',
    headBytes: gzipHead.length + lengthsBytes,
    compress: async (raw) => gzipMember(await gzip(raw, gzipOptions(raw, level)), raw),
    compressNow: (raw) => gzipMember(zlib.gzipSync(raw, gzipOptions(raw, level)), raw),
    isOurs: (head) => startsWith(gzipHead, head),
    readHead: (head) => readHead(gzipHead, head),
    decompress: (member, rawLength) => good(gunzip(member, outputOf(rawLength)), rawLength),
  };
}

function zstdCodec(level: number): Codec {
  const { ZSTD_c_compressionLevel, ZSTD_c_checksumFlag } = zlib.constants;
  const params = { [ZSTD_c_compressionLevel]: level, [ZSTD_c_checksumFlag]: 1 };
  const optionsFor = ({ length }: Buffer) => ({
    params,
    chunkSize: compressedBound(length),
    pledgedSrcSize: length,
  });
  return {
    compression: 'zstd',
    headBytes: skippableHead.length + lengthsBytes,
    compress: async (raw) => zstdMember(await zstdCompress(raw, optionsFor(raw)), raw),
    compressNow: (raw) => zstdMember(zlib.zstdCompressSync(raw, optionsFor(raw)), raw),
    isOurs: (head) => startsWith(skippableHead, head),
    readHead: (head) => readHead(skippableHead, head),
    decompress: (member, rawLength) => {
      const frame = member.subarray(skippableHead.length + lengthsBytes);
      return good(zstdDecompress(frame, outputOf(rawLength)), rawLength);
    },
  };
}

/** zstd passes over what cannot be compressed by itself; deflate labours at it as at anything else. */
function gzipOptions(raw: Buffer, level: number): zlib.ZlibOptions {
  return {
    level: looksRandom(raw) ? zlib.constants.Z_NO_COMPRESSION : level,
    chunkSize: compressedBound(raw.length),
    memLevel: 9,
  };
}

function gzipMember(plain: Buffer, raw: Buffer): Buffer[] {
  const body = plain.subarray(plainGzipHeaderBytes);
  return [headOf(gzipHead, body.length, raw.length), body];
}

function zstdMember(frame: Buffer, raw: Buffer): Buffer[] {
  return [headOf(skippableHead, frame.length, raw.length), frame];
}

/** The buffers of a member, one after the other; their length. The content that they came of MUST NOT be needed any more. */
export function putInto(target: Buffer, buffers: readonly Buffer[]): number {
  const length = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
  if (length > target.length)
    throw new Error(`a member of ${length} bytes does not fit into ${target.length}`);
  let at = 0;
  for (const buffer of buffers) at += buffer.copy(target, at);
  return length;
}

function outputOf(rawLength: number): { chunkSize: number; maxOutputLength: number } {
  return { chunkSize: Math.max(64, rawLength + 1), maxOutputLength: longestMemberBytes };
}

function headOf(head: Buffer, bodyLength: number, rawLength: number): Buffer {
  const bytes = Buffer.alloc(head.length + lengthsBytes);
  head.copy(bytes);
  bytes.writeUInt32LE(bytes.length + bodyLength, head.length);
  bytes.writeUInt32LE(rawLength, head.length + 4);
  return bytes;
}

function startsWith(expected: Buffer, head: Buffer): boolean {
  return head.subarray(0, expected.length).equals(expected);
}

function readHead(expected: Buffer, head: Buffer): MemberHead | undefined {
  const headLength = expected.length + lengthsBytes;
  if (head.length < headLength || !startsWith(expected, head)) return undefined;
  const length = head.readUInt32LE(expected.length);
  const rawLength = head.readUInt32LE(expected.length + 4);
  const isPossible =
    length > headLength && length <= 2 * longestMemberBytes && rawLength <= longestMemberBytes;
  return isPossible ? { length, rawLength } : undefined;
}

async function good(decompressed: Promise<Buffer>, rawLength: number): Promise<Buffer> {
  try {
    const raw = await decompressed;
    if (raw.length !== rawLength) throw new Error(`expected ${rawLength} bytes, found ${raw.length}`);
    return raw;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new PkbackupError('bad_backup', `the compressed data is damaged: ${why}`, { cause });
  }
}
