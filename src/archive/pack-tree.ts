// A directory of this host as a tar, in a fixed order: of each directory first itself, then its files, then its
// directories, by the bytes of their names. It knows no store and no patterns; the caller says what to leave out.
//
// The tar is whole whatever happens to the tree meanwhile: a file has the size that its header says, and everything
// that moved under our hands is told. What cannot be read at all is an error: a backup that lacks a file is no backup.
import type { Dirent, Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { systemCodeOf } from '../errors.ts';
import {
  type EntryKind,
  type FoundEntry,
  findEntry,
  findEntrySync,
  findFileSync,
  smallFileBytes,
} from './find-entry.ts';
import {
  ChunkBuilder,
  cannotRead,
  entryOf,
  isProgram,
  LinkFinder,
  makeReadMemory,
  openLargeFile,
  typeOf,
} from './pack-parts.ts';
import { bytesOf, pathOf, type RawName, rawOfText, textOf } from './raw-name.ts';
import { readDirectory } from './read-directory.ts';
import { Arena } from './reused-memory.ts';
import { endOfArchive, type TarEntry } from './tar-format.ts';

/**
 * `shrunk`: filled up with zeros. `grown` and `changed`: saved as it was read. `vanished`, `socket` and `device`: left
 * out; sockets and devices hold no data.
 */
export type PackNote = 'grown' | 'shrunk' | 'changed' | 'vanished' | 'socket' | 'device';

export interface PackOptions {
  /**
   * What is left out; a directory with all that is in it. `descend` leaves out the directory itself unless something
   * in it is taken. The path is relative, with `/`, without a slash at its end.
   */
  readonly skip?: (relativePath: string, isDirectory: boolean) => boolean | 'descend';
  readonly signal: AbortSignal;
  readonly onChanged?: (path: string, what: PackNote) => void;
  /** What Node cannot read of a program: its pax records. The path is relative, with `/`. */
  readonly paxOf?: (relativePath: Buffer) => Promise<TarEntry['pax']>;
  /** Called for each entry that goes into the tar, `root` itself excepted. */
  readonly onEntry?: (isDirectory: boolean) => void;
}

interface Directory {
  readonly path: RawName;
  /** Relative to the root, with a slash at its end; empty for the root. */
  readonly relative: RawName;
  readonly parent?: Directory;
  readonly stats: Stats;
  /** It goes into the tar only together with something in it. */
  readonly waits: boolean;
  isWritten: boolean;
}

const batchEntries = 64;
/** A batch that took longer makes the next ones wait for the disk beside each other, not one by one. */
const slowBatchMs = 20;
const batchesAfterSlowOne = 16;

/**
 * The content of `root` at `./`, the entry of `root` itself first; each chunk is good until the next. Throws `backup_failed`
 * naming what cannot be read.
 */
export async function* packTree(root: string, options: PackOptions): AsyncGenerator<Buffer> {
  yield* new TreePacker(rawOfText(root), options).chunks();
}

class TreePacker {
  readonly #root: RawName;
  readonly #options: PackOptions;
  readonly #out = new ChunkBuilder();
  readonly #links = new LinkFinder();
  /** Of the small files of a batch. */
  readonly #memory = new Arena(batchEntries * smallFileBytes);
  readonly #readMemory = makeReadMemory();
  #slowBatchesLeft = 0;

  constructor(root: RawName, options: PackOptions) {
    this.#root = root;
    this.#options = options;
  }

  async *chunks(): AsyncGenerator<Buffer> {
    const stats = await stat(pathOf(this.#root)).catch((error) => {
      throw cannotRead(textOf(this.#root), error);
    });
    const root: Directory = { path: this.#root, relative: '', stats, waits: false, isWritten: false };
    const stack = [root];
    for (let directory = stack.pop(); directory; directory = stack.pop()) {
      const names = await this.#namesIn(directory);
      if (!names) continue;
      if (!directory.waits) this.#putDirectory(directory);
      if (this.#out.isFull) yield* this.#out.flush();
      const within: Directory[] = [];
      yield* this.#putNames(directory, names, within);
      for (const each of within.reverse()) stack.push(each);
    }
    yield* this.#out.flush();
    yield endOfArchive;
  }

  async #namesIn(directory: Directory): Promise<Dirent[] | undefined> {
    this.#options.signal.throwIfAborted();
    try {
      const entries = await readDirectory(directory.path);
      return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    } catch (error) {
      if (directory.parent && isGone(error)) return this.#tell(directory.relative, 'vanished');
      throw cannotRead(textOf(directory.path), error);
    }
  }

  /** Puts everything that is in a directory but its directories, which are gathered in `within`. */
  async *#putNames(directory: Directory, names: Dirent[], within: Directory[]): AsyncGenerator<Buffer> {
    for (let at = 0; at < names.length; at += batchEntries) {
      this.#options.signal.throwIfAborted();
      const batch = names.slice(at, at + batchEntries);
      this.#memory.reset();
      for (const [index, found] of (await this.#find(directory, batch)).entries()) {
        const name = batch[index]?.name;
        if (!found || name === undefined) continue;
        if (found.stats.isDirectory()) within.push(this.#directoryIn(directory, name, found.stats));
        else if (this.#isLarge(found)) yield* this.#putLargeFile(directory, name);
        else if (!this.#asksPax(found.stats)) this.#put(directory, name, found);
        else this.#put(directory, name, found, await this.#paxOf(directory, name));
        if (this.#out.isFull) yield* this.#out.flush();
      }
    }
  }

  /** One by one while the disk is quick, beside each other when it is not. */
  async #find(directory: Directory, names: Dirent[]): Promise<(FoundEntry | undefined)[]> {
    if (this.#slowBatchesLeft > 0) {
      this.#slowBatchesLeft -= 1;
      return Promise.all(names.map(({ name }) => this.#findSlowly(directory, name)));
    }
    const start = performance.now();
    const found: (FoundEntry | undefined)[] = [];
    for (const [index, entry] of names.entries()) {
      found.push(this.#findQuickly(directory, entry));
      if (performance.now() - start < slowBatchMs) continue;
      this.#slowBatchesLeft = batchesAfterSlowOne;
      const rest = names.slice(index + 1).map(({ name }) => this.#findSlowly(directory, name));
      return [...found, ...(await Promise.all(rest))];
    }
    return found;
  }

  #findQuickly(directory: Directory, entry: Dirent): FoundEntry | undefined {
    const { name } = entry;
    const path = pathOf(`${directory.path}/${name}`);
    const how = this.#howIn(directory, name);
    try {
      return entry.isFile() ? findFileSync(path, entry, how) : findEntrySync(path, how);
    } catch (error) {
      return this.#unlessGone(directory, name, error);
    }
  }

  async #findSlowly(directory: Directory, name: RawName): Promise<FoundEntry | undefined> {
    try {
      return await findEntry(pathOf(`${directory.path}/${name}`), this.#howIn(directory, name));
    } catch (error) {
      return this.#unlessGone(directory, name, error);
    }
  }

  #howIn(directory: Directory, name: RawName) {
    return { wants: this.#wantsIn(directory, name), memory: this.#memory };
  }

  #wantsIn(directory: Directory, name: RawName): (kind: EntryKind) => boolean {
    const relative = `${directory.relative}${name}`;
    return (kind) => {
      const isDirectory = kind.isDirectory();
      const verdict = this.#options.skip?.(textOf(relative), isDirectory) ?? false;
      if (verdict === true || (verdict === 'descend' && !isDirectory)) return false;
      if (typeOf(kind)) return true;
      this.#tell(relative, kind.isSocket() ? 'socket' : 'device');
      return false;
    };
  }

  #unlessGone(directory: Directory, name: RawName, error: unknown): undefined {
    if (!isGone(error)) throw cannotRead(textOf(`${directory.path}/${name}`), error);
    return this.#tell(`${directory.relative}${name}`, 'vanished');
  }

  #isLarge(found: FoundEntry): boolean {
    return found.stats.isFile() && found.data === undefined;
  }

  #directoryIn(parent: Directory, name: RawName, stats: Stats): Directory {
    const relative = `${parent.relative}${name}/`;
    const waits = this.#options.skip?.(textOf(relative.slice(0, -1)), true) === 'descend';
    return { path: `${parent.path}/${name}`, relative, parent, stats, waits, isWritten: false };
  }

  #putDirectory(directory: Directory): void {
    if (directory.isWritten) return;
    if (directory.parent) this.#putDirectory(directory.parent);
    directory.isWritten = true;
    const path = bytesOf(`./${directory.relative}`);
    this.#out.put(entryOf(path, 'directory', directory.stats));
    if (directory.parent) this.#options.onEntry?.(true);
  }

  /** An entry whose data, if any, is in hand. */
  #put(directory: Directory, name: RawName, found: FoundEntry, pax?: TarEntry['pax']): void {
    const relative = `${directory.relative}${name}`;
    const type = typeOf(found.stats);
    if (!type) return;
    this.#putDirectory(directory);
    this.#options.onEntry?.(false);
    if (this.#putLink(directory, name, found.stats)) return;
    const entry = entryOf(bytesOf(`./${relative}`), type, found.stats, found.linkPath);
    this.#out.put(pax ? { ...entry, pax } : entry, found.data);
    if (found.hasChanged) this.#tell(relative, 'changed');
  }

  /** Apart, because an `await` for each file is dear. */
  #asksPax(stats: Stats): boolean {
    return this.#options.paxOf !== undefined && isProgram(stats);
  }

  async #paxOf(directory: Directory, name: RawName): Promise<TarEntry['pax']> {
    return await this.#options.paxOf?.(bytesOf(`${directory.relative}${name}`));
  }

  #putLink(directory: Directory, name: RawName, stats: Stats): boolean {
    const path = bytesOf(`./${directory.relative}${name}`);
    const first = this.#links.firstNameOf(pathOf(`${directory.path}/${name}`), stats, path);
    if (first) this.#out.put(entryOf(path, 'link', stats, first));
    return first !== undefined;
  }

  async *#putLargeFile(directory: Directory, name: RawName): AsyncGenerator<Buffer> {
    const relative = `${directory.relative}${name}`;
    const path = pathOf(`${directory.path}/${name}`);
    const file = await openLargeFile(path, this.#readMemory, this.#options.signal).catch((error) =>
      this.#unlessGone(directory, name, error),
    );
    if (!file) return;
    try {
      this.#putDirectory(directory);
      this.#options.onEntry?.(false);
      if (this.#putLink(directory, name, file.stats)) return;
      const pax = this.#asksPax(file.stats) ? await this.#paxOf(directory, name) : undefined;
      const entry = entryOf(bytesOf(`./${relative}`), 'file', file.stats);
      this.#out.put(pax ? { ...entry, pax } : entry);
      yield* this.#out.flush();
      yield* file.chunks();
      const change = file.change();
      if (change) this.#tell(relative, change);
    } catch (error) {
      this.#options.signal.throwIfAborted();
      throw cannotRead(textOf(`${directory.path}/${name}`), error);
    } finally {
      await file.close();
    }
  }

  #tell(relative: RawName, what: PackNote): undefined {
    this.#options.onChanged?.(textOf(relative), what);
  }
}

function isGone(error: unknown): boolean {
  // ELOOP: a link has taken its place since we looked.
  return ['ENOENT', 'ENOTDIR', 'ELOOP'].includes(systemCodeOf(error) ?? '');
}
