// Restoring Neo4j: files are staged in the volume and swapped in by renaming; dumps are first loaded by neo4j-admin in a
// container of its own, and what comes of it is staged in the same way. `neo4j-admin database load` itself deletes the
// database before it reads the dump, so it is never let near the present data.
import { type Docker, isUp } from '../../docker/index.ts';
import { PkbackupError } from '../../errors.ts';
import type { Counts } from '../../words.ts';
import { roomFor } from '../free-space.ts';
import type {
  BackupFacts,
  Content,
  Restoration,
  RestoreOptions,
  RestorePlan,
  RestoreState,
  ResumedRestore,
  StoreContext,
} from '../store.ts';
import { volumeToRestore } from '../volume.ts';
import { imagesFor, type Place } from '../volume-place.ts';
import { planVolumeRestore, resumeVolumeRestore } from '../volume-restore.ts';
import { directoryToRestore, setupFor } from '../volume-setup.ts';
import { loadAll, readLoaded, usualOwner, versionOfImage } from './admin.ts';
import { type Data, findData, isNeo4j, type Neo4jTarget, ownerOfData } from './data.ts';
import { planHostRestore, resumeHostRestore } from './host-restore.ts';
import { isOnHost } from './on-host.ts';
import { StoreCounter } from './records.ts';
import { ownerIn, reowned } from './reown.ts';
import {
  checkRunning,
  countsWithoutServer,
  formOf,
  refuseOlder,
  refuseOtherCounts,
  stagedCounts,
  warnOfUsers,
} from './restored.ts';
import { serverOf } from './server.ts';

export async function planNeo4jRestore(
  target: Neo4jTarget,
  backup: BackupFacts,
  options: RestoreOptions,
  context: StoreContext,
): Promise<Restoration> {
  if (isOnHost(target)) return planHostRestore(target, backup, options, context);
  const docker = await context.docker();
  const { signal, emit, store } = context;
  const { beside, takesVolumeOptions } = options;
  const data = await dataToRestore(docker, target, backup, options, context);
  const { place, container } = data;
  const image = await imageToUse(docker, data, backup, target, signal);
  if (container) await refuseOlderServer(docker, container.imageId, backup, signal);
  const counter = new StoreCounter();
  const restoration = await planVolumeRestore({
    docker,
    place,
    context,
    beside,
    ...roomFor(backup),
    setup: setupFor(place.source, backup.source, options),
    takesVolumeOptions,
    watcher: counter,
  });
  if (container?.env.NEO4J_AUTH !== undefined && container.env.NEO4J_AUTH !== 'none') {
    const message =
      'users and passwords come from the backup: NEO4J_AUTH of the container has no effect on them';
    emit({ type: 'step', store, message });
  }
  const owner = await ownerOfRestored(docker, place, restoration.plan, backup, signal);
  const stageAs = restoration.stage.bind(restoration);
  const stage = (content: Content) =>
    stageAs(owner === undefined ? content : { tar: () => reowned(content.tar(), ownerIn(owner)) });
  const stageDumps = async (content: Content) => {
    if (image === undefined) throw noImage();
    await using run = await loadAll({ docker, image, signal, owner: owner ?? usualOwner }, content.tar());
    emit({ type: 'step', store, message: 'loaded the dumps in a container of their own' });
    await stage({ tar: () => readLoaded(docker, run, signal) });
    if (!counter.databases.includes('system')) warnOfUsers(context);
  };
  return Object.assign(restoration, {
    stage: async (content: Content) => {
      await ((await formOf(content)) === 'files' ? stage(content) : stageDumps(content));
      refuseOtherCounts(counter, backup);
    },
    check: () => checkServer(docker, target, place, { counter, backup }, context),
  });
}

/** Whose the present data is; of a server outside Docker the numbers mean others here. Undefined for those of the backup. */
async function ownerOfRestored(
  docker: Docker,
  place: Place,
  { replaces }: RestorePlan,
  { source }: BackupFacts,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (replaces) return ownerOfData(docker, place, signal);
  const isOfHost = source.path !== undefined && source.container === undefined && source.volume === undefined;
  return isOfHost ? usualOwner : undefined;
}

export async function resumeNeo4jRestore(
  target: Neo4jTarget,
  state: RestoreState,
  backup: BackupFacts,
  context: StoreContext,
): Promise<ResumedRestore> {
  return isOnHost(target)
    ? resumeHostRestore(target, state, backup, context)
    : resumeVolumeRestore(state, context);
}

/** A container that is gone needs no asking for: its volume is in the metadata. */
async function dataToRestore(
  docker: Docker,
  target: Neo4jTarget,
  backup: BackupFacts,
  options: RestoreOptions,
  context: StoreContext,
): Promise<Data> {
  const { beside } = options;
  const wanted = target.volume ?? backup.source.volume;
  try {
    if (target.container !== undefined || !beside) return await findData(docker, target, context);
  } catch (error) {
    const isGone = error instanceof PkbackupError && error.code === 'not_found' && !beside;
    if (!isGone || wanted === undefined) throw error;
  }
  const name = await volumeToRestore(docker, wanted ?? '', backup, beside, context);
  const images = await imagesFor(docker, name, target.image, context.signal);
  const users = await docker.containersOf(name, { signal: context.signal });
  return {
    container: users.find(isNeo4j),
    place: { source: name, directory: directoryToRestore(name, backup.source, options), images },
    source: { volume: name },
  };
}

/** The server's own, else the one that was asked for, else the one that the backup was made with. */
async function imageToUse(
  docker: Docker,
  { container }: Data,
  { source }: BackupFacts,
  target: Neo4jTarget,
  signal: AbortSignal,
): Promise<string | undefined> {
  for (const reference of [container?.imageId, target.image, source.image, source.image_digest]) {
    const image = reference === undefined ? undefined : await docker.image(reference, { signal });
    if (image) return image.id;
  }
  return undefined;
}

/** By its image. */
export async function refuseOlderServer(
  docker: Docker,
  image: string,
  { storeVersion }: BackupFacts,
  signal: AbortSignal,
): Promise<void> {
  if (storeVersion === undefined) return;
  refuseOlder(await versionOfImage({ docker, image, signal }), storeVersion);
}

async function checkServer(
  docker: Docker,
  target: Neo4jTarget,
  place: Place,
  { counter, backup }: { counter: StoreCounter; backup: BackupFacts },
  context: StoreContext,
): Promise<Counts> {
  const { signal } = context;
  const users = await docker.containersOf(place.source, { signal });
  const container = users.find((user) => isUp(user) && isNeo4j(user));
  if (!container) return countsWithoutServer(counter, backup, context);
  const staged = stagedCounts(counter, backup) ?? {};
  const server = await serverOf(docker, container, target, context);
  const whatever = `, whatever NEO4J_AUTH of container "${container.name}" says`;
  const owner = () => ownerOfData(docker, place, signal);
  return checkRunning(server, { staged, databases: counter.databases, owner, whatever }, context);
}

function noImage(): PkbackupError {
  return new PkbackupError(
    'restore_failed',
    'neo4j-admin is needed to load the dumps, and no image of Neo4j is known',
    {
      hint: 'set image of this store to an image of Neo4j that is on this machine',
    },
  );
}
