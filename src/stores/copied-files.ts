// Files that are picked out of a tar while it flows by, for looking into them afterwards.
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { nameOf, type TarEntry } from '../archive/tar-format.ts';
import { type TarPiece, TarScanner } from '../archive/tar-scan.ts';

/** `names` are paths at the top of the tar, without `./`; they come to lie in `directory` under the same names. */
export class FilePicker {
  readonly #directory: string;
  readonly #names: readonly string[];
  #open: FileHandle | undefined;
  /** When each file that went by was written, by its name without `./`; seconds since 1970. */
  readonly times = new Map<string, number>();

  constructor(directory: string, names: readonly string[]) {
    this.#directory = directory;
    this.#names = names;
  }

  async begin(): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
  }

  /** The tar as it is; what is picked is on disk when it has ended. */
  async *tap(tar: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    const scanner = new TarScanner();
    await this.begin();
    try {
      for await (const chunk of tar) {
        for (const piece of scanner.scan(chunk)) await this.take(piece);
        yield chunk;
      }
    } finally {
      await this.end();
    }
  }

  async take(piece: TarPiece): Promise<void> {
    if (piece.type === 'data') {
      await this.#open?.writeFile(piece.bytes);
      return;
    }
    await this.end();
    const name = nameInside(piece.entry);
    if (piece.entry.type !== 'file') return;
    this.times.set(name, piece.entry.mtime);
    // Only names that we have given ourselves become paths.
    if (!this.#names.includes(name)) return;
    this.#open = await open(join(this.#directory, name), 'w', 0o600);
  }

  /** MUST be called after the last piece. */
  async end(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    await open?.close();
  }
}

/** Without `./`. */
export function nameInside(entry: TarEntry): string {
  return nameOf(entry).replace(/^(\.\/)+/, '');
}
