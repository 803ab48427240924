// A save of our own, and the dump that it has written, read while writers go on: a later save replaces the file by a rename,
// so what is read stays what it was.
import { basename } from 'node:path/posix';
import { throwIfAborted } from '../../docker/index.ts';
import { messageOf, PkbackupError } from '../../errors.ts';
import type { Look, Sample, Snapshot, StoreContext } from '../store.ts';
import { countsOf, type DumpWatch, dumpAlone } from './dump.ts';
import { sizesIn, takeSamples } from './samples.ts';
import { type FalkordbServer, saveInBackground } from './server.ts';

export interface DumpSource {
  /** A tar that has the dump under its own name. */
  readonly tar: AsyncIterable<Buffer>;
  readonly dispose?: () => Promise<void>;
}

/** `path` is the dump's; `open` is called when the save is done. */
export async function snapshotHot(
  server: FalkordbServer,
  { path, open }: { path: string; open: () => Promise<DumpSource> },
  look: Look,
  context: StoreContext,
): Promise<Snapshot> {
  let pinnedAt = new Date();
  const savedAtSeconds = await saveInBackground(server, {
    ...(context.beforePin ? { beforeFork: context.beforePin } : {}),
    async onForked() {
      pinnedAt = new Date();
      context.onPinned?.();
      await context.afterPin?.();
    },
  });
  const answers = await samplesOf(server, context);
  const source = await open();
  const watch: DumpWatch = {};
  async function* tar(): AsyncGenerator<Buffer> {
    yield* dumpAlone(source.tar, basename(path), watch);
    refuseWrongDump(watch, savedAtSeconds, path);
  }
  return {
    pinnedAt,
    tar: tar(),
    get counts() {
      return countsOf(watch.facts) ?? look.counts;
    },
    get samples() {
      return [...sizesIn(watch.facts), ...answers];
    },
    dispose: async () => source.dispose?.(),
  };
}

/** A backup without samples is one all the same. */
async function samplesOf(server: FalkordbServer, { emit, store, signal }: StoreContext): Promise<Sample[]> {
  try {
    return await takeSamples(server);
  } catch (error) {
    throwIfAborted(signal);
    emit({
      type: 'step',
      store,
      message: `nothing was recorded for a drill to ask again: ${messageOf(error)}`,
    });
    return [];
  }
}

/** A file that is older than our save is not the server's: its directory is another one than it says. */
export function refuseWrongDump({ facts }: DumpWatch, savedAtSeconds: number, path: string): void {
  const finding = facts?.findings[0];
  if (finding !== undefined) throw new PkbackupError('backup_failed', `"${path}" is not whole: ${finding}`);
  const found = facts?.savedAtSeconds;
  if (found === undefined || found >= savedAtSeconds) return;
  const [was, expected] = [found, savedAtSeconds].map((seconds) => new Date(seconds * 1000).toISOString());
  throw new PkbackupError(
    'backup_failed',
    `"${path}" is not what the server has saved: it is of ${was}, expected ${expected} or later`,
  );
}
