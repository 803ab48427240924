// The dump inside a tar, in both forms that a backup has: `dump.rdb` alone (hot), or the data directory with it (held).
import { encodeEntry, endOfArchive, nameOf, padding, type TarEntry } from '../../archive/tar-format.ts';
import { scanTar, TarScanner } from '../../archive/tar-scan.ts';
import { PkbackupError } from '../../errors.ts';
import type { Counts } from '../../words.ts';
import { type RdbFacts, RdbReader } from './rdb.ts';

export const dumpName = 'dump.rdb';

/** What was found out about the dump of a tar that has gone by; undefined where it had none. */
export interface DumpWatch {
  facts?: RdbFacts;
}

/** Gives the tar on unchanged, and reads the dump in it. `name` is that of the file in a data directory. */
export async function* watchDump(
  tar: AsyncIterable<Buffer>,
  name: string,
  watch: DumpWatch,
): AsyncGenerator<Buffer> {
  const scanner = new TarScanner();
  const finder = new DumpFinder(name);
  for await (const chunk of tar) {
    for (const piece of scanner.scan(chunk)) {
      if (piece.type === 'entry') finder.entry(piece.entry);
      else finder.data(piece.bytes);
    }
    yield chunk;
  }
  finder.end(watch);
}

/** A tar with the dump alone. Throws `bad_backup` where there is none. */
export async function* dumpAlone(
  tar: AsyncIterable<Buffer>,
  name: string,
  watch: DumpWatch,
): AsyncGenerator<Buffer> {
  yield* pickDump(tar, name, watch, (entry) => ({ ...entry, path: Buffer.from(dumpName) }));
  yield endOfArchive;
}

/** The dump's entry with the header that `as` makes of it, without the end of a tar. */
export async function* pickDump(
  tar: AsyncIterable<Buffer>,
  name: string,
  watch: DumpWatch,
  as: (entry: TarEntry) => TarEntry,
): AsyncGenerator<Buffer> {
  const finder = new DumpFinder(name);
  for await (const piece of scanTar(tar)) {
    if (piece.type === 'entry') {
      if (finder.entry(piece.entry)) yield encodeEntry(as(piece.entry));
    } else if (finder.data(piece.bytes)) {
      yield piece.bytes;
      if (finder.missing === 0) yield padding(finder.size);
    }
  }
  finder.end(watch);
  if (!watch.facts) throw new PkbackupError('bad_backup', `there is no "${name}" in it`);
}

class DumpFinder {
  size = 0;
  missing = 0;
  readonly #name: string;
  #reader: RdbReader | undefined;
  #isAlone: boolean | undefined;

  constructor(name: string) {
    this.#name = name;
  }

  /** Whether it is the dump. */
  entry(entry: TarEntry): boolean {
    const path = nameOf(entry).replace(/^\.\//, '');
    // A tar that does not begin with a directory is that of a hot backup, where the name is always the same.
    this.#isAlone ??= entry.type !== 'directory';
    this.missing = 0;
    const isDump = path === this.#name || (this.#isAlone && path === dumpName);
    if (this.#reader || entry.type !== 'file' || !isDump) return false;
    this.#reader = new RdbReader();
    this.size = entry.size;
    this.missing = entry.size;
    return true;
  }

  data(bytes: Buffer): boolean {
    if (this.missing === 0) return false;
    this.missing -= bytes.length;
    this.#reader?.push(bytes);
    return true;
  }

  end(watch: DumpWatch): void {
    if (this.#reader) watch.facts = this.#reader.end();
  }
}

/** Undefined where not all of the dump is understood. */
export function countsOf(facts: RdbFacts | undefined): Counts | undefined {
  if (!facts || facts.unknown !== undefined || facts.findings.length > 0) return undefined;
  const sum = (what: 'nodes' | 'edges') => facts.graphs.reduce((total, graph) => total + graph[what], 0);
  return {
    graphs: facts.graphs.length,
    nodes: sum('nodes'),
    edges: sum('edges'),
    ...(facts.otherKeys > 0 ? { other_keys: facts.otherKeys } : {}),
  };
}
