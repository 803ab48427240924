// The image that a backup was made with: it has the tools that fit its content. What the metadata says selects among the
// images of this machine; nothing is pulled.
import type { Docker, Image } from '../docker/index.ts';
import { PkbackupError } from '../errors.ts';
import type { Source, StoreContext } from './store.ts';

/** By its digest; by its name where that is not here, or not known. */
export async function imageOfBackup(
  docker: Docker,
  source: Source,
  signal: AbortSignal,
): Promise<Image | undefined> {
  for (const reference of referencesTo(source)) {
    const image = await docker.image(reference, { signal });
    if (image) return image;
  }
  return undefined;
}

/** A digest of a registry goes with the name of the image, and one of this machine stands for itself. */
function referencesTo({ image, image_digest: digest }: Source): string[] {
  const name = image?.replace(/@.*$/, '').replace(/:[^/:]+$/, '');
  return [
    ...(digest !== undefined && name !== undefined && digest.startsWith('sha256:')
      ? [`${name}@${digest}`]
      : []),
    ...(digest === undefined ? [] : [digest]),
    ...(image === undefined ? [] : [image]),
  ];
}

export interface Tools {
  readonly docker: Docker;
  readonly image: Image;
}

/** Docker and that image, or why there is none: no content is damaged because a tool is not at hand. */
export async function toolsOf(source: Source, context: StoreContext): Promise<Tools | string> {
  if (referencesTo(source).length === 0) return 'the backup does not name its image';
  const docker = await context.docker().catch((error: unknown) => {
    if (error instanceof PkbackupError && error.code === 'docker_unreachable') return undefined;
    throw error;
  });
  if (!docker) return 'Docker is not reachable';
  const image = await imageOfBackup(docker, source, context.signal);
  return image ? { docker, image } : `image "${source.image ?? ''}" is not on this machine`;
}
