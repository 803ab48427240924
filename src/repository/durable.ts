// Files that are there whole or not at all, also after a power failure.
import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { syncDirectory } from '../sync-directory.ts';
import { partialNameOf } from './naming.ts';

/** Writes a file beside, makes it durable and renames it into place, over what is there. */
export async function writeDurably(path: string, text: string): Promise<void> {
  const { randomBytes } = await import('node:crypto');
  const partial = await writePartial(path, text, randomBytes(4).toString('hex'));
  try {
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true }).catch(() => {});
    throw error;
  }
  await syncDirectory(dirname(path));
}

/**
 * The first half of `writeDurably`: gives the path of the partial file, which is on disk, to be renamed. It is made anew: a
 * link that somebody else has put there is not followed.
 */
export async function writePartial(path: string, text: string, salt?: string): Promise<string> {
  const name = salt === undefined ? basename(path) : `${basename(path)}.${salt}`;
  const partial = join(dirname(path), partialNameOf(name));
  await rm(partial, { force: true });
  try {
    const file = await open(partial, 'wx', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    return partial;
  } catch (error) {
    await rm(partial, { force: true }).catch(() => {});
    throw error;
  }
}
