// What the test bed has made in the engine. Images carry the label, and containers inherit it from their image.
import type { ImageInfo } from 'dockerode';
import { docker } from './host/engine.ts';
import { repository } from './recipe.ts';

export const label = 'pkbackup.testbed';
export const hashLabel = 'pkbackup.testbed.recipe';

const ours = { label: [`${label}=1`] };

/** All images of the test bed, also those that lost their name to a newer one. */
export async function listImages(): Promise<ImageInfo[]> {
  return docker.listImages({ filters: ours });
}

export async function findImage(name: string): Promise<ImageInfo | undefined> {
  const images = await listImages();
  return images.find((image) => image.RepoTags?.includes(name));
}

/** Removes the images that lost their name to a newer one; one that a container still uses stays until the next time. */
export async function removeUnnamed(): Promise<void> {
  const unnamed = await docker.listImages({ filters: { ...ours, dangling: ['true'] } });
  for (const { Id } of unnamed)
    await docker
      .getImage(Id)
      .remove()
      .catch(tolerate([404, 409]));
}

export interface Removed {
  containers: number;
  volumes: number;
  images: number;
}

/** Removes all containers, volumes and images that bear the label. */
export async function removeAll(): Promise<Removed> {
  const containers = await docker.listContainers({ all: true, filters: ours });
  for (const { Id } of containers)
    await docker
      .getContainer(Id)
      .remove({ force: true, v: true })
      .catch(tolerate([404]));
  const { Volumes } = await docker.listVolumes({ filters: ours });
  for (const { Name } of Volumes)
    await docker
      .getVolume(Name)
      .remove()
      .catch(tolerate([404]));
  return { containers: containers.length, volumes: Volumes.length, images: await removeImages() };
}

async function removeImages(): Promise<number> {
  const images = await listImages();
  const names = images
    .flatMap((image) => image.RepoTags ?? [])
    .filter((name) => name.startsWith(`${repository}/`));
  for (const name of names)
    await docker
      .getImage(name)
      .remove({ force: true })
      .catch(tolerate([404]));
  for (const { Id } of await listImages())
    await docker
      .getImage(Id)
      .remove({ force: true })
      .catch(tolerate([404, 409]));
  return images.length;
}

/** Lets an answer of the engine pass that means: somebody was faster, or it is still in use. */
function tolerate(statusCodes: number[]): (error: { statusCode?: number }) => void {
  return (error) => {
    if (!statusCodes.includes(error.statusCode ?? 0)) throw error;
  };
}
