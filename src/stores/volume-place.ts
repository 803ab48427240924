// Where the data of a volume store lies, and the containers through which it is read and written. Shared by the stores
// whose data is a volume; it knows no database.
import { join } from 'node:path';
import { type PackNote, packTree } from '../archive/pack-tree.ts';
import { nameOf, type TarEntry } from '../archive/tar-format.ts';
import { scanTar } from '../archive/tar-scan.ts';
import type { Docker, Helper } from '../docker/index.ts';
import { PkbackupError } from '../errors.ts';
import { countTree, type TreeExtent } from './count-tree.ts';
import { capabilitiesOf, directPathOf, hostPathFor, pathInside } from './direct-read.ts';
import { pathBelow } from './own-repository.ts';
import { PackNotes } from './pack-notes.ts';
import type { Skip } from './patterns.ts';
import type { Snapshot, StoreContext } from './store.ts';

export interface Place {
  /** Name of a volume, or path of a bind mount on the Docker host. */
  readonly source: string;
  /** The data's directory in there, without slashes at its ends; empty for the whole. */
  readonly directory: string;
  /** For helpers, first choice first; MUST be here already. */
  readonly images: readonly string[];
}

export const mountPoint = '/volume';
/** Everything of ours in a volume begins so, and is never saved. */
export const ownPrefix = '.pkbackup-';

export const dataPath = ({ directory }: Place): string =>
  directory === '' ? mountPoint : `${mountPoint}/${directory}`;

export const isHostPath = (source: string): boolean => /^(\/|[A-Za-z]:[\\/])/.test(source);

export const describePlace = ({ source, directory }: Place): string => {
  const what = isHostPath(source) ? `directory "${source}"` : `volume "${source}"`;
  return directory === '' ? what : `${what} (in "${directory}")`;
};

/**
 * Images for helpers, all of them here: the one that was asked for, else those of the containers on the volume, else the
 * smallest ones of the machine.
 */
export async function imagesFor(
  docker: Docker,
  source: string,
  wanted: string | undefined,
  signal: AbortSignal,
): Promise<string[]> {
  if (wanted !== undefined) {
    const image = await docker.image(wanted, { signal });
    if (image) return [image.id];
    throw new PkbackupError('not_found', `image "${wanted}" is not here`, {
      hint: `docker pull ${wanted}, or leave "image" out; pkbackup pulls nothing`,
    });
  }
  const [users, images] = await Promise.all([
    docker.containersOf(source, { signal }),
    docker.images({ signal }),
  ]);
  const here = images.map(({ id }) => id);
  const used = users.map(({ imageId }) => imageId).filter((id) => here.includes(id));
  return [...new Set([...used, ...here])];
}

/** A helper that mounts the place; where the machine has no image at all, one of nothing is made for it. */
export async function openHelper(
  docker: Docker,
  place: Place,
  options: { isReadOnly: boolean; restoreId?: string; isSwapping?: boolean; signal?: AbortSignal },
): Promise<Helper> {
  const mounts = [{ source: place.source, target: mountPoint, isReadOnly: options.isReadOnly }];
  const { signal, restoreId, isSwapping } = options;
  const [image] = place.images;
  if (image !== undefined) return docker.createHelper({ image, mounts, restoreId, isSwapping, signal });
  const empty = await docker.makeEmptyImage({ signal });
  try {
    const helper = await docker.createHelper({ image: empty, mounts, restoreId, isSwapping, signal });
    const remove = async () => {
      await helper.remove();
      await docker.removeImage(empty);
    };
    return { ...helper, remove, [Symbol.asyncDispose]: remove };
  } catch (error) {
    await docker.removeImage(empty).catch(() => undefined);
    throw error;
  }
}

export interface PlaceFacts {
  /** Of the data's directory: owner, mode, time. */
  readonly root: TarEntry;
  readonly isEmpty: boolean;
}

/** Looks at the beginning of the tar only. */
export async function lookInto(
  docker: Docker,
  container: Pick<Helper, 'id'>,
  path: string,
  signal?: AbortSignal,
): Promise<PlaceFacts> {
  let root: TarEntry | undefined;
  for await (const piece of scanTar(docker.readArchive(container.id, `${path}/.`, { signal }))) {
    if (piece.type !== 'entry') continue;
    if (!root) root = piece.entry;
    else if (!isOwn(piece.entry)) return { root, isEmpty: false };
  }
  if (root) return { root, isEmpty: true };
  throw new PkbackupError('failed', `Docker gave nothing for "${path}"`);
}

/** Staged and previous data of a restore, at the top of the tar. */
export function isOwn(entry: TarEntry): boolean {
  const name = nameOf(entry);
  return (name.startsWith('./') ? name.slice(2) : name).startsWith(ownPrefix);
}

/** Devices hold no data, and would be refused at a restore. */
export const isDevice = (entry: TarEntry): boolean => entry.type.endsWith('-device');

/** Its path in the place; only for a bind mount, and where the Docker host's paths are those of this machine. */
export async function repositoryIn(
  { source, directory }: Place,
  repositoryDir: string | undefined,
): Promise<string | undefined> {
  if (!isHostPath(source) || repositoryDir === undefined) return undefined;
  return pathBelow(join(source, directory), repositoryDir);
}

