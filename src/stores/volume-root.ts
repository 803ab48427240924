// The directory of the data in a volume: its owner, mode and time, which no unpacking sets by itself.
import { dirname } from 'node:path/posix';
import { encodeEntry, endOfArchive, type TarEntry } from '../archive/tar-format.ts';
import { TarScanner } from '../archive/tar-scan.ts';
import type { Docker } from '../docker/index.ts';
import { dataPath, type Place } from './volume-place.ts';

/** For a journal. */
export const encodeRoot = (root: TarEntry): string => encodeEntry(root).toString('base64');

export function decodeRoot(root: string | undefined): TarEntry | undefined {
  for (const piece of new TarScanner().scan(Buffer.from(root ?? '', 'base64'))) {
    if (piece.type === 'entry') return piece.entry;
  }
  return undefined;
}

/** An entry `./` would not do: the Engine sets owner, mode and time of a directory only by its name. */
export async function setRoot(
  docker: Docker,
  place: Place,
  containerId: string,
  root: TarEntry,
): Promise<void> {
  const path = dataPath(place);
  const name = `${path.slice(dirname(path).length).replace(/^\//, '')}/`;
  await docker.writeArchive(containerId, dirname(path), oneEntry({ ...root, path: Buffer.from(name) }));
}

export async function* oneEntry(entry: TarEntry): AsyncGenerator<Buffer> {
  yield Buffer.concat([encodeEntry(entry), endOfArchive]);
}
