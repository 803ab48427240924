// PostgreSQL's custom dump format, read as it flows by: the table of contents first, then the blocks of data. It has no end
// mark and, uncompressed, no checksum, and `pg_restore --list` is content with a cut one; so every entry that has data must
// have its block, and every table's block must end as COPY ends. Rows are counted on the way: what the dump holds,
// table by table, in the very snapshot it was made in. After pg_backup_archiver.h: versions 1.12 (PostgreSQL 9.0) to 1.16 (17, 18).
import { PkbackupError } from '../../errors.ts';

export interface TocEntry {
  readonly id: number;
  /** TABLE, TABLE DATA, EXTENSION, DATABASE, ACL ... */
  readonly type: string;
  readonly tag: string;
  readonly schema: string;
  readonly owner: string;
  readonly tablespace: string;
  readonly sql: string;
  readonly hasData: boolean;
}

export interface Toc {
  /** Of the format: `1.16`. */
  readonly format: string;
  /** Whether rows can be counted. */
  readonly isCompressed: boolean;
  readonly database: string;
  /** `17.11 (Debian 17.11-1)`. */
  readonly serverVersion: string;
  readonly toolVersion: string;
  readonly entries: readonly TocEntry[];
}

/** Rows by id of the TABLE DATA entry. */
export interface DumpCounts {
  readonly rows: ReadonlyMap<number, number>;
  readonly largeObjects: number;
  readonly bytes: number;
}

const longestTocBytes = 512 * 1024 * 1024;
const dataBlock = 1;
const largeObjectsBlock = 3;
const noData = 3;
/** How COPY ends in a dump; its three line ends are no rows. */
const copyEnd = Buffer.from('\\.\n\n\n');
const copyEndLines = 3;

/** Feed it with `read`, then `end`; both throw `bad_backup` where the dump is not whole. */
export class DumpReader {
  readonly #name: string;
  #state: 'toc' | 'block' | 'large object' | 'length' | 'data' = 'toc';
  #tocReader = new TocReader();
  #toc: Toc | undefined;
  #carry: Buffer = Buffer.alloc(0);
  #bytes = 0;
  #expected = new Map<number, TocEntry>();
  #rows = new Map<number, number>();
  #largeObjects = 0;
  #current: { entry: TocEntry; type: number } | undefined;
  #missing = 0;
  #lines = 0;
  #tail: Buffer = Buffer.alloc(0);

  /** `name` is for messages. */
  constructor(name: string) {
    this.#name = name;
  }

  /** Undefined until all of it was read. */
  get toc(): Toc | undefined {
    return this.#toc;
  }