function isBelow(entry: TarEntry, directory: string): boolean {
  const name = nameOf(entry).replace(/^\.\//, '').replace(/\/$/, '');
  return name === directory || name.startsWith(`${directory}/`);
}

/** A socket is no data, and the Engine says nothing of it. */
function addNote(notes: PackNotes, name: string, what: PackNote, onDevice: (name: string) => void): void {
  if (what === 'device') onDevice(name);
  else if (what !== 'socket') notes.add(name, what);
}

export interface PlaceExtent {
  readonly estimatedBytes?: number;
  /** Files somebody may execute; known only where the place lies on this host. */
  readonly programs?: number;
}

/** How much is in it, as far as that can be told in time. `container` mounts it; without one, the Engine is asked. */
export async function extentOf(
  docker: Docker,
  place: Place,
  container: Pick<Helper, 'id'> | undefined,
  { signal, readsDirectly, repositoryDir }: Pick<StoreContext, 'signal' | 'readsDirectly' | 'repositoryDir'>,
): Promise<PlaceExtent> {
  const { source, directory } = place;
  const isNear = readsDirectly && container;
  const hostPath = isNear ? await hostPathFor(docker, container, place, signal) : undefined;
  const own = await repositoryIn(place, repositoryDir);
  const extent =
    hostPath === undefined ? undefined : await countedOn(hostPath, directory, skipOwn(own), signal);
  if (extent) return { estimatedBytes: extent.bytes, programs: extent.programs };
  const estimatedBytes = isHostPath(source) ? undefined : await docker.volumeBytes(source, { signal });
  return estimatedBytes === undefined ? {} : { estimatedBytes };
}

/** The repository, and what restores have left. */
function skipOwn(repository: string | undefined): Skip {
  return (name) => name === repository || name.startsWith(ownPrefix);
}

/** Undefined where the tree cannot be read: the usual way says why. */
async function countedOn(
  root: string,
  directory: string,
  skip: Skip,
  signal: AbortSignal,
): Promise<TreeExtent | undefined> {
  try {
    const path = await pathInside(root, directory);
    return path === undefined ? undefined : await countTree(path, skip, signal);
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

/** A place with its helper, made before anybody is held. */
export class ReadyPlace implements AsyncDisposable {
  readonly place: Place;
  readonly helper: Helper;
  /** Where the volume, or the bind mount, can be read on this host. */
  readonly hostPath: string | undefined;

  constructor(place: Place, helper: Helper, hostPath: string | undefined) {
    this.place = place;
    this.helper = helper;
    this.hostPath = hostPath;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.helper.remove();
  }
}

export async function openReadyPlace(
  docker: Docker,
  place: Place,
  options: { signal: AbortSignal; restoreId?: string },
): Promise<ReadyPlace> {
  const helper = await openHelper(docker, place, { ...options, isReadOnly: true });
  return new ReadyPlace(place, helper, await hostPathFor(docker, helper, place, options.signal));
}

export function readyPlaceIn({ ready }: { ready?: AsyncDisposable | undefined }): ReadyPlace | undefined {
  return ready instanceof ReadyPlace ? ready : undefined;
}

export interface ReadPlaceOptions {
  readonly signal: AbortSignal;
  readonly restoreId?: string;
  readonly onDevice: (name: string) => void;
  readonly repositoryDir?: string | undefined;
  /** Nobody writes, and this host may be read directly. */
  readonly readsDirectly?: boolean;
  /** As `extentOf` has found it. */
  readonly programs?: number | undefined;
  /** A `ReadyPlace` of the place; the caller disposes of it. */
  readonly ready?: AsyncDisposable | undefined;
}

/** The place as `./...`, the root entry first. What is in it MUST be still while it is read, or the copy may be torn. */
export async function readPlace(docker: Docker, place: Place, options: ReadPlaceOptions): Promise<Snapshot> {
  const { onDevice, repositoryDir, readsDirectly, programs, signal } = options;
  const own = await repositoryIn(place, repositoryDir);
  const given = readyPlaceIn(options);
  const ready = given ?? (await openReadyPlace(docker, place, options));
  const path = readsDirectly
    ? await directPathOf(ready.hostPath, place.directory, { programs, signal })
    : undefined;
  const notes = new PackNotes();
  return {
    pinnedAt: new Date(),
    tar:
      path === undefined
        ? docker.readArchive(ready.helper.id, `${dataPath(place)}/.`, { signal })
        : packTree(path, {
            signal,
            skip: skipOwn(own),
            onChanged: (name, what) => addNote(notes, name, what, onDevice),
            paxOf: (name) => capabilitiesOf(docker, ready.helper, dataPath(place), name, signal),
          }),
    notes: () => notes.lines(),
    skip: (entry) => {
      if (own !== undefined && isBelow(entry, own)) return true;
      if (!isDevice(entry)) return isOwn(entry);
      onDevice(nameOf(entry));
      return true;
    },
    dispose: async () => {
      if (!given) await ready[Symbol.asyncDispose]();
    },
  };
}
