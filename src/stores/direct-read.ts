// A volume that is held still, read on the Docker host itself: several times as fast as through the Engine, which copies
// every byte through a pipe, and a socket, in chunks.
import { isUtf8 } from 'node:buffer';
import fs from 'node:fs';
import { open, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import type { TarEntry } from '../archive/tar-format.ts';
import { scanTar } from '../archive/tar-scan.ts';
import type { Docker, Helper } from '../docker/index.ts';
import { PkbackupError } from '../errors.ts';
import { countTree } from './count-tree.ts';

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

/** Each costs a question to the Engine while the store is held. */
const mostPrograms = 20;

export interface DirectReadOptions {
  /** Files somebody may execute, where they were counted before. */
  readonly programs?: number | undefined;
  readonly signal: AbortSignal;
}

/**
 * Where the data in `directory` below `root` can be read; undefined where the Engine has to be asked, as where many programs
 * are. The writers MUST be held: a process that could make a link of a directory meanwhile would lead us out of the volume.
 */
export async function directPathOf(
  root: string | undefined,
  directory: string,
  { programs, signal }: DirectReadOptions,
): Promise<string | undefined> {
  if (root === undefined) return undefined;
  try {
    const path = await pathInside(root, directory);
    if (path === undefined) return undefined;
    const found = programs ?? (await countTree(path, () => false, signal)).programs;
    return found <= mostPrograms ? path : undefined;
  } catch {
    // Whatever it is, the usual way says it better.
    return undefined;
  }
}

/** Undefined where a link leads elsewhere. */
export async function pathInside(root: string, directory: string): Promise<string | undefined> {
  const path = join(root, directory);
  return (await realpath(path)) === join(await realpath(root), directory) ? path : undefined;
}

/**
 * What the Engine says of a program that is read past it: capabilities (`security.capability`), which Node cannot read. Only
 * programs have them. `path` is that of the data in the container.
 */
export async function capabilitiesOf(
  docker: Docker,
  { id }: Pick<Helper, 'id'>,
  path: string,
  name: Buffer,
  signal: AbortSignal,
): Promise<TarEntry['pax']> {
  if (!isUtf8(name)) {
    // The Engine (20.10) gives an empty tar for such a path. Where it was counted, nobody comes here.
    const text = `Docker cannot be asked for the program "${name}", which was made since the data was looked at`;
    throw new PkbackupError('backup_failed', text, { hint: 'back up again' });
  }
  for await (const piece of scanTar(docker.readArchive(id, `${path}/${name}`, { signal }))) {
    if (piece.type === 'entry') return keptRecords(piece.entry);
  }
  throw new PkbackupError('failed', `Docker gave nothing for "${path}/${name}"`);
}

const capabilityRecord = 'SCHILY.xattr.security.capability';

/** Name, time and the like are in the entry itself. */
function keptRecords({ pax }: TarEntry): TarEntry['pax'] {
  const capabilities = pax?.get(capabilityRecord);
  return capabilities && new Map([[capabilityRecord, capabilities]]);
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
