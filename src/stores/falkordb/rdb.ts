// Reads a Redis dump (dump.rdb) as it flows by: every byte has its place, the checksum is right, and FalkorDB's own
// headers say how many nodes and edges each graph has. So the counts are those of the copy itself, whatever writers do
// meanwhile, and a copy can be checked where there is no server. It keeps nothing but numbers and names.
// The format: rdb.c and rdb.h of Redis 7.2 to 8.2; the header of a graph: encode_graph.c of FalkorDB, encodings 10 to 19.
import { messageOf } from '../../errors.ts';
import { Crc64 } from './crc64.ts';

export interface RdbFacts {
  readonly bytes: number;
  /** 12 for `REDIS0012`. */
  readonly format: number;
  readonly redisVersion: string | undefined;
  /** When the save began, by the clock of the server. */
  readonly savedAtSeconds: number | undefined;
  /** The newest encoding of graphs in the file. */
  readonly graphEncoding: number | undefined;
  readonly graphs: readonly { readonly name: string; readonly nodes: number; readonly edges: number }[];
  /** All that a server loads: also the parts of large graphs and FalkorDB's own streams. */
  readonly keys: number;
  /** Keys that people made beside the graphs. */
  readonly otherKeys: number;
  readonly findings: readonly string[];
  /** Set where the file holds what this reader does not know; then graphs and keys are not complete. */
  readonly unknown: string | undefined;
}

const footerBytes = 8;
const headBytes = 4096;
const opcode = {
  slotInfo: 0xf4,
  function: 0xf5,
  functionOld: 0xf6,
  moduleAux: 0xf7,
  idle: 0xf8,
  frequency: 0xf9,
  aux: 0xfa,
  resize: 0xfb,
  expiryMs: 0xfc,
  expiry: 0xfd,
  select: 0xfe,
  end: 0xff,
} as const;

type Step<Value = void> = Generator<undefined, Value, undefined>;
type Collected = { -readonly [Key in keyof RdbFacts]: RdbFacts[Key] } & {
  graphs: { name: string; nodes: number; edges: number }[];
  findings: string[];
};

class Damage extends Error {}
class Unknown extends Error {}

