// The tar format (POSIX ustar with pax records, as GNU tar, bsdtar and the Docker Engine write and read it): entries to
// header blocks. tar-scan.ts is the way back. Names are bytes, because a volume may hold names that are not UTF-8.
// Our own because the byte path must not lose anything: tar-stream 3.2 cuts user ids above 2097151 and times after 2038
// or before 1970, turns mode 0 into 644, mangles names that are not UTF-8, and takes a tar without an end.
import { isUtf8 } from 'node:buffer';

export type TarEntryType =
  | 'file'
  | 'link'
  | 'symlink'
  | 'character-device'
  | 'block-device'
  | 'directory'
  | 'fifo';

export interface TarEntry {
  /** As in the tar: relative, with a trailing slash for directories where the tar has it. */
  readonly path: Buffer;
  readonly type: TarEntryType;
  /** Bytes of data that follow; 0 for everything but files. */
  readonly size: number;
  /** Permission bits with set-id and sticky, 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since 1970, with a fraction where the tar has one. */
  readonly mtime: number;
  /** Target of a link or symlink. */
  readonly linkPath?: Buffer;
  readonly devMajor?: number;
  readonly devMinor?: number;
  /** pax records that have no field above (extended attributes ...), kept as they are. */
  readonly pax?: ReadonlyMap<string, Buffer>;
}

export const blockBytes = 512;
export const nothing: Buffer = Buffer.alloc(0);
/** Two blocks of zeros: without them a tar was cut. */
export const endOfArchive: Buffer = Buffer.alloc(2 * blockBytes);

export const typeFlags: Readonly<Record<TarEntryType, string>> = {
  file: '0',
  link: '1',
  symlink: '2',
  'character-device': '3',
  'block-device': '4',
  directory: '5',
  fifo: '6',
};

const nameBytes = 100;
const prefixBytes = 155;
const magic = Buffer.from('ustar\x0000', 'latin1');

/** Name of an entry for people; bytes that are not UTF-8 become U+FFFD. */
export function nameOf(entry: TarEntry): string {
  return entry.path.toString('utf8');
}

/** The zeros that fill the data of an entry up to a whole block. */
export function padding(sizeBytes: number): Buffer {
  const rest = sizeBytes % blockBytes;
  return endOfArchive.subarray(0, rest === 0 ? 0 : blockBytes - rest);
}

/** The header blocks of an entry, extended ones first where the entry needs them. */
export function encodeEntry(entry: TarEntry): Buffer {
  const place = placeName(entry.path);
  const extended = extendedOf(entry, place);
  const blocks = Buffer.allocUnsafe(extended.length + blockBytes);
  putHeaders(blocks, 0, entry, place, extended);
  return blocks;
}

/** The same at `at` of `target`; gives their length. Throws `RangeError` where they do not fit. */
export function encodeInto(target: Buffer, at: number, entry: TarEntry): number {
  const place = placeName(entry.path);
  const extended = extendedOf(entry, place);
  const length = extended.length + blockBytes;
  if (at + length > target.length) throw new RangeError(`${length} bytes of headers do not fit`);
  putHeaders(target, at, entry, place, extended);
  return length;
}

function putHeaders(
  target: Buffer,
  at: number,
  entry: TarEntry,
  place: NamePlace | undefined,
  extended: Buffer,
): void {
  if (extended.length > 0) extended.copy(target, at);
  const { path, linkPath, mtime } = entry;
  putHeader(target, at + extended.length, {
    name: place?.name ?? path.subarray(0, nameBytes),
    prefix: place?.prefix,
    flag: typeFlags[entry.type],
    size: entry.size,
    mode: entry.mode,
    uid: entry.uid,
    gid: entry.gid,
    mtime: Math.floor(mtime),
    linkPath: linkPath?.subarray(0, nameBytes),
    devMajor: entry.devMajor,
    devMinor: entry.devMinor,
  });
}

/** What does not fit into the header; good until the next call. */
function extendedOf(entry: TarEntry, place: NamePlace | undefined): Buffer {
  const { path, linkPath, pax, mtime } = entry;
  const isLong = place === undefined;
  const hasLongLink = linkPath !== undefined && linkPath.length > nameBytes;
  const time = Math.floor(mtime) === mtime ? undefined : mtime.toFixed(9);
  if (!isLong && !hasLongLink && !pax) return time === undefined ? nothing : timeAlone(time);
  const records: PaxRecord[] = [...(pax ?? [])];
  const blocks: Buffer[] = [];
  if (isLong) addLongName(path, 'path', 'L', records, blocks);
  if (hasLongLink) addLongName(linkPath, 'linkpath', 'K', records, blocks);
  if (time !== undefined) records.push(['mtime', Buffer.from(time, 'latin1')]);
  if (records.length > 0) blocks.push(extension('x', encodePax(new Map(records))));
  return Buffer.concat(blocks);
}

/** Of the last time that was as long; most entries differ in its digits alone. */
let lastTime: { readonly digits: number; readonly blocks: Buffer; readonly at: number } | undefined;

function timeAlone(time: string): Buffer {
  if (lastTime?.digits !== time.length) {
    const blocks = extension('x', encodePax(new Map([['mtime', Buffer.from(time, 'latin1')]])));
    lastTime = { digits: time.length, blocks, at: blocks.indexOf('mtime=') + 'mtime='.length };
  }
  lastTime.blocks.write(time, lastTime.at, 'latin1');
  return lastTime.blocks;
}

type PaxRecord = [key: string, value: Buffer];

