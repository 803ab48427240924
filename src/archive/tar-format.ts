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
  const { path, linkPath, mtime } = entry;
  const place = placeName(path);
  const linkFits = !linkPath || linkPath.length <= nameBytes;
  const records = place && linkFits && !entry.pax ? [] : [...(entry.pax ?? [])];
  const blocks: Buffer[] = [];
  if (!place) addLongName(path, 'path', 'L', records, blocks);
  if (linkPath && !linkFits) addLongName(linkPath, 'linkpath', 'K', records, blocks);
  const seconds = Math.floor(mtime);
  if (seconds !== mtime) records.push(['mtime', Buffer.from(mtime.toFixed(9), 'latin1')]);
  if (records.length > 0) blocks.push(extension('x', encodePax(new Map(records))));
  blocks.push(
    headerBlock({
      name: place?.name ?? path.subarray(0, nameBytes),
      prefix: place?.prefix,
      flag: typeFlags[entry.type],
      size: entry.size,
      mode: entry.mode,
      uid: entry.uid,
      gid: entry.gid,
      mtime: seconds,
      linkPath: linkPath?.subarray(0, nameBytes),
      devMajor: entry.devMajor,
      devMinor: entry.devMinor,
    }),
  );
  return blocks.length === 1 && blocks[0] ? blocks[0] : Buffer.concat(blocks);
}

type PaxRecord = [key: string, value: Buffer];

function placeName(path: Buffer): { name: Buffer; prefix?: Buffer } | undefined {
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

/** The last one that was made: of many files in a row they are the same, because a time is always as long. */
let extensionHeader: { readonly key: string; readonly block: Buffer } | undefined;

function extension(flag: string, data: Buffer): Buffer {
  const key = `${flag}${data.length}`;
  if (extensionHeader?.key !== key) {
    const name = flag === 'x' ? extensionNames.x : extensionNames.L;
    const block = headerBlock({ name, flag, size: data.length, mode: 0o644, uid: 0, gid: 0, mtime: 0 });
    extensionHeader = { key, block };
  }
  return Buffer.concat([extensionHeader.block, data, padding(data.length)]);
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

function headerBlock(fields: HeaderFields): Buffer {
  const block = Buffer.alloc(blockBytes);
  fields.name.copy(block, 0);
  writeNumber(block, 100, 8, fields.mode);
  writeNumber(block, 108, 8, fields.uid);
  writeNumber(block, 116, 8, fields.gid);
  writeNumber(block, 124, 12, fields.size);
  writeNumber(block, 136, 12, fields.mtime);
  block[156] = fields.flag.charCodeAt(0);
  fields.linkPath?.copy(block, 157);
  magic.copy(block, 257);
  writeNumber(block, 329, 8, fields.devMajor ?? 0);
  writeNumber(block, 337, 8, fields.devMinor ?? 0);
  fields.prefix?.copy(block, 345);
  // Six digits, NUL, space: as every tar has it.
  writeNumber(block, 148, 7, checksumOf(block));
  block[155] = 0x20;
  return block;
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

/** Sum of the block's bytes, its own checksum field counted as spaces. */
export function checksumOf(block: Buffer): number {
  let sum = 8 * 0x20;
  for (let at = 0; at < 148; at += 1) sum += block[at] ?? 0;
  for (let at = 156; at < blockBytes; at += 1) sum += block[at] ?? 0;
  return sum;
}
