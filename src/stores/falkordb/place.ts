// Where the data directory of a FalkorDB container lies: on which mount, or in the container's own layer, where it is lost
// with the container. FalkorDB 4.10 moved it from /data to /var/lib/falkordb/data, and many mounts stayed where they were.
import type { Container } from '../../docker/index.ts';
import { PkbackupError } from '../../errors.ts';
import { type MountedDirectory, mountOf, notOnMount } from '../mounted-data.ts';
import type { Place } from '../volume-place.ts';

export interface Expected {
  readonly data_path?: string | undefined;
  readonly volume?: string | undefined;
}

/**
 * Undefined where the directory is on no mount and the configuration says that this is known (`data_path`). Throws where
 * it is not what the configuration expects.
 */
export function findMount(
  container: Container,
  directory: string,
  { data_path: expected, volume }: Expected,
): MountedDirectory | undefined {
  if (expected !== undefined && withoutSlash(expected) !== withoutSlash(directory)) {
    throw unexpected(container, `in "${directory}", expected "${expected}"`, 'data_path');
  }
  const found = mountOf(container, directory);
  const source = found?.mount.source;
  if (volume !== undefined && source !== volume && !source?.endsWith(`_${volume}`)) {
    const where = source === undefined ? 'on no mount' : `on "${source}"`;
    throw unexpected(container, `${where}, expected volume "${volume}"`, 'volume');
  }
  if (found || expected !== undefined) return found;
  const hint = `mount the volume at "${directory}" (FalkorDB 4.10 moved it), or set data_path to it where that is known; nothing was done for this store`;
  throw notOnMount(container, directory, hint);
}

export function placeOn({ mount, directory }: MountedDirectory, { imageId }: Container): Place {
  return { source: mount.source, directory, images: [imageId] };
}

function unexpected({ name }: Container, what: string, setting: string): PkbackupError {
  return new PkbackupError('config', `container "${name}" keeps its data ${what}`, {
    hint: `correct ${setting} of this store, or leave it out; nothing was done for this store`,
  });
}

const withoutSlash = (path: string): string => path.replace(/\/+$/, '');
