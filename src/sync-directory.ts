// Makes the names in a directory durable, for every layer that renames. It knows no layer of the program.
import { open } from 'node:fs/promises';
import process from 'node:process';
import { systemCodeOf } from './errors.ts';

/** Windows has no such call and does it by itself; some network file systems refuse it, and nothing better is to be had. */
export async function syncDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } catch (error) {
    if (!['EINVAL', 'ENOTSUP', 'EISDIR', 'EPERM'].includes(systemCodeOf(error) ?? '')) throw error;
  } finally {
    await directory.close();
  }
}
