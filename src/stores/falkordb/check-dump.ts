// redis-check-rdb reads a dump, in a container of its own made from the server's image, or on this host where the server was
// here: a second opinion beside our reader. It is redis-server under another name, and images that leave the name out have the
// program all the same; on a host redis-server may be a script, which would start a server.
import { randomBytes } from 'node:crypto';
import { access, constants } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';
import { extractTree } from '../../archive/extract-tree.ts';
import type { RunResult } from '../../docker/index.ts';
import { toolsOf } from '../backup-image.ts';
import { runHostProgram } from '../host-program.ts';
import { removeTree } from '../removal.ts';
import type { BackupFacts, Source, StoreContext } from '../store.ts';
import { dumpName } from './dump.ts';

const script = `
program=$(command -v redis-check-rdb) || {
  server=$(command -v redis-server) || exit 127
  ln -s "$server" /tmp/redis-check-rdb && program=/tmp/redis-check-rdb
}
exec "$program" /tmp/${dumpName}
`;
const deadlineMs = 3600 * 1000;

export interface Checked {
  readonly finding?: string;
  /** Why nobody knows. */
  readonly notChecked?: string;
}

/** `dump` is a tar with the dump alone, and is read to its end in any case. */
export async function checkByServer(
  dump: AsyncIterable<Buffer>,
  { source }: BackupFacts,
  context: StoreContext,
): Promise<Checked> {
  // A server without Docker has no image, and most likely its program is here.
  const isOfHost = source.image === undefined && source.url !== undefined;
  const checked = await (isOfHost ? checkOnHost(dump, context) : checkInImage(dump, source, context));
  if (typeof checked !== 'string') return checked;
  for await (const _ of dump) context.signal.throwIfAborted();
  return notChecked(checked);
}

const notChecked = (why: string): Checked => ({
  notChecked: `redis-check-rdb has not read the dump: ${why}`,
});

/** Or why it cannot be had: then nothing of the dump was read. */
async function checkInImage(
  dump: AsyncIterable<Buffer>,
  source: Source,
  context: StoreContext,
): Promise<Checked | string> {
  const { signal } = context;
  const tools = await toolsOf(source, context);
  if (typeof tools === 'string') return tools;
  const { docker, image } = tools;
  await using run = await docker.prepareRun({
    image: image.id,
    mounts: [],
    command: ['/bin/sh', '-c', script],
    deadlineMs,
    signal,
  });
  await docker.writeArchive(run.id, '/tmp', dump, { signal });
  return verdictOf(await run.run(), `image "${source.image ?? image.id}"`);
}

async function checkOnHost(
  dump: AsyncIterable<Buffer>,
  { environment, scratchDir, signal }: StoreContext,
): Promise<Checked | string> {
  const directory = join(scratchDir, `checked-${randomBytes(4).toString('hex')}`);
  const PATH = environment.PATH ?? '';
  const program = await findProgram('redis-check-rdb', PATH);
  if (program === undefined) return 'there is none on the PATH of this machine';
  try {
    await extractTree(dump, directory, { signal, keepOwner: false, failureCode: 'failed' });
    const how = { environment: { PATH, LC_ALL: 'C' }, deadlineMs, signal };
    const { exitCode, stdout, stderr } = await runHostProgram([program, join(directory, dumpName)], how);
    return verdictOf({ exitCode, stdout: stdout.toString('utf8'), stderr }, 'this machine');
  } finally {
    await removeTree(directory);
  }
}

async function findProgram(name: string, path: string): Promise<string | undefined> {
  for (const directory of path.split(delimiter).filter(isAbsolute)) {
    const file = join(directory, name);
    const isThere = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return file;
  }
  return undefined;
}

function verdictOf(result: RunResult, where: string): Checked {
  if (result.exitCode === 0) return {};
  if (result.exitCode >= 126) return notChecked(`${where} has none`);
  const said = saidBy(result);
  // Which may be older than the server of the backup.
  if (/Can't handle RDB format version/.test(said)) return notChecked(`that of ${where} is too old for it`);
  return { finding: `redis-check-rdb: ${said}` };
}

/** What it tells behind the error is what it was reading. */
function saidBy({ exitCode, stdout, stderr }: RunResult): string {
  const said = `${stdout}\n${stderr}`;
  const error = /RDB ERROR DETECTED ---\s+(?:\[offset \d+\] )?(.+)/.exec(said)?.[1];
  return error?.trim() ?? (said.trim().split('\n').at(-1) || `exit code ${exitCode}`);
}
