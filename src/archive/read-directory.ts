// What is in a directory of this host, by names as the file system holds them.
import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { systemCodeOf } from '../errors.ts';
import { pathOf, type RawName, rawEncoding, rawOfBytes } from './raw-name.ts';

/** With raw names; throws as `readdir` does. */
export async function readDirectory(directory: RawName): Promise<Dirent[]> {
  const path = pathOf(directory);
  try {
    return await readdir(path, { encoding: rawEncoding, withFileTypes: true });
  } catch (error) {
    // Where the file system does not say what its entries are, Node (24.21) looks at each, and cannot join a path of bytes and a
    // name of text for that.
    if (systemCodeOf(error) !== 'ERR_INVALID_ARG_TYPE') throw error;
    const entries = await readdir(path, { encoding: 'buffer', withFileTypes: true });
    return entries.map((entry) =>
      Object.assign(entry as unknown as Dirent, { name: rawOfBytes(entry.name) }),
    );
  }
}
