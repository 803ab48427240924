// Counts nodes and relationships in the store files themselves while they flow by: a number that the server gave before
// the stop is of other data when somebody goes on writing. In the record formats (all that Community has) a record has a
// fixed size and says in the lowest bit of its first byte whether it is in use. A cleanly stopped server has written all.
import { scanTar, type TarPiece, TarScanner } from '../../archive/tar-scan.ts';
import type { Counts } from '../../words.ts';
import { nameInside } from '../copied-files.ts';

/** Bytes of a page of the `aligned` format: no record lies across its end, and what is left over is filled up. */
const pageBytes = 8192;
/** The same in `standard` and `aligned`. */
const recordBytes = { nodes: 15, relationships: 34 } as const;
const kindOfFile: Record<string, 'header' | 'nodes' | 'relationships'> = {
  neostore: 'header',
  'neostore.nodestore.db': 'nodes',
  'neostore.relationshipstore.db': 'relationships',
};
/** `neostore` names its format as two strings, each after its length: `record`, `aligned`. */
const formatOf = /\x06record\x01\x07aligned|\x06record\x01\x08standard/;

interface DatabaseCount {
  hasHeader: boolean;
  isAligned: boolean | undefined;
  nodes: RecordCounter | undefined;
  relationships: RecordCounter | undefined;
}

/** A watcher of the pieces of a data directory as a tar; files are `databases/<name>/...` below its root. */
export class StoreCounter {
  /** All that it looks into, of each database. */
  static readonly files: readonly string[] = Object.keys(kindOfFile);
  readonly #databases = new Map<string, DatabaseCount>();
  readonly #sizes = new Map<string, number>();
  readonly #times = new Map<string, number>();
  #take: ((bytes: Buffer) => void) | undefined;

  /** The tar as it is. */
  async *tap(tar: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    const scanner = new TarScanner();
    for await (const chunk of tar) {
      for (const piece of scanner.scan(chunk)) this.add(piece);
      yield chunk;
    }
  }

  /** One file alone, as the tar that Docker makes of it. */
  async read(name: string, tar: AsyncIterable<Buffer>): Promise<void> {
    for await (const piece of scanTar(tar)) {
      this.add(
        piece.type === 'data' ? piece : { ...piece, entry: { ...piece.entry, path: Buffer.from(name) } },
      );
    }
  }

  async begin(): Promise<void> {
    this.#databases.clear();
    this.#sizes.clear();
    this.#times.clear();
    this.#take = undefined;
  }

  async take(piece: TarPiece): Promise<void> {
    this.add(piece);
  }

  async end(): Promise<void> {
    this.#take = undefined;
  }

  add(piece: TarPiece): void {
    if (piece.type === 'data') {
      this.#take?.(piece.bytes);
      return;
    }
    this.#take = undefined;
    const { entry } = piece;
    const name = nameInside(entry).replace(/\/$/, '');
    this.#sizes.set(name, entry.size);
    this.#times.set(name, entry.mtime);
    const [, database, file] = /^databases\/([^/]+)\/([^/]+)$/.exec(name) ?? [];
    if (database === undefined || file === undefined || entry.type !== 'file') return;
    const kind = Object.hasOwn(kindOfFile, file) ? kindOfFile[file] : undefined;
    if (kind !== undefined) this.#take = this.#takerOf(database, kind);
  }

