// A repository that cannot be written to, said as people need it. It may still be listed, verified and restored from.
import { access, constants } from 'node:fs/promises';
import { dirname } from 'node:path';
import { PkbackupError, systemCodeOf } from '../errors.ts';

const reasons: Readonly<Record<string, string>> = {
  EROFS: 'its file system is read-only',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
};

/** Throws `failed` with the reason where nothing can be written at `path`, which is of the repository `directory`. */
export async function assertWritable(directory: string, path: string): Promise<void> {
  try {
    await access(path, constants.W_OK);
  } catch (error) {
    throw asNotWritable(directory, error);
  }
}

/** The repository as a whole, which may not be there yet: then it is made in the nearest directory that is. */
export async function assertCanWrite(directory: string): Promise<void> {
  for (let path = directory; ; path = dirname(path)) {
    try {
      return await assertWritable(directory, path);
    } catch (error) {
      if (systemCodeOf(error) !== 'ENOENT' || dirname(path) === path) throw error;
    }
  }
}

/** The error itself where it has another reason. */
export function asNotWritable(directory: string, error: unknown): unknown {
  const reason = reasons[systemCodeOf(error) ?? ''];
  if (reason === undefined) return error;
  return new PkbackupError('failed', `the repository "${directory}" cannot be written to: ${reason}`, {
    cause: error,
    hint: 'make it writable, or choose another with --backup-dir: a backup in this one can be restored by its path',
  });
}

export function isNotWritable(error: unknown): boolean {
  return systemCodeOf(error) !== undefined && (systemCodeOf(error) ?? '') in reasons;
}
