// Restoring Neo4j: files are staged in the volume and swapped in by renaming; dumps are first loaded by neo4j-admin in a
// container of its own, and what comes of it is staged in the same way. `neo4j-admin database load` itself deletes the
// database before it reads the dump, so it is never let near the present data.
import { nameOf } from '../../archive/tar-format.ts';
import { scanTar } from '../../archive/tar-scan.ts';
import { type Docker, isUp } from '../../docker/index.ts';
import { PkbackupError } from '../../errors.ts';
import type { Counts } from '../../words.ts';
import { roomFor } from '../free-space.ts';
import type { BackupFacts, Content, Restoration, RestoreOptions, StoreContext } from '../store.ts';
import { volumeToRestore } from '../volume.ts';
import { imagesFor, type Place } from '../volume-place.ts';
import { planVolumeRestore } from '../volume-restore.ts';
import { directoryToRestore, setupFor } from '../volume-setup.ts';
import { loadAll, readLoaded, usualOwner, versionOfImage } from './admin.ts';
import { type Data, findData, isNeo4j, type Neo4jTarget, ownerOfData } from './data.ts';
import { StoreCounter } from './records.ts';
import { countDatabases, serverOf, waitUntilInUse, waitUntilOnline } from './server.ts';

export async function planNeo4jRestore(
  target: Neo4jTarget,
  backup: BackupFacts,
  options: RestoreOptions,
  context: StoreContext,
): Promise<Restoration> {
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
  const stage = restoration.stage.bind(restoration);
  const stageDumps = async (content: Content) => {
    if (image === undefined) throw noImage();
    const owner = restoration.plan.replaces ? await ownerOfData(docker, place, signal) : usualOwner;
    await using run = await loadAll({ docker, image, signal, owner }, content.tar());
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

/** The server makes that database anew when it starts. */
function warnOfUsers({ emit, store }: StoreContext): void {
  emit({
    type: 'warning',
    store,
    message: 'the backup has no database "system": users, passwords and the other databases are made anew',
    hint: 'the password is what NEO4J_AUTH of the container says, or "neo4j" until it is changed',
  });
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

/** Minor releases change the format of files and logs, and no server reads what a newer one wrote. */
export async function refuseOlderServer(
  docker: Docker,
  image: string,
  { storeVersion }: BackupFacts,
  signal: AbortSignal,
): Promise<void> {
  if (storeVersion === undefined) return;
  const version = await versionOfImage({ docker, image, signal });
  if (version === undefined || !isOlder(version, storeVersion)) return;
  throw new PkbackupError(
    'restore_failed',
    `the backup is of Neo4j ${storeVersion}, the server is Neo4j ${version}: an older server cannot read it`,
    { hint: `use an image of Neo4j ${storeVersion} or newer; nothing was touched` },
  );
}

/** By major and minor release. */
export function isOlder(version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [otherMajor = 0, otherMinor = 0] = than.split('.').map(Number);
  return major === otherMajor ? minor < otherMinor : major < otherMajor;
}

/** What the first file of the archive is says what all are. */
export async function formOf(content: Content): Promise<'files' | 'dumps'> {
  for await (const piece of scanTar(content.tar())) {
    if (piece.type !== 'entry' || piece.entry.type !== 'file') continue;
    return /^(\.\/)?[^/]+\.dump$/.test(nameOf(piece.entry)) ? 'dumps' : 'files';
  }
  return 'files';
}

/**
 * What is in the files; those of a paused server say nothing, but the server has said it. Undefined where it cannot be told.
 */
function countsIn(counter: StoreCounter, { counts, quiesce }: BackupFacts): Counts | undefined {
  return quiesce === 'pause' ? counts : counter.counts();
}

function refuseOtherCounts(counter: StoreCounter, backup: BackupFacts): void {
  const { counts } = backup;
  const staged = countsIn(counter, backup);
  if (!staged) return;
  const differences = Object.entries(staged).flatMap(([what, found]) =>
    counts[what] === undefined || counts[what] === found
      ? []
      : [`expected ${counts[what]} ${what}, found ${found}`],
  );
  if (differences.length === 0) return;
  throw new PkbackupError(
    'bad_backup',
    `what was staged is not what the metadata says: ${differences.join(', ')}`,
  );
}

async function checkServer(
  docker: Docker,
  target: Neo4jTarget,
  place: Place,
  { counter, backup }: { counter: StoreCounter; backup: BackupFacts },
  context: StoreContext,
): Promise<Counts> {
  const { signal, emit, store } = context;
  const staged = countsIn(counter, backup) ?? {};
  const users = await docker.containersOf(place.source, { signal });
  const container = users.find((user) => isUp(user) && isNeo4j(user));
  if (!container) {
    const isPaused = backup.quiesce === 'pause';
    const how = isPaused ? 'nothing was counted before one has recovered it' : 'its files alone were counted';
    emit({ type: 'step', store, message: `no server runs on the restored data, so ${how}` });
    return isPaused ? {} : staged;
  }
  const server = await serverOf(docker, container, target, context);
  const facts = await waitUntilOnline(server).catch((error: unknown) => {
    if (error instanceof PkbackupError && error.code === 'config') return undefined;
    throw error;
  });
  if (!facts) {
    const owner = await ownerOfData(docker, place, signal);
    await waitUntilInUse(server, { databases: counter.databases, owner });
    emit({
      type: 'warning',
      store,
      message: `the databases are open, but the server refuses the password that pkbackup has: it has the users and passwords of the time of the backup, whatever NEO4J_AUTH of container "${container.name}" says`,
      hint: 'use the password of that time (password_env of this store), or change it with ALTER USER; what was restored was counted in its files',
    });
    return staged;
  }
  const missing = counter.databases.filter(
    (name) => !facts.databases.some((database) => database.name === name),
  );
  if (missing.length > 0)
    throw wrong(`the server does not know the databases ${missing.map((name) => `"${name}"`).join(', ')}`);
  const counts = await countDatabases(server, facts.databases);
  refuseLost(staged, counts);
  return counts;
}

/** The files were counted when they were staged; meanwhile clients may have written again, but nothing is empty. */
function refuseLost(staged: Counts, counts: Counts): void {
  for (const [what, expected] of Object.entries(staged)) {
    const found = counts[what];
    if (expected > 0 && found === 0) throw wrong(`expected ${expected} ${what}, the server has none`);
  }
}

const wrong = (message: string) => new PkbackupError('restore_failed', message);

function noImage(): PkbackupError {
  return new PkbackupError(
    'restore_failed',
    'neo4j-admin is needed to load the dumps, and no image of Neo4j is known',
    {
      hint: 'set image of this store to an image of Neo4j that is on this machine',
    },
  );
}
