// The fingerprint of a directory of this host that holds what we have put there. Through one buffer and one call after the
// other: it lies in the page cache still, and waiting for each call would take longer than the calls.
import fs, { type Stats } from 'node:fs';
import { setImmediate as letOthersRun } from 'node:timers/promises';
import { readFlags } from '../archive/find-entry.ts';
import { entryOf, LinkFinder, typeOf } from '../archive/pack-parts.ts';
import { bytesOf, pathOf, type RawName, rawEncoding, rawOfText } from '../archive/raw-name.ts';
import { TreePrint } from './tree-print.ts';

const readBytes = 1024 * 1024;
const turnMs = 20;

/**
 * Nobody else MUST write below `root`. Who does so as root in a container can lead the reading elsewhere by a link; all that
 * comes of it is a fingerprint that is another.
 */
export async function printTree(root: string, signal: AbortSignal): Promise<TreePrint> {
  const printer = new Printer(rawOfText(root));
  let turnStartedAt = performance.now();
  for (const _ of printer.steps()) {
    if (performance.now() - turnStartedAt < turnMs) continue;
    await letOthersRun();
    signal.throwIfAborted();
    turnStartedAt = performance.now();
  }
  return printer.print;
}

class Printer {
  readonly print = new TreePrint();
  readonly #root: RawName;
  readonly #links = new LinkFinder();
  readonly #buffer = Buffer.allocUnsafeSlow(readBytes);

  constructor(root: RawName) {
    this.#root = root;
  }

  /** Between any two of them others may have their turn. */
  *steps(): Generator<void> {
    const directories: RawName[] = [''];
    for (let directory = directories.pop(); directory !== undefined; directory = directories.pop()) {
      for (const entry of fs.readdirSync(this.#pathOf(directory), { encoding: rawEncoding })) {
        const relative = directory === '' ? entry : `${directory}/${entry}`;
        const stats = fs.lstatSync(this.#pathOf(relative));
        if (stats.isDirectory()) directories.push(relative);
        yield* this.#add(relative, stats);
      }
    }
    this.print.end();
  }

  *#add(relative: RawName, stats: Stats): Generator<void> {
    const type = typeOf(stats);
    if (!type) return;
    const file = this.#pathOf(relative);
    const path = bytesOf(relative);
    const first = stats.isDirectory() ? undefined : this.#links.firstNameOf(file, stats, path);
    const linkPath = first ?? (type === 'symlink' ? fs.readlinkSync(file, 'buffer') : undefined);
    this.print.addEntry(entryOf(path, first ? 'link' : type, stats, linkPath));
    if (type === 'file' && !first) yield* this.#read(file);
    yield;
  }

  *#read(path: string | Buffer): Generator<void> {
    const file = fs.openSync(path, readFlags);
    try {
      for (;;) {
        const length = fs.readSync(file, this.#buffer, 0, readBytes, null);
        if (length === 0) return;
        this.print.addData(this.#buffer.subarray(0, length));
        yield;
      }
    } finally {
      fs.closeSync(file);
    }
  }

  #pathOf(relative: RawName): string | Buffer {
    return pathOf(relative === '' ? this.#root : `${this.#root}/${relative}`);
  }
}
