// Whether what the Engine keeps can be read on this very host, past the Engine: it is this machine's own Engine, nothing
// maps its owners, and this process may read everything.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { CallOptions } from './deadline.ts';
import type { Engine } from './engine.ts';
import { volumeIfThere } from './volumes.ts';

/** `containerId` is of a container that mounts `source`, a volume or a path of the Docker host. */
export async function hostPathOf(
  engine: Engine,
  { containerId, source }: { containerId: string; source: string },
  options?: CallOptions,
): Promise<string | undefined> {
  const isRoot = process.platform === 'linux' && process.getuid?.() === 0;
  if (!isRoot || engine.endpoint.kind !== 'socket') return undefined;
  const rootDirectory = await rootDirectoryOf(engine, options);
  // Only the Engine's own file system has the directory of a container that was made a moment ago.
  if (!rootDirectory || !existsSync(join(rootDirectory, 'containers', containerId))) return undefined;
  if (source.startsWith('/')) return source;
  const volume = await volumeIfThere(engine, source, options);
  // With options it may be a mount that is there only while a container runs, perhaps of another machine.
  const isPlain = volume?.driver === 'local' && Object.keys(volume.options).length === 0;
  const path = join(rootDirectory, 'volumes', source, '_data');
  return isPlain && volume.mountpoint === path && existsSync(path) ? path : undefined;
}

/** Undefined where the users of containers are others on the host: what is read there has other owners. */
async function rootDirectoryOf(engine: Engine, options?: CallOptions): Promise<string | undefined> {
  const { json } = await engine.call({ method: 'GET', path: '/info', act: 'ask Docker what it is' }, options);
  const info = json as { DockerRootDir?: string; SecurityOptions?: string[] | null } | undefined;
  const mapsOwners = info?.SecurityOptions?.some((option) => /^name=(userns|rootless)\b/.test(option));
  return mapsOwners ? undefined : info?.DockerRootDir;
}
