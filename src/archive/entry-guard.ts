// What no archive of a backup may hold, wherever it is unpacked: names that could leave the root, devices, and anything that
// would be written through a link of the archive itself. Looks at headers as they go by; what is only wrong on one side (a
// name that Windows cannot hold, a directory twice) is for those who unpack.
import { PkbackupError } from '../errors.ts';
import { safePartsOf } from './safe-name.ts';
import { nameOf, nothing, type TarEntry } from './tar-format.ts';

export class EntryGuard {
  /** Symlinks so far, and hard links to them, which are symlinks too. */
  readonly #symlinks = new Set<string>();
  readonly #isCaseSensitive: boolean;

  /** `isCaseSensitive` is false for a place that takes two names for one that differ in their case only. */
  constructor({ isCaseSensitive = true } = {}) {
    this.#isCaseSensitive = isCaseSensitive;
  }

  /** The parts of its path, of one character per byte; none for the root. Throws `bad_backup`. */
  check(entry: TarEntry): string[] {
    const parts = bytePartsOf(entry.path);
    if (parts.length === 0 && entry.type !== 'directory') throw hostile(entry, 'is not a directory');
    if (entry.type.endsWith('-device')) throw hostile(entry, 'is a device');
    const path = this.#pathBeyondLinks(entry, parts);
    if (this.#symlinks.has(path)) throw hostile(entry, 'is a symlink of the archive as well');
    if (this.#makesSymlink(entry)) this.#symlinks.add(path);
    return parts;
  }

  #makesSymlink(entry: TarEntry): boolean {
    if (entry.type !== 'link') return entry.type === 'symlink';
    return this.#symlinks.has(this.#pathBeyondLinks(entry, bytePartsOf(entry.linkPath ?? nothing)));
  }

  #pathBeyondLinks(entry: TarEntry, parts: readonly string[]): string {
    let path = '';
    for (const part of parts) {
      if (path !== '' && this.#symlinks.has(path))
        throw hostile(entry, 'goes through a symlink of the archive');
      const plain = this.#isCaseSensitive ? part : foldedCase(part);
      path = path === '' ? plain : `${path}/${plain}`;
    }
    return path;
  }
}

const foldedCase = (bytes: string): string =>
  Buffer.from(bytes, 'latin1').toString('utf8').normalize('NFC').toLowerCase();

/** As bytes in a string of one character each, because names need not be UTF-8. */
export function bytePartsOf(path: Buffer): string[] {
  // Only for its refusals: on Windows it would give text.
  safePartsOf(path, 'linux');
  return path
    .toString('latin1')
    .split('/')
    .filter((part) => part !== '' && part !== '.');
}

export function hostile(entry: TarEntry, why: string): PkbackupError {
  return new PkbackupError('bad_backup', `the archive holds "${nameOf(entry)}", which ${why}`, {
    hint: 'pkbackup makes no such archive; nothing of it is used',
  });
}

export function tooLarge(limitBytes: number): PkbackupError {
  return new PkbackupError(
    'bad_backup',
    `the archive holds more than the ${limitBytes} bytes that it should`,
  );
}
