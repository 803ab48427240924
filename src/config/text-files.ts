// Files that people write: read without a BOM, named in messages as people would name them from where they are.
import { readFile } from 'node:fs/promises';
import { isAbsolute, relative } from 'node:path';
import { messageOf, PkbackupError, systemCodeOf } from '../errors.ts';

/** Undefined where it is not there; throws `config` where it cannot be read. */
export async function readIfThere(path: string, cwd: string): Promise<string | undefined> {
  try {
    return (await readFile(path, 'utf8')).replace(/^\uFEFF/, '');
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw new PkbackupError('config', `cannot read "${nameOf(path, cwd)}": ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** The short name where the file is in or below the current directory. */
export function nameOf(path: string, cwd: string): string {
  const name = relative(cwd, path);
  return name.startsWith('..') || isAbsolute(name) ? path : name;
}
