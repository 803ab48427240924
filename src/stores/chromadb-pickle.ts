// Which records an index of ChromaDB holds: `index_metadata.pickle`, which maps ids to places in the index. Before 1.0 Python
// wrote it, since then Rust does, without classes. Only the data in it is read: nothing is looked up by a name of it, made
// or called, whatever it says. The format: pickletools of Python, protocols 2 to 5.

export interface IndexMetadata {
  /** Of the vectors; undefined where it does not say, as since 1.0. */
  readonly dimensionality: number | undefined;
  /** Only before 0.5.6. */
  readonly maxSequence: number | undefined;
  /** Ids of records to numbers in the index. */
  readonly labels: ReadonlyMap<string, number>;
}

type Value = string | number | boolean | undefined | Map<Value, Value> | Value[] | typeof mark | typeof other;
/** A class. */
const other = Symbol('other');
const mark = Symbol('mark');

/** Perhaps nothing is wrong with it. */
export class UnknownPickle extends Error {}

/** Throws where it is cut or damaged; `UnknownPickle` where there is more in it than this reader knows. */
export function readIndexMetadata(bytes: Buffer): IndexMetadata {
  const top = new Reader(bytes).value();
  if (!(top instanceof Map)) throw new Error('it holds no fields');
  const labels = top.get('id_to_label');
  if (!(labels instanceof Map)) throw new Error('it does not say which records are in the index');
  for (const [id, label] of labels) {
    if (typeof id !== 'string' || typeof label !== 'number') throw new Error('its ids are no ids');
  }
  return {
    dimensionality: numberIn(top, 'dimensionality'),
    maxSequence: numberIn(top, 'max_seq_id'),
    labels: labels as Map<string, number>,
  };
}

function numberIn(fields: Map<Value, Value>, name: string): number | undefined {
  const value = fields.get(name);
  return typeof value === 'number' ? value : undefined;
}

class Reader {
  readonly #bytes: Buffer;
  readonly #memo = new Map<number, Value>();
  readonly #stack: Value[] = [];
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  value(): Value {
    while (this.#at < this.#bytes.length) {
      const code = this.#number(1);
      if (code === codes.stop) return this.#pop();
      this.#act(code);
    }
    throw new Error('it ends in the middle');
  }

  #act(code: number): void {
    const stack = this.#stack;
    switch (code) {
      case codes.protocol:
        this.#number(1);
        return;
      case codes.frame:
        this.#take(8);
        return;
      case codes.mark:
        stack.push(mark);
        return;
      case codes.none:
        stack.push(undefined);
        return;
      case codes.isTrue:
      case codes.isFalse:
        stack.push(code === codes.isTrue);
        return;
      case codes.emptyDict:
        stack.push(new Map());
        return;
      case codes.emptyList:
      case codes.emptyTuple:
        stack.push([]);
        return;
      case codes.int:
        stack.push(this.#take(4).readInt32LE());
        return;
      case codes.int1:
      case codes.int2:
        stack.push(this.#number(code === codes.int1 ? 1 : 2));
        return;
      case codes.long1:
        stack.push(this.#long(this.#number(1)));
        return;
      case codes.shortText:
      case codes.text:
        stack.push(this.#take(this.#number(code === codes.text ? 4 : 1)).toString('utf8'));
        return;
      case codes.get:
      case codes.longGet:
        stack.push(this.#memoized(this.#number(code === codes.get ? 1 : 4)));
        return;
      case codes.put:
      case codes.longPut:
        this.#memo.set(this.#number(code === codes.put ? 1 : 4), this.#top());
        return;
      case codes.memoize:
        this.#memo.set(this.#memo.size, this.#top());
        return;
      case codes.global:
        this.#line();
        this.#line();
        stack.push(other);
        return;
      case codes.stackGlobal:
        this.#pop();
        this.#pop();
        stack.push(other);
        return;
      case codes.newObject:
        this.#pop();
        this.#pop();
        stack.push(new Map());
        return;
      case codes.build:
        this.#build();
        return;
      case codes.setItem: {
        const value = this.#pop();
        this.#set([this.#pop(), value]);
        return;
      }
      case codes.setItems:
        this.#set(this.#popToMark());
        return;
      default:
        throw new UnknownPickle(`it holds what is not known here (${code} at ${this.#at - 1})`);
    }
  }

  /** The fields of an object: a class of its own before 1.0. */
  #build(): void {
    const fields = this.#pop();
    const object = this.#top();
    if (!(fields instanceof Map) || !(object instanceof Map)) throw new Error('an object has no fields');
    for (const [name, value] of fields) object.set(name, value);
  }

  #set(items: readonly Value[]): void {
    const target = this.#top();
    if (!(target instanceof Map) || items.length % 2 !== 0) throw new Error('pairs are missing');
    for (let at = 0; at < items.length; at += 2) target.set(items[at], items[at + 1]);
  }

  #popToMark(): Value[] {
    const at = this.#stack.lastIndexOf(mark);
    if (at < 0) throw new Error('a mark is missing');
    const items = this.#stack.splice(at);
    return items.slice(1);
  }

  #pop(): Value {
    if (this.#stack.length === 0) throw new Error('a value is missing');
    return this.#stack.pop();
  }

  #top(): Value {
    if (this.#stack.length === 0) throw new Error('a value is missing');
    return this.#stack.at(-1);
  }

  #memoized(index: number): Value {
    if (!this.#memo.has(index)) throw new Error('it names a value that was not there');
    return this.#memo.get(index);
  }

  #line(): void {
    const end = this.#bytes.indexOf(0x0a, this.#at);
    if (end < 0) throw new Error('it ends in the middle');
    this.#at = end + 1;
  }

  /** Sequence numbers do not come near what a double cannot hold. */
  #long(length: number): number {
    const bytes = this.#take(length);
    return bytes.reduceRight((sum, byte) => sum * 256 + byte, 0);
  }

  #number(length: 1 | 2 | 4): number {
    return this.#take(length).readUIntLE(0, length);
  }

  #take(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new Error('it ends in the middle');
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }
}

const codes = {
  mark: 0x28,
  emptyTuple: 0x29,
  stop: 0x2e,
  int: 0x4a,
  int1: 0x4b,
  int2: 0x4d,
  none: 0x4e,
  text: 0x58,
  emptyList: 0x5d,
  build: 0x62,
  global: 0x63,
  get: 0x68,
  longGet: 0x6a,
  put: 0x71,
  longPut: 0x72,
  setItem: 0x73,
  setItems: 0x75,
  emptyDict: 0x7d,
  protocol: 0x80,
  newObject: 0x81,
  isTrue: 0x88,
  isFalse: 0x89,
  long1: 0x8a,
  shortText: 0x8c,
  stackGlobal: 0x93,
  memoize: 0x94,
  frame: 0x95,
} as const;
