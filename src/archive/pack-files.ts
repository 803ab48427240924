// Single files of this host as a tar, for stores whose backup is a file or a few: dumps, copies of databases.
import { PkbackupError } from '../errors.ts';
import {
  type Attributes,
  cannotRead,
  entryOf,
  makeReadMemory,
  openLargeFile,
  type ReadMemory,
} from './pack-parts.ts';
import { encodeEntry, endOfArchive } from './tar-format.ts';

export interface FileToPack {
  /** The name in the tar, with `/` between its parts. */
  readonly name: string;
  readonly path: string;
  /** Mode, owner and time where they are not those of `path`. */
  readonly attributes?: Attributes;
}

/**
 * The files, in the order given; each chunk is good until the next. They MUST NOT change meanwhile: throws `backup_failed`
 * where one does.
 */
export async function* packFiles(
  files: readonly FileToPack[],
  options: { signal: AbortSignal },
): AsyncGenerator<Buffer> {
  const memory = makeReadMemory();
  for (const file of files) yield* packFile(file, memory, options.signal);
  yield endOfArchive;
}

async function* packFile(file: FileToPack, memory: ReadMemory, signal: AbortSignal): AsyncGenerator<Buffer> {
  const content = await openLargeFile(file.path, memory, signal).catch((error) => {
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
