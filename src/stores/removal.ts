// Removing and measuring trees of this host that may hold directories which their owner may not write to.
import { chmod, rm } from 'node:fs/promises';
import { pathOf, type RawName, rawOfText } from '../archive/raw-name.ts';
import { readDirectory } from '../archive/read-directory.ts';
import { systemCodeOf } from '../errors.ts';

/** Removes a tree, also where its directories are read-only. */
export async function removeTree(path: string): Promise<void> {
  const options = { recursive: true, force: true, maxRetries: 3 };
  try {
    await rm(path, options);
  } catch (error) {
    if (!['EACCES', 'EPERM', 'ENOTEMPTY'].includes(systemCodeOf(error) ?? '')) throw error;
    await openDirectories(rawOfText(path));
    await rm(path, options);
  }
}

async function openDirectories(path: RawName): Promise<void> {
  await chmod(pathOf(path), 0o700);
  for (const each of await readDirectory(path))
    if (each.isDirectory()) await openDirectories(`${path}/${each.name}`);
}
