// Files that say a schedule, in a directory that others have files in, too: which are ours, written so that nobody ever reads
// half of one.
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { systemCodeOf } from '../errors.ts';
import { isNameOf } from '../schedule/index.ts';

/** Names in `directory` of `<id>.<ending>` and `<id>-2.<ending>` ... */
export async function ownFilesIn(
  directory: string,
  id: string,
  endings: readonly string[],
): Promise<string[]> {
  const names = await readdir(directory).catch((error: unknown) => {
    if (systemCodeOf(error) === 'ENOENT') return [];
    throw error;
  });
  return names.filter((name) => {
    return endings.some((ending) => name.endsWith(ending) && isNameOf(id, name.slice(0, -ending.length)));
  });
}

/** Whether it was another one before. */
export async function writeOwnFile(path: string, text: string, mode = 0o644): Promise<boolean> {
  const before = await readFile(path, 'utf8').catch(() => undefined);
  if (before === text) return false;
  await mkdir(dirname(path), { recursive: true });
  const making = join(dirname(path), `.pkbackup-${randomBytes(4).toString('hex')}`);
  try {
    await writeFile(making, text, { mode, flag: 'wx' });
    await rename(making, path);
  } finally {
    await rm(making, { force: true });
  }
  return true;
}