interface NamePlace {
  readonly name: Buffer;
  readonly prefix?: Buffer;
}

/** Undefined where it fits into no header. */
function placeName(path: Buffer): NamePlace | undefined {
  if (path.length <= nameBytes) return { name: path };
  // The slash that parts prefix and name is not stored; the name must not become empty.
  for (let slash = path.indexOf(0x2f); slash !== -1; slash = path.indexOf(0x2f, slash + 1)) {
    const rest = path.length - slash - 1;
    if (slash > prefixBytes) return undefined;
    if (slash > 0 && rest > 0 && rest <= nameBytes) {
      return { prefix: path.subarray(0, slash), name: path.subarray(slash + 1) };
    }
  }
  return undefined;
}

/** pax holds UTF-8 only, so a long name of other bytes takes GNU's form, which every tar reads too. */
function addLongName(
  path: Buffer,
  key: string,
  gnuFlag: string,
  records: PaxRecord[],
  blocks: Buffer[],
): void {
  if (isUtf8(path)) records.push([key, path]);
  else blocks.push(extension(gnuFlag, Buffer.concat([path, Buffer.from([0])])));
}

const extensionNames = { x: Buffer.from('./PaxHeaders'), L: Buffer.from('././@LongLink') };

function extension(flag: string, data: Buffer): Buffer {
  const name = flag === 'x' ? extensionNames.x : extensionNames.L;
  const header = Buffer.allocUnsafe(blockBytes);
  putHeader(header, 0, { name, flag, size: data.length, mode: 0o644, uid: 0, gid: 0, mtime: 0 });
  return Buffer.concat([header, data, padding(data.length)]);
}

function encodePax(records: ReadonlyMap<string, Buffer>): Buffer {
  const encoded = [...records].map(([key, value]) => paxRecord(key, value));
  return encoded.length === 1 && encoded[0] ? encoded[0] : Buffer.concat(encoded);
}

/** `LENGTH KEY=VALUE\n`, where LENGTH counts its own digits. */
function paxRecord(key: string, value: Buffer): Buffer {
  const name = ` ${key}=`;
  const bodyBytes = Buffer.byteLength(name) + value.length + 1;
  let length = bodyBytes + 1;
  while (String(length).length + bodyBytes > length) length += 1;
  const record = Buffer.allocUnsafe(length);
  const start = record.write(`${length}${name}`);
  value.copy(record, start);
  record[length - 1] = 0x0a;
  return record;
}

interface HeaderFields {
  name: Buffer;
  prefix?: Buffer | undefined;
  flag: string;
  size: number;
  mode: number;
  uid: number;
  gid: number;
  mtime: number;
  linkPath?: Buffer | undefined;
  devMajor?: number | undefined;
  devMinor?: number | undefined;
}

/** What is the same in nearly all: one copy is quicker than many writes. */
const emptyHeader = Buffer.alloc(blockBytes);
magic.copy(emptyHeader, 257);
for (const at of [329, 337]) writeNumber(emptyHeader, at, 8, 0);
emptyHeader[155] = 0x20;

function putHeader(target: Buffer, at: number, fields: HeaderFields): void {
  emptyHeader.copy(target, at);
  fields.name.copy(target, at);
  writeNumber(target, at + 100, 8, fields.mode);
  writeNumber(target, at + 108, 8, fields.uid);
  writeNumber(target, at + 116, 8, fields.gid);
  writeNumber(target, at + 124, 12, fields.size);
  writeNumber(target, at + 136, 12, fields.mtime);
  target[at + 156] = fields.flag.charCodeAt(0);
  fields.linkPath?.copy(target, at + 157);
  if (fields.devMajor) writeNumber(target, at + 329, 8, fields.devMajor);
  if (fields.devMinor) writeNumber(target, at + 337, 8, fields.devMinor);
  fields.prefix?.copy(target, at + 345);
  // Six digits, NUL, space: as every tar has it.
  writeNumber(target, at + 148, 7, checksumOf(target, at));
}

/** Octal with a NUL behind it, or GNU's base-256 where it does not fit or is negative. */
function writeNumber(block: Buffer, offset: number, width: number, value: number): void {
  if (value < 0 || value >= (width === 12 ? 2 ** 33 : 2 ** 21)) {
    writeBase256(block, offset, width, value);
    return;
  }
  // Numbers of more than 32 bits in two parts: bits are quicker than a division for each digit.
  let low = value % 2 ** 24;
  let high = (value - low) / 2 ** 24;
  for (let at = offset + width - 2, digits = 0; at >= offset; at -= 1, digits += 1) {
    block[at] = 0x30 + ((digits < 8 ? low : high) & 7);
    if (digits < 8) low >>= 3;
    else high >>= 3;
  }
}

function writeBase256(block: Buffer, offset: number, width: number, value: number): void {
  const bytes = Buffer.alloc(width, value < 0 ? 0xff : 0);
  bytes.writeBigInt64BE(BigInt(value), width - 8);
  if (width === 8) bytes[0] = value < 0 ? 0xff : 0;
  bytes[0] = (bytes[0] ?? 0) | 0x80;
  bytes.copy(block, offset);
}

/** Sum of the bytes of the block at `start`, its own checksum field counted as spaces. */
export function checksumOf(bytes: Buffer, start = 0): number {
  let sum = 8 * 0x20;
  for (let at = start; at < start + 148; at += 1) sum += bytes[at] ?? 0;
  for (let at = start + 156; at < start + blockBytes; at += 1) sum += bytes[at] ?? 0;
  return sum;
}
