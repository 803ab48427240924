// A tar with a directory around the content, which is taken off.
import { encodeEntry, endOfArchive, nameOf, padding, type TarEntry } from '../archive/tar-format.ts';
import { scanTar } from '../archive/tar-scan.ts';
import { PkbackupError } from '../errors.ts';

export interface TreeRules {
  /** The directory that may be around everything. */
  readonly root: string;
  /** Of what is in there, this alone is taken; it MUST be there. */
  readonly only?: string;
  /** Files that MUST be JSON. */
  readonly parse?: RegExp;
}

const longestJsonBytes = 64 * 1024 * 1024;

export async function* readTree(
  tar: AsyncIterable<Buffer>,
  { root, only, parse }: TreeRules,
): AsyncGenerator<Buffer> {
  const json = new JsonFiles();
  let taken = 0;
  let missing = 0;
  let size = 0;
  let isTaken = false;
  for await (const piece of scanTar(tar)) {
    if (piece.type === 'entry') {
      json.end();
      const { entry } = piece;
      const name = inside(entry.path.toString('latin1'), root);
      isTaken = only === undefined || name === `${only}/` || name === only || name.startsWith(`${only}/`);
      if (!isTaken) continue;
      taken += 1;
      yield encodeEntry(moved(entry, name, root));
      size = entry.size;
      missing = size;
      if (entry.type === 'file' && parse?.test(name)) json.begin(nameOf(entry), size);
    } else if (isTaken) {
      json.take(piece.bytes);
      yield piece.bytes;
      missing -= piece.bytes.length;
      if (missing === 0) yield padding(size);
    }
  }
  json.end();
  if (taken === 0) throw new PkbackupError('bad_backup', `there is no "${only ?? root}/" in the archive`);
  json.refuseBroken();
  yield endOfArchive;
}

/** `./chroma/a` and `chroma/a` are `a`; the directory itself is `./`. What lies beside it stays where it is. */
function inside(path: string, root: string): string {
  const name = path.replace(/^(\.\/)+/, '');
  if (name === root || name === `${root}/`) return './';
  return name.startsWith(`${root}/`) ? name.slice(root.length + 1) || './' : name || './';
}

function moved(entry: TarEntry, name: string, root: string): TarEntry {
  const path = Buffer.from(name, 'latin1');
  if (entry.type !== 'link' || !entry.linkPath) return { ...entry, path };
  return { ...entry, path, linkPath: Buffer.from(inside(entry.linkPath.toString('latin1'), root), 'latin1') };
}

class JsonFiles {
  #open: { name: string; size: number; parts: Buffer[] } | undefined;
  readonly #broken: string[] = [];

  begin(name: string, size: number): void {
    this.#open = { name, size, parts: [] };
  }

  take(bytes: Buffer): void {
    if (this.#open && this.#open.size <= longestJsonBytes) this.#open.parts.push(Buffer.from(bytes));
  }

  end(): void {
    const open = this.#open;
    this.#open = undefined;
    if (!open || open.size > longestJsonBytes) return;
    try {
      JSON.parse(
        Buffer.concat(open.parts)
          .toString('utf8')
          .replace(/^\uFEFF/, ''),
      );
    } catch {
      this.#broken.push(open.name);
    }
  }

  refuseBroken(): void {
    const [first, ...others] = this.#broken;
    if (first === undefined) return;
    const more = others.length > 0 ? ` and ${others.length} more` : '';
    throw new PkbackupError('bad_backup', `"${first}"${more} cannot be read as JSON`);
  }
}
