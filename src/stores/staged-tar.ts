// The content of a backup on its way into a staging directory: names checked and put below it, what arrives compared.
// The archive is input. The Engine unpacks as root, so nothing hostile may reach it: it would follow a link of the archive
// into the live data.
import { bytePartsOf, EntryGuard, hostile, tooLarge } from '../archive/entry-guard.ts';
import { encodeEntry, endOfArchive, padding, type TarEntry } from '../archive/tar-format.ts';
import { scanTar, type TarPiece } from '../archive/tar-scan.ts';
import { TreePrint } from './tree-print.ts';
import { ownPrefix } from './volume-place.ts';

export interface StagedTar {
  /** To be unpacked at the root directory of the helper. */
  readonly tar: AsyncGenerator<Buffer>;
  /** What went through; complete when `tar` has ended. */
  readonly print: TreePrint;
  /** The archive's entry for the root; undefined where it has none. Known when `tar` has ended. */
  root(): TarEntry | undefined;
}

/** Sees what is staged as it goes by. */
export interface PieceWatcher {
  begin(): Promise<void>;
  take(piece: TarPiece): Promise<void>;
  end(): Promise<void>;
}

export interface StageOptions {
  readonly watcher?: PieceWatcher | undefined;
  /** Whether the place tells names apart that differ in their case only. */
  readonly isCaseSensitive?: boolean;
  /** More bytes of content than this are refused. */
  readonly limitBytes?: number | undefined;
  /** Bytes of content so far; called at each megabyte or so. */
  readonly onBytes?: (doneBytes: number) => void;
}

const bytesPerCall = 1024 * 1024;

/** `directory` is absolute. Names are put below it; throws `bad_backup` for those that could leave it. */
export function stageBelow(
  directory: string,
  content: AsyncIterable<Buffer>,
  { watcher, isCaseSensitive = true, limitBytes = Number.POSITIVE_INFINITY, onBytes }: StageOptions = {},
): StagedTar {
  const print = new TreePrint();
  const guard = new EntryGuard({ isCaseSensitive });
  const prefix = directory.slice(1);
  let root: TarEntry | undefined;

  async function* tar(): AsyncGenerator<Buffer> {
    await watcher?.begin();
    yield encodeEntry(directoryEntry(`${prefix}/`, 0o700));
    let total = 0;
    let done = 0;
    let told = 0;
    let missing = 0;
    let size = 0;
    for await (const piece of scanTar(content)) {
      await watcher?.take(piece);
      print.add(piece);
      if (piece.type === 'data') {
        // Afterwards its memory may be somebody else's.
        const { length } = piece.bytes;
        yield piece.bytes;
        missing -= length;
        if (missing === 0) yield padding(size);
        done += length;
        if (done - told >= bytesPerCall) {
          told = done;
          onBytes?.(done);
        }
        continue;
      }
      const { entry } = piece;
      const parts = guard.check(entry);
      if (parts[0]?.startsWith(ownPrefix)) throw hostile(entry, 'is a name that pkbackup uses itself');
      if (parts.length === 0) root = entry;
      else yield encodeEntry(entryBelow(prefix, entry, parts));
      missing = entry.size;
      size = entry.size;
      total += size;
      if (total > limitBytes) throw tooLarge(limitBytes);
    }
    print.end();
    await watcher?.end();
    yield endOfArchive;
  }
  return { tar: tar(), print, root: () => root };
}

export function directoryEntry(path: string, mode: number): TarEntry {
  return {
    path: Buffer.from(path),
    type: 'directory',
    size: 0,
    mode,
    uid: 0,
    gid: 0,
    mtime: Math.floor(Date.now() / 1000),
  };
}

/** `parts` are those of its path; of the directory itself there are none. */
export function entryBelow(prefix: string, entry: TarEntry, parts: readonly string[]): TarEntry {
  const slash = entry.type === 'directory' && parts.length > 0 ? '/' : '';
  const path = Buffer.concat([
    Buffer.from(`${prefix}/`),
    Buffer.from(`${parts.join('/')}${slash}`, 'latin1'),
  ]);
  if (entry.type !== 'link' || !entry.linkPath) return { ...entry, path };
  const target = Buffer.from(bytePartsOf(entry.linkPath).join('/'), 'latin1');
  return { ...entry, path, linkPath: Buffer.concat([Buffer.from(`${prefix}/`), target]) };
}
