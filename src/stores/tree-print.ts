// The fingerprint of a tree, as it flows by as a tar or as it lies in a directory: equal for equal trees whatever the order of
// their entries, and of the same size however large the tree is. Names, contents and attributes are apart, because some file
// systems cannot keep the last. Made against accidents, with CRC-32 for contents (a third of the time of SHA-256, which the
// archive has been through): who can write into the volume needs no collision.
import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { nothing, type TarEntry } from '../archive/tar-format.ts';
import { scanTar, type TarPiece } from '../archive/tar-scan.ts';

export class TreePrint {
  entries = 0;
  bytes = 0;
  readonly #names = new Sum();
  readonly #contents = new Sum();
  readonly #attributes = new Sum();
  /** What is no file may have several names, too, and a tar has a link for all but the first: path to what it is a name of. */
  readonly #others = new Map<string, string>();
  #content: { crc: number; size: number } | undefined;

  add(piece: TarPiece): void {
    if (piece.type === 'data') this.addData(piece.bytes);
    else this.addEntry(piece.entry);
  }

  addData(bytes: Buffer): void {
    if (this.#content) this.#content.crc = crc32(bytes, this.#content.crc);
  }

  addEntry(entry: TarEntry): void {
    this.end();
    const path = plainPath(entry.path);
    // The root of a volume is set last, after everything else.
    if (path === '') return;
    this.entries += 1;
    this.bytes += entry.size;
    const what = this.#whatIs(entry, path);
    this.#names.add(`${path} ${what}`);
    this.#attributes.add(`${path} ${attributesOf(entry, what)}`);
    // Which of several names of one file comes first depends on the order, so content is not tied to a name.
    if (entry.type === 'file') this.#content = { crc: 0, size: entry.size };
  }

  #whatIs({ type, linkPath = nothing }: TarEntry, path: string): string {
    if (type === 'link') return this.#others.get(plainPath(linkPath)) ?? 'file';
    const what = type === 'symlink' ? `symlink ${linkPath.toString('latin1')}` : type;
    if (type !== 'file' && type !== 'directory') this.#others.set(path, what);
    return what;
  }

  /** MUST be called after the last piece. */
  end(): void {
    if (!this.#content) return;
    this.#contents.add(`${this.#content.size} ${this.#content.crc}`);
    this.#content = undefined;
  }

  /** What of `other` is not the same, in words; empty where nothing is. */
  differences(other: TreePrint): ('names' | 'contents' | 'attributes')[] {
    const names = this.#names.equals(other.#names) && this.entries === other.entries;
    const contents = this.#contents.equals(other.#contents) && this.bytes === other.bytes;
    const attributes = this.#attributes.equals(other.#attributes);
    return [
      ...(names ? [] : ['names' as const]),
      ...(contents ? [] : ['contents' as const]),
      ...(attributes ? [] : ['attributes' as const]),
    ];
  }
}

export async function printTar(tar: AsyncIterable<Buffer>): Promise<TreePrint> {
  const print = new TreePrint();
  for await (const piece of scanTar(tar)) print.add(piece);
  print.end();
  return print;
}

/** `./a/b/` is `a/b`. */
function plainPath(path: Buffer): string {
  const parts = path.toString('latin1').split('/');
  return parts.filter((part) => part !== '' && part !== '.').join('/');
}

/** The Engine gives whole seconds. The mode of a symlink means nothing. */
function attributesOf({ mode, uid, gid, mtime }: TarEntry, what: string): string {
  return `${what.startsWith('symlink') ? '' : mode} ${uid} ${gid} ${Math.floor(mtime)}`;
}

/** A sum of hashes: the order does not matter, and twice the same is not nothing. */
class Sum {
  readonly #lanes = new Uint32Array(8);

  add(text: string): void {
    const digest = hash('sha256', Buffer.from(text, 'latin1'), 'buffer');
    for (let lane = 0; lane < 8; lane += 1) {
      this.#lanes[lane] = (this.#lanes[lane] ?? 0) + digest.readUInt32LE(lane * 4);
    }
  }

  equals(other: Sum): boolean {
    return this.#lanes.every((lane, index) => lane === other.#lanes[index]);
  }
}
