// A store that the repository lies in: what is in there is never saved, and no restore may move it away, or the backups
// would go with the data that is replaced.
import { realpath } from 'node:fs/promises';
import { isAbsolute, relative, resolve, sep } from 'node:path';
import { PkbackupError } from '../errors.ts';

interface Own {
  readonly repositoryDir?: string | undefined;
  readonly scratchDir?: string;
}

/** What is pkbackup's own below `directory`, as paths in it with `/`; "" where it is the directory itself. */
export async function ownPathsIn(directory: string, { repositoryDir, scratchDir }: Own): Promise<string[]> {
  const own = [repositoryDir, scratchDir].filter((path) => path !== undefined && path !== '');
  const below = await Promise.all(own.map((path) => pathBelow(directory, path ?? '')));
  return below.filter((path) => path !== undefined);
}

/** The path of `other` within `directory`, if it is there; empty where it is the same. */
export async function pathBelow(directory: string, other: string): Promise<string | undefined> {
  const [from, to] = await Promise.all([directory, other].map(realPathOf));
  const path = relative(from ?? '', to ?? '');
  if (path === '..' || path.startsWith(`..${sep}`) || isAbsolute(path)) return undefined;
  return path.split(sep).join('/');
}

/** Also of what is not there: as far as the way to it is. */
async function realPathOf(path: string): Promise<string> {
  return realpath(path).catch(() => resolve(path));
}

/** For a restore that would replace what the repository lies in. */
export function wouldMoveRepository(target: string, { repositoryDir = '' }: Own): PkbackupError {
  return new PkbackupError(
    'restore_failed',
    `the repository "${repositoryDir}" lies in what would be replaced in "${target}"; nothing was touched`,
    { hint: 'move the repository elsewhere and name it with --backup-dir, or restore beside with --to' },
  );
}
