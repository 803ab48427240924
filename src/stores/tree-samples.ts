// What of a tree is recorded for later: its names and sizes as one sum, and the contents of a few small files. Nobody knows
// what the files mean, but whether they are those of the backup can be told, also where somebody has sealed it again.
import { createHash, type Hash } from 'node:crypto';
import { nameOf, type TarEntry } from '../archive/tar-format.ts';
import { scanTar, type TarPiece } from '../archive/tar-scan.ts';
import { type Answered, compareAnswers, shortHash } from './samples.ts';
import type { Sample } from './store.ts';

const mostFiles = 8;
/** Hashing must not hold up who is held. */
const mostBytes = 256 * 1024;

interface File {
  readonly key: string;
  readonly name: string;
  readonly hash: Hash;
}

/** The files whose hashed names come first: any, and the same ones again whatever else there is beside them. */
export class TreeSampler {
  readonly #isLeftOut: (entry: TarEntry) => boolean;
  #files: File[] = [];
  #open: File | undefined;
  #entries = 0;
  #bytes = 0;
  #sum = 0n;

  constructor(isLeftOut: (entry: TarEntry) => boolean = () => false) {
    this.#isLeftOut = isLeftOut;
  }

  async read(tar: AsyncIterable<Buffer>): Promise<void> {
    for await (const piece of scanTar(tar)) this.add(piece);
  }

  add(piece: TarPiece): void {
    if (piece.type === 'data') {
      this.#open?.hash.update(piece.bytes);
      return;
    }
    this.#open = undefined;
    const { entry } = piece;
    const name = plainName(entry);
    if (name === '' || this.#isLeftOut(entry)) return;
    const { type, size } = entry;
    const key = shortHash(name);
    this.#entries += 1;
    this.#bytes += size;
    // Which of the names of a hard-linked file comes first depends on the order.
    this.#sum += BigInt(`0x${shortHash(`${type === 'link' ? 'file' : type} ${name}`)}`);
    if (type !== 'file' || size > mostBytes) return;
    if (this.#files.length === mostFiles && key >= (this.#files.at(-1)?.key ?? '')) return;
    this.#open = { key, name, hash: createHash('sha256') };
    this.#files = [...this.#files, this.#open]
      .toSorted((a, b) => (a.key < b.key ? -1 : 1))
      .slice(0, mostFiles);
  }

  /** After the last piece. Names are in it as hashes only. */
  samples(): Answered[] {
    const sum = BigInt.asUintN(64, this.#sum).toString(16).padStart(16, '0');
    const names = {
      ask: 'names and sizes',
      answer: `${this.#entries} entries, ${this.#bytes} bytes, ${sum}`,
    };
    return [names, ...this.#files.map(({ key, hash }) => ({ ask: `file ${key}`, answer: digestOf(hash) }))];
  }

  /** What is otherwise than it was recorded, with the names that the samples do not tell. */
  differences(samples: readonly Sample[] | undefined): string[] {
    const { findings } = compareAnswers(samples, this.samples());
    return findings.map((finding) => {
      const file = this.#files.find(({ key }) => finding.startsWith(`file ${key}: `));
      return file ? `"${file.name}" is not what it was at the backup` : finding;
    });
  }
}

const digestOf = (hash: Hash): string => hash.copy().digest('hex').slice(0, 16);

const isPlain = /^\.\/(?!\.?\/)(?!.*(\/\/|\/\.\/)).*[^/.]$/s;

function plainName(entry: TarEntry): string {
  const name = nameOf(entry);
  // As nearly all of them are.
  if (isPlain.test(name)) return name.slice(2);
  const parts = name.split('/');
  return parts.filter((part) => part !== '' && part !== '.').join('/');
}