  /** Names of all databases that have a directory, `system` too. */
  get databases(): string[] {
    const names = [...this.#sizes.keys()].map((name) => /^databases\/([^/]+)\/./.exec(name)?.[1]);
    return [...new Set(names.filter((name) => name !== undefined))].toSorted();
  }

  /** Bytes of a file below the root; undefined where it is not there. */
  sizeOf(name: string): number | undefined {
    return this.#sizes.get(name);
  }

  /** When a file below the root was last written, in seconds since 1970. */
  timeOf(name: string): number | undefined {
    return this.#times.get(name);
  }

  /** Names of the entries directly in a directory. */
  namesIn(directory: string): string[] {
    const prefix = `${directory}/`;
    return [...this.#sizes.keys()]
      .filter((name) => name.startsWith(prefix) && !name.slice(prefix.length).includes('/'))
      .map((name) => name.slice(prefix.length));
  }

  /** Below the root: every transaction of the database is in one of them before it is anywhere. */
  logsOf(database: string): string[] {
    const directory = `transactions/${database}`;
    const logs = this.namesIn(directory).filter((name) => name.startsWith('neostore.transaction.db.'));
    return logs.map((name) => `${directory}/${name}`);
  }

  /** Names of the files at the top. */
  topNames(): string[] {
    return [...this.#sizes.keys()].filter((name) => name !== '' && name !== '.' && !name.includes('/'));
  }

  /** Undefined where there is no database, or one in a format that is not known here. */
  counts(): Counts | undefined {
    const perDatabase = new Map<string, { nodes: number; relationships: number }>();
    for (const name of this.databases) {
      if (name === 'system') continue;
      const { isAligned, nodes, relationships } = this.#databases.get(name) ?? {};
      if (isAligned === undefined || !nodes || !relationships) return undefined;
      perDatabase.set(name, {
        nodes: nodes.inUse(isAligned),
        relationships: relationships.inUse(isAligned),
      });
    }
    return perDatabase.size === 0 ? undefined : countsOf(perDatabase);
  }

  #takerOf(name: string, kind: 'header' | 'nodes' | 'relationships'): (bytes: Buffer) => void {
    const none = { hasHeader: false, isAligned: undefined, nodes: undefined, relationships: undefined };
    const database: DatabaseCount = this.#databases.get(name) ?? none;
    this.#databases.set(name, database);
    if (kind !== 'header') {
      const counter = new RecordCounter(recordBytes[kind]);
      database[kind] = counter;
      return (bytes) => counter.add(bytes);
    }
    return (bytes) => {
      if (database.hasHeader) return;
      database.hasHeader = true;
      const format = formatOf.exec(bytes.toString('latin1'))?.[0];
      database.isAligned = format?.endsWith('aligned') ?? undefined;
    };
  }
}

/** Counts for both formats at once, because the files come in any order. */
class RecordCounter {
  readonly #recordBytes: number;
  readonly #perPage: number;
  #offset = 0;
  #aligned = 0;
  #dense = 0;

  constructor(bytes: number) {
    this.#recordBytes = bytes;
    this.#perPage = Math.floor(pageBytes / bytes);
  }

  add(bytes: Buffer): void {
    const end = this.#offset + bytes.length;
    const size = this.#recordBytes;
    for (let at = Math.ceil(this.#offset / size) * size; at < end; at += size) {
      this.#dense += (bytes[at - this.#offset] ?? 0) & 1;
    }
    for (let page = Math.floor(this.#offset / pageBytes) * pageBytes; page < end; page += pageBytes) {
      const first = Math.max(0, Math.ceil((this.#offset - page) / size));
      for (let record = first; record < this.#perPage; record += 1) {
        const at = page + record * size;
        if (at >= end) break;
        this.#aligned += (bytes[at - this.#offset] ?? 0) & 1;
      }
    }
    this.#offset = end;
  }

  inUse(isAligned: boolean): number {
    return isAligned ? this.#aligned : this.#dense;
  }
}

/** One database is the usual case, and then its name says nothing. */
export function countsOf(databases: ReadonlyMap<string, { nodes: number; relationships: number }>): Counts {
  const all = [...databases.values()];
  const counts: Counts = {
    nodes: all.reduce((sum, { nodes }) => sum + nodes, 0),
    relationships: all.reduce((sum, { relationships }) => sum + relationships, 0),
  };
  if (databases.size < 2) return counts;
  for (const [name, { nodes, relationships }] of databases) {
    counts[`nodes in ${name}`] = nodes;
    counts[`relationships in ${name}`] = relationships;
  }
  return counts;
}