export class RdbReader {
  readonly #facts: Collected = {
    bytes: 0,
    format: 0,
    redisVersion: undefined,
    savedAtSeconds: undefined,
    graphEncoding: undefined,
    graphs: [],
    keys: 0,
    otherKeys: 0,
    findings: [],
    unknown: undefined,
  };
  readonly #crc = new Crc64();
  /** The last bytes are the checksum, which is not a part of what it is made over. */
  #tail: Buffer = Buffer.alloc(0);
  #window: Buffer = Buffer.alloc(0);
  #at = 0;
  /** Came after the end, or after what is not known. */
  #hasMore = false;
  #parse: Step | undefined = this.#file();

  /** The chunk is not needed afterwards: whoever writes it on may give its memory up. */
  push(chunk: Buffer): void {
    this.#facts.bytes += chunk.length;
    this.#hash(chunk);
    if (!this.#parse) {
      this.#hasMore ||= chunk.length > 0;
      return;
    }
    this.#window = this.#bytesBehind === 0 ? chunk : Buffer.concat([this.#window, chunk]);
    this.#at = 0;
    try {
      if (this.#parse.next().done) this.#stop();
    } catch (error) {
      if (error instanceof Unknown) this.#facts.unknown = error.message;
      else this.#facts.findings.push(messageOf(error));
      this.#stop();
    }
    this.#window = Buffer.from(this.#window.subarray(this.#at));
    this.#at = 0;
  }

  end(): RdbFacts {
    const { findings, bytes, unknown } = this.#facts;
    if (this.#parse) findings.push(`the dump ends in the middle, after ${bytes} bytes`);
    else if (unknown === undefined && (this.#hasMore || this.#bytesBehind > 0))
      findings.push('there is data behind the end of the dump');
    if (findings.length === 0) this.#compareChecksum();
    return this.#facts;
  }

  #stop(): void {
    this.#parse = undefined;
  }

  #hash(chunk: Buffer): void {
    const all = this.#tail.length === 0 ? chunk : Buffer.concat([this.#tail, chunk]);
    const cut = Math.max(0, all.length - footerBytes);
    this.#crc.update(all.subarray(0, cut));
    this.#tail = Buffer.from(all.subarray(cut));
  }

  /** A server with `rdbchecksum no` writes zeros. */
  #compareChecksum(): void {
    if (this.#tail.equals(Buffer.alloc(footerBytes)) || this.#tail.equals(this.#crc.digest())) return;
    const hex = (bytes: Buffer) => Buffer.from(bytes).reverse().toString('hex');
    this.#facts.findings.push(
      `the dump's own checksum is wrong: expected ${hex(this.#tail)}, got ${hex(this.#crc.digest())}`,
    );
  }

  *#file(): Step {
    const magic = (yield* this.#take(9)).toString('latin1');
    const format = /^REDIS(\d{4})$/.exec(magic)?.[1];
    if (format === undefined) throw new Damage('it is not a Redis dump: it does not begin with "REDIS"');
    this.#facts.format = Number(format);
    while (yield* this.#record());
    yield* this.#skip(footerBytes);
  }

  /** False at the end. */
  *#record(): Step<boolean> {
    const code = yield* this.#byte();
    if (code === opcode.end) return false;
    if (code === opcode.aux) this.#noteAux(yield* this.#text(), yield* this.#text());
    else if (code === opcode.select || code === opcode.idle) yield* this.#length();
    else if (code === opcode.resize) yield* this.#lengths(2);
    else if (code === opcode.slotInfo) yield* this.#lengths(3);
    else if (code === opcode.expiryMs) yield* this.#skip(8);
    else if (code === opcode.expiry) yield* this.#skip(4);
    else if (code === opcode.frequency) yield* this.#skip(1);
    else if (code === opcode.function || code === opcode.functionOld) yield* this.#string();
    else if (code === opcode.moduleAux) {
      yield* this.#length();
      yield* this.#lengths(2);
      yield* this.#moduleValue(() => undefined);
    } else yield* this.#key(code);
    return true;
  }

  #noteAux(name: string, value: string): void {
    if (name === 'redis-ver') this.#facts.redisVersion = value;
    if (name === 'ctime') this.#facts.savedAtSeconds = Number(value);
  }

  *#key(type: number): Step {
    const name = yield* this.#text();
    if (type === moduleType) yield* this.#moduleKey();
    else {
      yield* this.#value(type, name);
      if (!name.startsWith('telemetry{')) this.#facts.otherKeys += 1;
    }
    this.#facts.keys += 1;
  }

  /** A large graph is spread over several keys of the type "graphmeta"; each has the header, but only one counts. */
  *#moduleKey(): Step {
    const id = yield* this.#id();
    const type = moduleTypeName(id);
    const isGraph = type === 'graphdata';
    if (isGraph || type === 'graphmeta') {
      this.#facts.graphEncoding = Math.max(this.#facts.graphEncoding ?? 0, Number(id & 1023n));
    } else this.#facts.otherKeys += 1;
    const head: (Buffer | number)[] = [];
    yield* this.#moduleValue((part) => {
      if (isGraph && head.length < 3) head.push(part);
    });
    if (isGraph) this.#facts.graphs.push(readGraphHead(head));
  }

  *#moduleValue(onPart: (part: Buffer | number) => void): Step {
    for (;;) {
      const kind = yield* this.#length();
      if (kind === 0) return;
      if (kind === 1 || kind === 2) onPart(yield* this.#length());
      else if (kind === 3) yield* this.#skip(4);
      else if (kind === 4) yield* this.#skip(8);
      else if (kind === 5) onPart(yield* this.#string());
      else throw this.#damage(`a module's value has the unknown part ${kind}`);
    }
  }

  *#value(type: number, name: string): Step {
    const shape = shapes.get(type);
    if (shape === undefined) {
      if (type > newestType && type < opcode.slotInfo) {
        throw new Unknown(`"${name.slice(0, 100)}" is of a type that came after Redis 8.2 (${type})`);
      }
      throw this.#damage(`there is no type ${type}`);
    }
    if (shape === 'stream') yield* this.#stream(type);
    else if (typeof shape === 'string') yield* this.#parts(shape);
    else {
      yield* this.#parts(shape.before);
      for (let left = yield* this.#length(); left > 0; left -= 1) yield* this.#parts(shape.each);
    }
  }

  /** `s` a string, `l` a length, `d` a number as text, a digit: so many bytes. */
  *#parts(shape: string): Step {
    for (const part of shape) {
      if (part === 's') yield* this.#string();
      else if (part === 'l') yield* this.#length();
      else if (part === 'd') {
        const length = yield* this.#byte();
        yield* this.#skip(length > 252 ? 0 : length);
      } else yield* this.#skip(Number(part));
    }
  }

  *#stream(type: number): Step {
    const generation = [15, 19, 21].indexOf(type) + 1;
    for (let left = yield* this.#length(); left > 0; left -= 1) yield* this.#parts('ss');
    yield* this.#lengths(generation >= 2 ? 8 : 3);
    for (let groups = yield* this.#length(); groups > 0; groups -= 1) {
      yield* this.#parts(generation >= 2 ? 'slll' : 'sll');
      for (let pending = yield* this.#length(); pending > 0; pending -= 1) yield* this.#parts('888l');
      for (let consumers = yield* this.#length(); consumers > 0; consumers -= 1) {
        yield* this.#parts(generation >= 3 ? 's88' : 's8');
        for (let pending = yield* this.#length(); pending > 0; pending -= 1) yield* this.#parts('88');
      }
    }
  }

  *#text(): Step<string> {
    return (yield* this.#string()).toString('utf8');
  }

  /** The beginning of a string; the whole of it goes by. */
  *#string(): Step<Buffer> {
    const first = yield* this.#byte();
    if (first >> 6 !== 3) {
      const length = yield* this.#lengthFrom(first);
      const head = yield* this.#take(Math.min(length, headBytes));
      yield* this.#skip(length - head.length);
      return head;
    }
    const encoding = first & 63;
    if (encoding < 3) {
      const bytes = 1 << encoding;
      return Buffer.from(String((yield* this.#take(bytes)).readIntLE(0, bytes)));
    }
    if (encoding !== 3) throw this.#damage(`a string has the unknown encoding ${encoding}`);
    const packed = yield* this.#length();
    yield* this.#length();
    const head = yield* this.#take(Math.min(packed, headBytes));
    yield* this.#skip(packed - head.length);
    return unpackHead(head);
  }

  *#lengths(count: number): Step {
    for (let left = count; left > 0; left -= 1) yield* this.#length();
  }

  *#length(): Step<number> {
    const first = yield* this.#byte();
    if (first >> 6 === 3) throw this.#damage('a length is malformed');
    return yield* this.#lengthFrom(first);
  }

  *#lengthFrom(first: number): Step<number> {
    if (first < 0x40) return first;
    if (first < 0x80) return ((first & 63) << 8) | (yield* this.#byte());
    if (first === 0x80) return (yield* this.#take(4)).readUInt32BE();
    if (first === 0x81) return Number((yield* this.#take(8)).readBigUInt64BE());
    throw this.#damage('a length is malformed');
  }

  /** Of a module's type: nine letters and the encoding, too large for a number. */
  *#id(): Step<bigint> {
    if ((yield* this.#byte()) !== 0x81) throw this.#damage("a module's type is malformed");
    return (yield* this.#take(8)).readBigUInt64BE();
  }

  *#byte(): Step<number> {
    while (this.#at === this.#window.length) yield;
    const byte = this.#window[this.#at] ?? 0;
    this.#at += 1;
    return byte;
  }

  *#take(length: number): Step<Buffer> {
    while (this.#bytesBehind < length) yield;
    this.#at += length;
    return Buffer.from(this.#window.subarray(this.#at - length, this.#at));
  }

  *#skip(length: number): Step {
    for (let left = length; ; ) {
      const step = Math.min(left, this.#bytesBehind);
      this.#at += step;
      left -= step;
      if (left <= 0) return;
      yield;
    }
  }

  get #bytesBehind(): number {
    return this.#window.length - this.#at;
  }

  #damage(what: string): Damage {
    return new Damage(`the dump is damaged at byte ${this.#facts.bytes - this.#bytesBehind}: ${what}`);
  }
}

const moduleType = 7;
const newestType = 25;
type Shape = string | { readonly before: string; readonly each: string };

/** How the value of each type is put together. Type 6 was never in a release, 22 and 23 only in previews. */
const shapes = new Map<number, Shape>([
  [0, 's'],
  [1, { before: '', each: 's' }],
  [2, { before: '', each: 's' }],
  [3, { before: '', each: 'sd' }],
  [4, { before: '', each: 'ss' }],
  [5, { before: '', each: 's8' }],
  ...[9, 10, 11, 12, 13, 16, 17, 20].map((type): [number, Shape] => [type, 's']),
  [14, { before: '', each: 's' }],
  [15, 'stream'],
  [18, { before: '', each: 'ls' }],
  [19, 'stream'],
  [21, 'stream'],
  [24, { before: '8', each: 'lss' }],
  [25, '8s'],
]);

function moduleTypeName(id: bigint): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const places = [58n, 52n, 46n, 40n, 34n, 28n, 22n, 16n, 10n];
  return places.map((place) => letters[Number((id >> place) & 63n)]).join('');
}

/** Up to encoding 16 the name and the numbers are parts of their own; later they begin one large buffer. */
function readGraphHead(head: readonly (Buffer | number)[]): { name: string; nodes: number; edges: number } {
  const [first, nodes, edges] = head;
  if (!Buffer.isBuffer(first)) throw new Unknown('a graph has a header of an unknown form');
  if (typeof nodes === 'number' && typeof edges === 'number') return { name: cString(first), nodes, edges };
  const nameBytes = first.length < 8 ? Number.POSITIVE_INFINITY : Number(first.readBigUInt64LE(0));
  if (8 + nameBytes + 16 > first.length) throw new Unknown('a graph has a header of an unknown form');
  return {
    name: cString(first.subarray(8, 8 + nameBytes)),
    nodes: Number(first.readBigUInt64LE(8 + nameBytes)),
    edges: Number(first.readBigUInt64LE(16 + nameBytes)),
  };
}

const cString = (bytes: Buffer): string => bytes.toString('utf8').replace(/\0$/, '');

/** What the beginning of an LZF block unpacks to, as far as it goes. */
function unpackHead(packed: Buffer): Buffer {
  const out: number[] = [];
  for (let at = 0; at < packed.length && out.length < headBytes; ) {
    const control = packed[at] ?? 0;
    at += 1;
    if (control < 32) {
      out.push(...packed.subarray(at, at + control + 1));
      at += control + 1;
      continue;
    }
    let length = control >> 5;
    if (length === 7) {
      length += packed[at] ?? 0;
      at += 1;
    }
    const from = out.length - ((control & 31) << 8) - (packed[at] ?? 0) - 1;
    at += 1;
    for (let index = 0; index < length + 2; index += 1) out.push(out[from + index] ?? 0);
  }
  return Buffer.from(out);
}
