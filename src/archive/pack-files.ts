// Single files of this host as a tar, for stores whose backup is a file or a few: dumps, copies of databases.
import { PkbackupError } from '../errors.ts';
import { type Attributes, cannotRead, entryOf, openLargeFile } from './pack-parts.ts';
import { encodeEntry, endOfArchive } from './tar-format.ts';

export interface FileToPack {
  /** The name in the tar, with `/` between its parts. */
  readonly name: string;
  readonly path: string;
  /** Mode, owner and time where they are not those of `path`. */
  readonly attributes?: Attributes;
}

/** The files, in the order given. They MUST NOT change meanwhile: throws `backup_failed` where one does. */
export async function* packFiles(
  files: readonly FileToPack[],
  options: { signal: AbortSignal },
): AsyncGenerator<Buffer> {
  for (const file of files) yield* packFile(file, options.signal);
  yield endOfArchive;
}

async function* packFile(file: FileToPack, signal: AbortSignal): AsyncGenerator<Buffer> {
  const content = await openLargeFile(file.path, signal).catch((error) => {
    throw cannotRead(file.path, error);
  });
  try {
    yield encodeEntry({ ...entryOf(Buffer.from(file.name), 'file', content.stats), ...file.attributes });
    yield* content.chunks();
  } finally {
    await content.close();
  }
  const change = content.change();
  if (!change) return;
  const what = change === 'changed' ? 'changed' : `has ${change}`;
  throw new PkbackupError('backup_failed', `"${file.path}" ${what} while it was read`);
}
