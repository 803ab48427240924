// Files of a server belong to whom it runs as, and that is another number on this host than in a container.
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { encodeEntry, endOfArchive, padding } from '../../archive/tar-format.ts';
import { scanTar } from '../../archive/tar-scan.ts';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** `7474:7474` */
export function ownerIn(text: string): Owner {
  const [uid = 0, gid = 0] = text.split(':').map(Number);
  return { uid, gid };
}

/** Where there is no such directory, that of the directory that it would be made in. */
export async function ownerOf(directory: string): Promise<Owner> {
  for (let at = directory; ; at = dirname(at)) {
    const stats = await stat(at).catch(() => undefined);
    if (stats || at === dirname(at)) return { uid: stats?.uid ?? 0, gid: stats?.gid ?? 0 };
  }
}

/** The same tar, all of it belonging to `owner`. */
export async function* reowned(tar: AsyncIterable<Buffer>, owner: Owner): AsyncGenerator<Buffer> {
  let missing = 0;
  let size = 0;
  for await (const piece of scanTar(tar)) {
    if (piece.type === 'data') {
      yield piece.bytes;
      missing -= piece.bytes.length;
      if (missing === 0) yield padding(size);
      continue;
    }
    yield encodeEntry({ ...piece.entry, ...owner });
    size = piece.entry.size;
    missing = size;
  }
  yield endOfArchive;
}
