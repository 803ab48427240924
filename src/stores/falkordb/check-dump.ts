// redis-check-rdb reads a dump, in a container of its own made from the server's image: a second opinion beside our reader.
// It is redis-server under another name, and images that leave the name out have the program all the same.
import type { RunResult } from '../../docker/index.ts';
import { toolsOf } from '../backup-image.ts';
import type { BackupFacts, StoreContext } from '../store.ts';
import { dumpName } from './dump.ts';

const script = `
program=$(command -v redis-check-rdb) || {
  server=$(command -v redis-server) || exit 127
  ln -s "$server" /tmp/redis-check-rdb && program=/tmp/redis-check-rdb
}
exec "$program" /tmp/${dumpName}
`;
const deadlineMs = 3600 * 1000;

/** `dump` is a tar with the dump alone, and is read to its end in any case. What is wrong with it, or why nobody knows. */
export async function checkByServer(
  dump: AsyncIterable<Buffer>,
  { source }: BackupFacts,
  context: StoreContext,
): Promise<{ finding?: string; notChecked?: string }> {
  const { signal } = context;
  const tools = await toolsOf(source, context);
  const notChecked = (why: string) => ({ notChecked: `redis-check-rdb has not read the dump: ${why}` });
  if (typeof tools === 'string') {
    for await (const _ of dump) signal.throwIfAborted();
    return notChecked(tools);
  }
  const { docker, image } = tools;
  await using run = await docker.prepareRun({
    image: image.id,
    mounts: [],
    command: ['/bin/sh', '-c', script],
    deadlineMs,
    signal,
  });
  await docker.writeArchive(run.id, '/tmp', dump, { signal });
  const result = await run.run();
  if (result.exitCode === 0) return {};
  if (result.exitCode >= 126) return notChecked(`image "${source.image ?? image.id}" has none`);
  return { finding: `redis-check-rdb: ${saidBy(result)}` };
}

/** What it tells behind the error is what it was reading. */
function saidBy({ exitCode, stdout, stderr }: RunResult): string {
  const said = `${stdout}\n${stderr}`;
  const error = /RDB ERROR DETECTED ---\s+(?:\[offset \d+\] )?(.+)/.exec(said)?.[1];
  return error?.trim() ?? (said.trim().split('\n').at(-1) || `exit code ${exitCode}`);
}
