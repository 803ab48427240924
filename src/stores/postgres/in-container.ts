// The tools in the container of a PostgreSQL server: those always match it.
import { randomBytes } from 'node:crypto';
import { encodeEntry, endOfArchive, padding } from '../../archive/tar-format.ts';
import { type Container, type Docker, type Finished, isUp } from '../../docker/index.ts';
import { PkbackupError } from '../../errors.ts';
import { diskIn, freeSpaceCommand } from '../free-space.ts';
import type { Command, Environment, Tools } from './server.ts';

/** Throws `not_found`, `ambiguous`, or `failed` where it does not run. */
export async function findRunning(docker: Docker, name: string, signal: AbortSignal): Promise<Container> {
  const container = await docker.findContainer(name, { signal });
  refuseNotRunning(container);
  return container;
}

export function toolsInContainer(docker: Docker, container: Container): Tools {
  const { id } = container;
  return {
    run: (command, env, signal) => docker.exec(id, { command, env, signal }),
    stream: (command, env, signal, stdin) =>
      docker.execStream(id, { command, env, signal, ...(stdin ? { stdin } : {}) }),
    takesStdin: !isWindowsPipe(docker),
    feed: (command, input, env, signal) => feed({ docker, container, signal }, command, input, env),
    async isUp(signal) {
      const now = await docker.container(id, { signal });
      return now !== undefined && isUp(now);
    },
    async diskOf(path, signal) {
      const { exitCode, stdout } = await docker.exec(id, { command: freeSpaceCommand(path), signal });
      return diskIn({ exitCode, stdout: stdout.toString('utf8') });
    },
  };
}

interface Parts {
  readonly docker: Docker;
  readonly container: Container;
  readonly signal: AbortSignal;
}

async function feed(
  parts: Parts,
  command: Command,
  chunks: AsyncIterable<Buffer>,
  env: Environment,
): Promise<Buffer> {
  const { docker, container, signal } = parts;
  if (!isWindowsPipe(docker)) {
    return gather(docker.execStream(container.id, { command, env, signal, stdin: chunks }));
  }
  const path = await putFile(parts, chunks);
  try {
    const [program, ...args] = command;
    const withFile = args.includes('--file=-')
      ? args.map((arg) => (arg === '--file=-' ? `--file=${path}` : arg))
      : [...args, path];
    return await gather(docker.execStream(container.id, { command: [program, ...withFile], env, signal }));
  } finally {
    await docker.exec(container.id, { command: ['rm', '-f', path] }).catch(() => undefined);
  }
}

async function* toAsync(input: Iterable<Buffer>): AsyncGenerator<Buffer> {
  yield* input;
}

async function gather(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}

/** They cannot be closed at one end, so a tool would wait for ever for the end of its stdin. */
export function isWindowsPipe(docker: Docker): boolean {
  return docker.url.startsWith('npipe:');
}

const pieceBytes = 64 * 1024 * 1024;

/** In pieces, because the Engine locks the container while it takes one, and health checks wait. */
async function putFile(parts: Parts, input: AsyncIterable<Buffer>): Promise<string> {
  const { docker, container, signal } = parts;
  const name = `pkbackup-${randomBytes(8).toString('hex')}`;
  const uid = Number((await runTool(parts, ['id', '-u'])).stdout.toString('utf8'));
  const put = async (file: string, bytes: Buffer) => {
    const path = Buffer.from(file);
    const size = bytes.length;
    const entry = { path, type: 'file', size, mode: 0o600, uid, gid: 0, mtime: 0 } as const;
    const tar = [encodeEntry(entry), bytes, padding(size), endOfArchive];
    await docker.writeArchive(container.id, '/tmp', toAsync(tar), { signal });
  };
  await put(name, Buffer.alloc(0));
  try {
    for await (const piece of inPieces(input, pieceBytes)) {
      await put(`${name}.piece`, piece);
      await runTool(parts, ['sh', '-c', 'cat "$0" >>"$1" && rm "$0"', `/tmp/${name}.piece`, `/tmp/${name}`]);
    }
  } catch (error) {
    const command: Command = ['rm', '-f', `/tmp/${name}`, `/tmp/${name}.piece`];
    await docker.exec(container.id, { command }).catch(() => undefined);
    throw error;
  }
  return `/tmp/${name}`;
}

async function* inPieces(input: AsyncIterable<Buffer>, bytes: number): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let size = 0;
  for await (const chunk of input) {
    parts.push(chunk);
    size += chunk.length;
    if (size < bytes) continue;
    yield Buffer.concat(parts);
    parts = [];
    size = 0;
  }
  if (size > 0) yield Buffer.concat(parts);
}

async function runTool({ docker, container, signal }: Parts, command: Command): Promise<Finished> {
  const finished = await docker.exec(container.id, { command, signal });
  if (finished.exitCode === 0) return finished;
  throw new PkbackupError(
    'failed',
    `run "${command[0]}" in container "${container.name}": exit code ${finished.exitCode}: ${finished.stderr.trim()}`,
  );
}

function refuseNotRunning(container: Container): void {
  if (container.state === 'running') return;
  const hint =
    container.state === 'paused' ? `docker unpause ${container.name}` : `docker start ${container.name}`;
  throw new PkbackupError(
    'failed',
    `container "${container.name}" is not running (${container.state}): PostgreSQL can only be asked while it runs`,
    { hint },
  );
}
