// The dump of a backup as it is put into a data directory, and the dump that a restore has replaced. A server with
// `appendonly yes` ignores its dump, so it gets it as the base of a new log as well.
import { encodeEntry, padding, type TarEntry } from '../../archive/tar-format.ts';
import { directoryEntry } from '../staged-tar.ts';
import type { Content, Snapshot } from '../store.ts';
import { countsOf, type DumpWatch, dumpAlone, pickDump } from './dump.ts';
import type { DataFiles } from './server.ts';

/** And modes, where what is replaced has any. */
export interface Owner extends Pick<TarEntry, 'uid' | 'gid'> {
  readonly mode?: number;
  readonly logMode?: number;
}

/** Without the end of a tar. `name` is that of the dump in a data directory; `owner` is the archive's where it is missing. */
export async function* stagedDump(
  content: Content,
  name: string,
  { files, owner, watch }: { files: DataFiles; owner: Owner | undefined; watch: DumpWatch },
): AsyncGenerator<Buffer> {
  let dump: TarEntry | undefined;
  yield* pickDump(content.tar(), name, watch, (entry) => {
    const { logMode: _, ...own } = owner ?? {};
    dump = { ...entry, ...own, path: Buffer.from(files.dump) };
    return dump;
  });
  if (files.appendOnly && dump) yield* newLog(dump, files, owner?.logMode);
}

/** Neither of the two names of the file is ever written to: Redis replaces dumps and removes bases. */
function* newLog(dump: TarEntry, files: DataFiles, mode = 0o755): Generator<Buffer> {
  const { uid, gid, mtime } = dump;
  const base = `${files.appendFile}.1.base.rdb`;
  const manifest = Buffer.from(`file ${base} seq 1 type b\n`);
  const place = (name: string) => Buffer.from(`${files.appendDirectory}/${name}`);
  yield encodeEntry({ ...directoryEntry(`${files.appendDirectory}/`, mode), uid, gid });
  yield encodeEntry({
    path: place(base),
    type: 'link',
    linkPath: dump.path,
    size: 0,
    mode: dump.mode,
    uid,
    gid,
    mtime,
  });
  yield encodeEntry({
    path: place(`${files.appendFile}.manifest`),
    type: 'file',
    size: manifest.length,
    mode: 0o644 & mode,
    uid,
    gid,
    mtime,
  });
  yield manifest;
  yield padding(manifest.length);
}

/** What the server saved last is all of its data. */
export function previousDump(whole: Snapshot | undefined, dump: string): Snapshot | undefined {
  if (!whole) return undefined;
  const watch: DumpWatch = {};
  return {
    pinnedAt: whole.pinnedAt,
    tar: dumpAlone(whole.tar, dump, watch),
    get counts() {
      return countsOf(watch.facts) ?? {};
    },
    dispose: async () => whole.dispose?.(),
  };
}
