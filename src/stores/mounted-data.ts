// Where a server in a container keeps its data, compared with what is mounted: data that lies in the container's own layer
// is lost with the container, and a volume beside it is not the data. Shared by the stores that are servers.
import { type Container, composeProject, composeService, type Docker, type Mount } from '../docker/index.ts';
import { PkbackupError } from '../errors.ts';
import type { Source } from './store.ts';
import { isHostPath } from './volume-place.ts';
import { setupOf } from './volume-setup.ts';

export interface MountedDirectory {
  readonly mount: Mount;
  /** Below the mount, without slashes at its ends; empty where it is the mount itself. */
  readonly directory: string;
}

/** The mount that holds `path`; undefined where it lies in the container's own layer, or in memory. */
export function mountOf(container: Container, path: string): MountedDirectory | undefined {
  const [nearest] = container.mounts
    .filter(({ destination }) => isBelow(path, destination))
    .toSorted((a, b) => b.destination.length - a.destination.length);
  if (!nearest || (nearest.type !== 'volume' && nearest.type !== 'bind')) return undefined;
  return { mount: nearest, directory: path.slice(nearest.destination.length).replace(/^\/+|\/+$/g, '') };
}

function isBelow(path: string, directory: string): boolean {
  const plain = directory.replace(/\/+$/, '');
  return path === plain || path.startsWith(`${plain}/`);
}

/** Those of `directories` that hold `file` in the container, running or not. */
export async function directoriesWith(
  docker: Docker,
  container: Container,
  directories: readonly string[],
  file: string,
  signal: AbortSignal,
): Promise<string[]> {
  const found: string[] = [];
  for (const directory of new Set(directories)) {
    const stat = await docker.pathStat(container.id, `${directory}/${file}`, { signal });
    if (stat?.type === 'file') found.push(directory);
  }
  return found;
}

export function notOnMount(container: Container, path: string, hint: string): PkbackupError {
  const mounted = container.mounts
    .filter(({ type }) => type === 'volume' || type === 'bind')
    .map(
      ({ type, source, destination }) =>
        `${type === 'bind' ? 'directory' : 'volume'} "${source}" is mounted at "${destination}"`,
    );
  const beside = mounted.length > 0 ? mounted.join(', ') : 'the container has no mounts';
  return new PkbackupError(
    'backup_failed',
    `data directory "${path}" of container "${container.name}" is not on a mount (${beside})`,
    { hint },
  );
}

export async function describeSource(
  docker: Docker,
  container: Container,
  { mount, directory }: MountedDirectory,
  signal: AbortSignal,
): Promise<Source> {
  const image = await docker.image(container.imageId, { signal });
  const digest = image?.digests[0]?.split('@')[1] ?? image?.id;
  const project = composeProject(container);
  const service = composeService(container);
  return {
    container: container.name,
    image: container.image,
    ...(digest === undefined ? {} : { image_digest: digest }),
    ...(isHostPath(mount.source)
      ? { path: mount.source }
      : await describeVolume(docker, mount.source, signal)),
    ...(directory === '' ? {} : { volume_directory: directory }),
    ...(project === undefined ? {} : { compose_project: project }),
    ...(service === undefined ? {} : { compose_service: service }),
  };
}

/** Its name, and how it was made. */
export async function describeVolume(docker: Docker, name: string, signal: AbortSignal): Promise<Source> {
  const volume = await docker.volume(name, { signal });
  return { volume: name, ...(volume && setupOf(volume)) };
}

/** `1.0.15` of `chromadb/chroma:1.0.15`; undefined for `latest` and images without a tag. */
export function tagOf(image: string): string | undefined {
  const tag = /:([^/@:]+)(?:@.*)?$/.exec(image)?.[1];
  return tag === 'latest' || image.startsWith('sha256:') ? undefined : tag;
}

/** `chromadb/chroma` of `registry.example/chromadb/chroma:1.0@sha256:...`: registry, tag and digest taken off. */
export function repositoryOf(image: string): string {
  const plain = image.replace(/@.*$/, '').replace(/:[^/:]+$/, '');
  const [first = '', ...rest] = plain.split('/');
  return rest.length > 0 && /[.:]|^localhost$/.test(first) ? rest.join('/') : plain;
}
