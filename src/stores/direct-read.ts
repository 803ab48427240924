// A volume that is held still, read on the Docker host itself: several times as fast as through the Engine, which copies
// every byte through a pipe, and a socket, in chunks.
import fs from 'node:fs';
import { open, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as letOthersRun } from 'node:timers/promises';
import type { Docker, Helper } from '../docker/index.ts';

/** Where Docker's volume or bind mount `source` lies on this host; undefined where the Engine has to be asked for its bytes. */
export async function hostPathFor(
  docker: Docker,
  { id }: Pick<Helper, 'id'>,
  { source }: { readonly source: string },
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    return await docker.hostPathOf({ containerId: id, source }, { signal });
  } catch {
    // Nothing is lost by it: the Engine reads.
    return undefined;
  }
}

/**
 * Where the data in `directory` below `root` can be read; undefined where the Engine has to be asked. The writers MUST be
 * held: a process that could make a link of a directory meanwhile would lead us out of the volume.
 */
export async function directPathOf(
  root: string | undefined,
  directory: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (root === undefined) return undefined;
  try {
    const path = join(root, directory);
    const isInside = (await realpath(path)) === join(await realpath(root), directory);
    return isInside && !(await mayHaveCapabilities(path, signal)) ? path : undefined;
  } catch {
    // Whatever it is, the usual way says it better.
    return undefined;
  }
}

export interface OpenDirectory extends AsyncDisposable {
  /** Leads to it whatever takes the place of its name meanwhile. */
  readonly path: string;
}

/**
 * A directory of ours below `root`, beside whose name others may write, but not in it; undefined where the Engine has to be
 * asked. Capabilities are not seen.
 */
export async function openDirectory(
  root: string | undefined,
  directory: string,
): Promise<OpenDirectory | undefined> {
  if (root === undefined) return undefined;
  const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = fs.constants;
  await using opened = new AsyncDisposableStack();
  try {
    const file = await open(join(root, directory), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    opened.defer(() => file.close());
    const path = `/proc/self/fd/${file.fd}`;
    if ((await realpath(path)) !== join(await realpath(root), directory)) return undefined;
    const held = opened.move();
    return { path, [Symbol.asyncDispose]: () => held.disposeAsync() };
  } catch {
    return undefined;
  }
}

const entriesPerTurn = 2000;

/**
 * Node cannot read the capabilities of a file (`security.capability`), and the Engine can. Only programs have them; in the
 * data of a database there are none, and in a volume with programs the Engine is asked.
 */
async function mayHaveCapabilities(root: string, signal: AbortSignal): Promise<boolean> {
  const stack = [Buffer.from(root)];
  let entries = 0;
  for (let directory = stack.pop(); directory; directory = stack.pop()) {
    for (const entry of fs.readdirSync(directory, { withFileTypes: true, encoding: 'buffer' })) {
      const path = Buffer.concat([directory, Buffer.from('/'), entry.name]);
      if (entry.isDirectory()) stack.push(path);
      else if (entry.isFile() && (fs.lstatSync(path).mode & 0o111) !== 0) return true;
      entries += 1;
      if (entries % entriesPerTurn === 0) {
        await letOthersRun();
        signal.throwIfAborted();
      }
    }
  }
  return false;
}