  get counts(): DumpCounts {
    return { rows: this.#rows, largeObjects: this.#largeObjects, bytes: this.#bytes };
  }

  read(chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#state === 'toc') this.#readToc(chunk);
    else this.#readBlocks(chunk);
  }

  end(): { toc: Toc; counts: DumpCounts } {
    if (this.#bytes === 0) throw this.#bad('it is empty');
    if (!this.#toc) throw this.#bad('it ends in its table of contents');
    if (this.#state !== 'block' || this.#carry.length > 0) {
      throw this.#bad(`it ends in the middle of ${describe(this.#current?.entry)}`);
    }
    const [missing] = this.#expected.values();
    if (missing) throw this.#bad(`${describe(missing)} is missing`);
    return { toc: this.#toc, counts: this.counts };
  }

  #readToc(chunk: Buffer): void {
    const result = this.#tocReader.read(chunk, (why) => this.#bad(why));
    if (!result) return;
    this.#toc = result.toc;
    for (const entry of result.toc.entries) if (entry.hasData) this.#expected.set(entry.id, entry);
    this.#state = 'block';
    this.#readBlocks(result.rest);
  }

  #readBlocks(input: Buffer): void {
    const chunk = this.#carry.length === 0 ? input : Buffer.concat([this.#carry, input]);
    let at = 0;
    while (at < chunk.length) {
      if (this.#state === 'data') {
        const end = Math.min(chunk.length, at + this.#missing);
        this.#takeData(chunk.subarray(at, end));
        this.#missing -= end - at;
        at = end;
        if (this.#missing === 0) this.#state = 'length';
        continue;
      }
      const needed = this.#state === 'block' ? 6 : 5;
      if (chunk.length - at < needed) break;
      if (this.#state === 'block') this.#startBlock(chunk[at] ?? 0, intAt(chunk, at + 1));
      else if (this.#state === 'large object') this.#startLargeObject(intAt(chunk, at));
      else this.#startData(intAt(chunk, at));
      at += needed;
    }
    // A copy: the rest of the chunk need not be kept for a few bytes.
    this.#carry = Buffer.from(chunk.subarray(at));
  }

  #startBlock(type: number, id: number): void {
    const entry = this.#expected.get(id);
    if (type !== dataBlock && type !== largeObjectsBlock)
      throw this.#bad(`a block has the unknown type ${type}`);
    if (!entry) throw this.#bad(`a block belongs to no entry (${id})`);
    this.#expected.delete(id);
    this.#current = { entry, type };
    this.#lines = 0;
    this.#tail = Buffer.alloc(0);
    this.#state = type === dataBlock ? 'length' : 'large object';
  }

  #startLargeObject(oid: number): void {
    if (oid === 0) {
      this.#state = 'block';
      return;
    }
    this.#largeObjects += 1;
    this.#state = 'length';
  }

  #startData(length: number): void {
    if (length < 0) throw this.#bad(`${describe(this.#current?.entry)} has a piece of a wrong length`);
    this.#missing = length;
    if (length > 0) this.#state = 'data';
    else if (this.#current?.type === largeObjectsBlock) this.#state = 'large object';
    else this.#endBlock();
  }

  #takeData(bytes: Buffer): void {
    if (this.#current?.type !== dataBlock || this.#toc?.isCompressed) return;
    for (let at = bytes.indexOf(10); at !== -1; at = bytes.indexOf(10, at + 1)) this.#lines += 1;
    const last = bytes.length >= copyEnd.length ? bytes : Buffer.concat([this.#tail, bytes]);
    this.#tail = Buffer.from(last.subarray(-copyEnd.length));
  }

  #endBlock(): void {
    const entry = this.#current?.entry;
    if (entry?.type === 'TABLE DATA' && !this.#toc?.isCompressed) {
      if (!this.#tail.equals(copyEnd)) throw this.#bad(`${describe(entry)} is cut`);
      this.#rows.set(entry.id, this.#lines - copyEndLines);
    }
    this.#state = 'block';
    this.#current = undefined;
  }

  #bad(why: string): PkbackupError {
    return new PkbackupError('bad_backup', `${this.#name} is not a whole dump: ${why}`);
  }
}

function describe(entry: TocEntry | undefined): string {
  if (!entry) return 'a block';
  return entry.type === 'TABLE DATA'
    ? `the data of table "${entry.schema}.${entry.tag}"`
    : `the data of "${entry.tag}"`;
}

/** A sign, then the value; the sizes in the header are checked to be four bytes. */
function intAt(bytes: Buffer, at: number): number {
  const value = bytes.readUInt32LE(at + 1);
  return bytes[at] === 0 ? value : -value;
}

class NeedsMore extends Error {}

/** Entry by entry, so that a long table of contents is read once although it comes in many chunks. */
class TocReader {
  #buffer: Buffer = Buffer.alloc(0);
  #length = 0;
  #at = 0;
  #head: Omit<Toc, 'entries'> | undefined;
  #expected = 0;
  #minor = 0;
  #entries: TocEntry[] = [];

  read(chunk: Buffer, bad: (why: string) => PkbackupError): { toc: Toc; rest: Buffer } | undefined {
    this.#append(chunk);
    if (this.#length > longestTocBytes) throw bad('its table of contents is too long');
    let good = this.#at;
    try {
      if (!this.#head) {
        this.#head = this.#readHead(bad);
        good = this.#at;
      }
      while (this.#entries.length < this.#expected) {
        this.#entries.push(this.#readEntry(bad));
        good = this.#at;
      }
    } catch (error) {
      if (!(error instanceof NeedsMore)) throw error;
      this.#at = good;
      return undefined;
    }
    const rest = this.#buffer.subarray(this.#at, this.#length);
    return { toc: { ...this.#head, entries: this.#entries }, rest };
  }

  #append(chunk: Buffer): void {
    const needed = this.#length + chunk.length;
    if (needed > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(needed, 2 * this.#buffer.length, 64 * 1024));
      this.#buffer.copy(grown, 0, 0, this.#length);
      this.#buffer = grown;
    }
    chunk.copy(this.#buffer, this.#length);
    this.#length = needed;
  }

  #readHead(bad: (why: string) => PkbackupError): Omit<Toc, 'entries'> {
    const magic = this.#bytes(Math.min(5, Math.max(1, this.#length - this.#at)));
    if (!'PGDMP'.startsWith(magic.toString('latin1'))) throw bad('it does not start with "PGDMP"');
    if (magic.length < 5) throw new NeedsMore();
    const [major = 0, minor = 0, , intBytes, offsetBytes, kind] = this.#bytes(6);
    const format = `${major}.${minor}`;
    if (major !== 1 || minor < 12) throw bad(`its format ${format} is not known (expected 1.12 or newer)`);
    if (kind !== 1) throw bad(`it is not of the custom format (expected 1, got ${kind})`);
    if (intBytes !== 4 || offsetBytes !== 8) throw bad('it was written by a machine of an unknown kind');
    this.#minor = minor;
    const isCompressed = minor >= 15 ? this.#byte() !== 0 : this.#int() !== 0;
    // Seconds, minutes ... of when it was made.
    for (let field = 0; field < 7; field += 1) this.#int();
    const database = this.#text();
    const serverVersion = this.#text();
    const toolVersion = this.#text();
    this.#expected = this.#int();
    return { format, isCompressed, database, serverVersion, toolVersion };
  }

  #readEntry(bad: (why: string) => PkbackupError): TocEntry {
    const id = this.#int();
    this.#int(); // whether it had a dumper: the state of the data below says more
    this.#text(); // oid of the catalog
    this.#text(); // oid
    const tag = this.#text();
    const type = this.#text();
    this.#int(); // section
    const sql = this.#text();
    this.#text(); // DROP
    this.#text(); // COPY
    const schema = this.#text();
    const tablespace = this.#text();
    if (this.#minor >= 14) this.#text(); // table access method
    if (this.#minor >= 16) this.#int(); // relkind
    const owner = this.#text();
    this.#text(); // with oids
    while (this.#string() !== undefined); // dependencies
    const state = this.#byte();
    this.#bytes(8); // offset
    if (state < 1 || state > noData) throw bad(`entry ${id} of its table of contents is malformed`);
    return { id, type, tag, schema, owner, tablespace, sql, hasData: state !== noData };
  }

  #byte(): number {
    return this.#bytes(1)[0] ?? 0;
  }

  #int(): number {
    return intAt(this.#bytes(5), 0);
  }

  #text(): string {
    return this.#string() ?? '';
  }

  #string(): string | undefined {
    const length = this.#int();
    return length < 0 ? undefined : this.#bytes(length).toString('utf8');
  }

  #bytes(count: number): Buffer {
    if (this.#at + count > this.#length) throw new NeedsMore();
    this.#at += count;
    return this.#buffer.subarray(this.#at - count, this.#at);
  }
}
