// pg_restore itself reads a dump, to nowhere, in a container of its own: a second opinion that our own reader cannot give.
import { isHelper, sleep } from '../../docker/index.ts';
import { PkbackupError } from '../../errors.ts';
import { toolsOf } from '../backup-image.ts';
import type { BackupFacts, StoreContext } from '../store.ts';
import { isWindowsPipe } from './in-container.ts';

export interface SecondReader extends AsyncDisposable {
  /** Why there is none. */
  readonly isMissing: string | undefined;
  /** Throws what pg_restore says. */
  read(dump: AsyncIterable<Buffer>): Promise<void>;
}

const longestMs = 24 * 3600 * 1000;

export async function openSecondReader(backup: BackupFacts, context: StoreContext): Promise<SecondReader> {
  const { signal } = context;
  const tools = await toolsOf(backup.source, context);
  if (typeof tools === 'string') return none(`pg_restore has not read the dumps: ${tools}`);
  const { docker, image } = tools;
  if (isWindowsPipe(docker))
    return none('pg_restore has not read the dumps: stdin does not work over Windows pipes');
  const name = backup.source.image ?? image.id;
  const run = await docker.prepareRun({
    image: image.id,
    mounts: [],
    command: ['sleep', String(longestMs / 1000)],
    deadlineMs: longestMs,
    signal,
  });
  // It ends by being removed.
  const running = run.run().then(
    () => 'it ended',
    () => 'it could not run',
  );
  const remove = async () => {
    await run.remove();
    await running;
  };
  try {
    for (;;) {
      const container = await docker.container(run.id, { signal });
      if (container?.state === 'running') break;
      if (!container || !isHelper(container) || container.state !== 'created') {
        throw new PkbackupError('failed', `image "${name}" has no program "sleep"`);
      }
      await sleep(20, signal);
    }
  } catch (error) {
    await remove();
    if (signal.aborted) throw error;
    return none(`pg_restore has not read the dumps: image "${name}" could not be run`);
  }
  return {
    isMissing: undefined,
    async read(dump) {
      const command = ['pg_restore', '--file=/dev/null'] as const;
      for await (const _ of docker.execStream(run.id, { command, stdin: dump, signal }));
    },
    [Symbol.asyncDispose]: remove,
  };
}

function none(why: string): SecondReader {
  return { isMissing: why, read: async () => undefined, [Symbol.asyncDispose]: async () => undefined };
}
