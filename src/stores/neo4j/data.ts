// Where the data of a Neo4j server lies: found through its container, or by the volume where no container is there.
import type { Container, Docker } from '../../docker/index.ts';
import { PkbackupError } from '../../errors.ts';
import { describeSource, type MountedDirectory, mountOf, notOnMount, repositoryOf } from '../mounted-data.ts';
import type { Source, StoreContext } from '../store.ts';
import { dataPath, imagesFor, lookInto, openHelper, type Place } from '../volume-place.ts';
import { setupOf } from '../volume-setup.ts';
import { usualOwner } from './admin.ts';
import type { Login } from './server.ts';

/** What the configuration says. */
export interface Neo4jTarget extends Login {
  readonly container?: string | undefined;
  readonly volume?: string | undefined;
  /** Of a server on this host, outside Docker. */
  readonly home?: string | undefined;
  readonly method?: 'volume' | 'dump' | undefined;
  readonly data_path?: string | undefined;
  readonly image?: string | undefined;
}

/** The official image sets NEO4J_EDITION; neo4j-admin has an image of its own, which runs no server. */
export function isNeo4j({ image, env, exposedPorts }: Container): boolean {
  const isNamed = repositoryOf(image).split('/').at(-1) === 'neo4j' || 'NEO4J_EDITION' in env;
  return isNamed && exposedPorts.includes('7687/tcp');
}

export interface Data {
  readonly container: Container | undefined;
  readonly place: Place;
  readonly source: Source;
}

/** Throws `not_found` or `ambiguous`; `backup_failed` where the data is not on a mount. */
export async function findData(docker: Docker, target: Neo4jTarget, context: StoreContext): Promise<Data> {
  const { signal } = context;
  if (target.container === undefined) return findInVolume(docker, target, context);
  const container = await docker.findContainer(target.container, { signal });
  const mounted = mountedData(container, target);
  refuseOtherVolume(container, mounted, target);
  return dataOn(docker, container, mounted, target, signal);
}

async function findInVolume(docker: Docker, target: Neo4jTarget, { signal }: StoreContext): Promise<Data> {
  const volume = await docker.findVolume(target.volume ?? '', { signal });
  const { name } = volume;
  const users = await docker.containersOf(name, { signal });
  const container = users.find(
    (user) => isNeo4j(user) && mountOf(user, dataPathOf(user, target))?.mount.source === name,
  );
  if (container) return dataOn(docker, container, mountedData(container, target), target, signal);
  const images = await imagesFor(docker, name, target.image, signal);
  return {
    container: undefined,
    place: { source: name, directory: '', images },
    source: { volume: name, ...setupOf(volume) },
  };
}

async function dataOn(
  docker: Docker,
  container: Container,
  mounted: MountedDirectory,
  target: Neo4jTarget,
  signal: AbortSignal,
): Promise<Data> {
  const { mount, directory } = mounted;
  const images = await imagesFor(docker, mount.source, target.image, signal);
  return {
    container,
    place: { source: mount.source, directory, images },
    source: await describeSource(docker, container, mounted, signal),
  };
}

export function dataPathOf({ env }: Container, target: Neo4jTarget): string {
  return target.data_path ?? env.NEO4J_server_directories_data ?? '/data';
}

function mountedData(container: Container, target: Neo4jTarget): MountedDirectory {
  const path = dataPathOf(container, target);
  const mounted = mountOf(container, path);
  if (mounted) return mounted;
  throw notOnMount(container, path, `mount the volume at "${path}"; nothing was backed up for this store`);
}

function refuseOtherVolume(container: Container, { mount }: MountedDirectory, { volume }: Neo4jTarget): void {
  if (volume === undefined || mount.source === volume || mount.source.endsWith(`_${volume}`)) return;
  throw new PkbackupError(
    'config',
    `container "${container.name}" keeps its data on volume "${mount.source}", expected volume "${volume}"`,
    { hint: 'correct volume, or leave it out' },
  );
}

/** Of the data, as `uid:gid`. */
export async function ownerOfData(docker: Docker, place: Place, signal: AbortSignal): Promise<string> {
  await using helper = await openHelper(docker, place, { isReadOnly: true, signal });
  const path = `${dataPath(place)}/databases`;
  if (!(await docker.pathStat(helper.id, path, { signal }))) return usualOwner;
  const { root } = await lookInto(docker, helper, path, signal);
  return `${root.uid}:${root.gid}`;
}
