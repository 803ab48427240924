// The files of a backup, one after another as the tar flows by.
import { nameOf } from '../../archive/tar-format.ts';
import { scanTar, type TarPiece } from '../../archive/tar-scan.ts';
import { PkbackupError } from '../../errors.ts';
import type { Content } from '../store.ts';

export interface ArchivedFile {
  readonly name: string;
  readonly size: number;
  /** To be read before the next file is asked for; what is left of it is skipped. */
  readonly data: AsyncGenerator<Buffer>;
}

/** Throws `bad_backup` where there is anything but files, or one of them twice. */
export async function* archivedFiles(content: Content): AsyncGenerator<ArchivedFile> {
  const pieces = scanTar(content.tar());
  const seen = new Set<string>();
  let piece = await next(pieces);
  async function* data(): AsyncGenerator<Buffer> {
    while (piece?.type === 'data') {
      yield piece.bytes;
      piece = await next(pieces);
    }
  }
  try {
    while (piece) {
      if (piece.type === 'data') {
        piece = await next(pieces);
        continue;
      }
      const { type, size } = piece.entry;
      const name = nameOf(piece.entry).replace(/^\.\//, '');
      piece = await next(pieces);
      if (type === 'directory' && name === '') continue;
      if (type !== 'file') throw new PkbackupError('bad_backup', `"${name}" is a ${type}, not a file`);
      if (seen.has(name)) throw new PkbackupError('bad_backup', `"${name}" is there twice`);
      seen.add(name);
      yield { name, size, data: data() };
    }
  } finally {
    await pieces.return(undefined);
  }
}

async function next(pieces: AsyncGenerator<TarPiece>): Promise<TarPiece | undefined> {
  const { value, done } = await pieces.next();
  return done ? undefined : value;
}

const longestTextBytes = 64 * 1024 * 1024;

export async function textOf(file: ArchivedFile): Promise<string> {
  if (file.size > longestTextBytes) {
    throw new PkbackupError('bad_backup', `"${file.name}" is too long: ${file.size} bytes`);
  }
  const parts: Buffer[] = [];
  for await (const chunk of file.data) parts.push(Buffer.from(chunk));
  return Buffer.concat(parts).toString('utf8');
}
