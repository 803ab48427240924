// ChromaDB, from 0.4 to 1.x. Its index files are rewritten in place and are good only after a clean stop: of hot copies 13
// in 20 were broken, and a copy taken under a pause crashed its server (docs/stores/chromadb.md). So the container is
// stopped for the copy, and neither `none` nor `pause` is allowed.
// One that is reached by its URL alone (`url`) is read through its API, hot: chromadb/remote.ts. Files of this host (`path`)
// are read while no process has them open: chromadb/directory.ts.
// What is counted is counted in the copy itself, because a count that the server gives a moment earlier is of other data.
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { extractTree } from '../archive/extract-tree.ts';
import { type Container, type Docker, isUp, throwIfAborted } from '../docker/index.ts';
import { messageOf, PkbackupError } from '../errors.ts';
import type { Counts } from '../words.ts';
import { checkExport } from './chromadb/check-export.ts';
import {
  isDirectory,
  lookAtDirectory,
  planRestoreToDirectory,
  resumeRestoreToDirectory,
  snapshotOfDirectory,
} from './chromadb/directory.ts';
import { isExport } from './chromadb/export-format.ts';
import {
  isRemote,
  lookAtRemote,
  planRestoreToRemote,
  refuseFilesFor,
  remoteKeys,
  resumeRestoreToRemote,
  retargetRemote,
  snapshotOfRemote,
} from './chromadb/remote.ts';
import { openChromaDrill } from './chromadb-drill.ts';
import {
  type ChromaFiles,
  checkChromaFiles,
  databaseFiles,
  databaseName,
  readChromaFiles,
} from './chromadb-files.ts';
import { keepTrue, takeSamples } from './chromadb-samples.ts';
import { compareWithServer, countServed, waitForServer } from './chromadb-server.ts';
import { FilePicker, nameInside } from './copied-files.ts';
import { roomFor } from './free-space.ts';
import { isPath } from './is-path.ts';
import {
  describeSource,
  directoriesWith,
  type MountedDirectory,
  mountOf,
  notOnMount,
  repositoryOf,
  tagOf,
} from './mounted-data.ts';
import type {
  BackupFacts,
  Content,
  Look,
  Restoration,
  RestoreOptions,
  Sample,
  Source,
  Store,
  StoreContext,
} from './store.ts';
import { volumeName, volumeToRestore, warnOfDevice } from './volume.ts';
import {
  extentOf,
  imagesFor,
  openHelper,
  openReadyPlace,
  type Place,
  readPlace,
  readyPlaceIn,
} from './volume-place.ts';
import { planVolumeRestore, resumeVolumeRestore } from './volume-restore.ts';
import { directoryToRestore, setupFor, setupOf } from './volume-setup.ts';

const schema = z
  .strictObject({
    /** By name, id or compose service. */
    container: z.string().min(1).optional(),
    /** Needed only where no container is there any more. */
    volume: z.string().min(1).optional(),
    /** Where the server keeps its data, in the container; found by itself where it is missing. */
    data_path: z.string().startsWith('/').optional(),
    port: z.int().min(1).max(65_535).optional(),
    /** For helper containers; must be here already. */
    image: z.string().min(1).optional(),
    /** The data directory of a server of this host, which MUST be stopped. */
    path: z.string().min(1).optional(),
    ...remoteKeys,
  })
  .refine(({ container, volume, url, path }) => container ?? volume ?? url ?? path, {
    message: 'expected "container", "volume", "path" or "url"',
  })
  .refine((target) => isOneWay(target), {
    message: 'expected one of "url", "path", and "container" or "volume", each with its own keys alone',
  });

const keysInDocker = ['container', 'volume', 'data_path', 'port', 'image'];
const ways = [keysInDocker, ['path'], Object.keys(remoteKeys)];

function isOneWay(target: object): boolean {
  const given = Object.entries(target).flatMap(([key, value]) => (value === undefined ? [] : [key]));
  return ways.some((keys) => given.every((key) => keys.includes(key)));
}

type Target = z.infer<typeof schema>;

/** Of 1.x, and of what came before it. */
const usualPaths = ['/data', '/chroma/chroma'];
/** A database that was just made; a larger one is not empty, or was not always. */
const smallDatabaseBytes = 4 * 1024 * 1024;
/** Larger ones are not counted for the plan of a restore: people wait for it. */
const countedDatabaseBytes = 64 * 1024 * 1024;
/** What an index says of itself; its vectors are not looked at. */
const isIndexHead = /\/(header\.bin|index_metadata\.pickle)$/;

export const chromadb: Store<Target> = {
  kind: 'chromadb',
  schema,
  quiesce: { default: 'stop', allowed: ['stop'], healthSeconds: 300, usualStopMs: 500 },

  /** By its image; an image of somebody's own by where 0.x keeps its data. */
  recognise({ name, image, mounts, exposedPorts }) {
    const repository = repositoryOf(image);
    const isNamed = /^(chromadb\/chroma|chroma-core\/chroma|(?:.+\/)?chromadb)$/.test(repository);
    const isLike = mounts.some(({ destination }) => destination === '/chroma/chroma');
    return isNamed || (isLike && exposedPorts.includes('8000/tcp')) ? { container: name } : undefined;
  },

  async look(target, context): Promise<Look> {
    if (isRemote(target)) return lookAtRemote(target, context);
    if (isDirectory(target)) return lookAtDirectory(target, context);
    const docker = await context.docker();
    const data = await findData(docker, target, context);
    const version = data.container && tagOf(data.container.image);
    const samples = await samplesOf(docker, data, target, context);
    return {
      source: data.source,
      counts: {},
      samples,
      volumes: [data.place.source],
      isEmpty: data.isMissing || (await hasNoCollections(docker, data.place, context)),
      ...(version === undefined ? {} : { version }),
      ...(await extentOf(docker, data.place, data.container, context)),
    };
  },

  async ready(target, _look, context) {
    const docker = await context.docker();
    const { place } = await findData(docker, target, context);
    return await openReadyPlace(docker, place, context);
  },

  async snapshot(target, look, context) {
    if (isRemote(target)) return snapshotOfRemote(target, context);
    if (isDirectory(target)) return snapshotOfDirectory(target, context);
    const docker = await context.docker();
    const place = readyPlaceIn(context)?.place ?? (await findData(docker, target, context)).place;
    const directory = join(context.scratchDir, `copied-${randomBytes(4).toString('hex')}`);
    const picker = new FilePicker(directory, databaseFiles);
    const { programs } = look;
    const onDevice = warnOfDevice(context);
    const snapshot = await readPlace(docker, place, { ...context, programs, onDevice });
    let counts: Counts | undefined;
    return {
      ...snapshot,
      tar: picker.tap(snapshot.tar),
      get counts() {
        counts ??= countsOf(directory);
        return counts;
      },
      get samples() {
        try {
          return keepTrue(look.samples, directory, picker.times);
        } catch {
          return [];
        }
      },
    };
  },

  retarget(target, to) {
    const remote = retargetRemote(isRemote(target) ? target : undefined, to);
    if (remote) return remote;
    if (isPath(to)) return { path: resolve(to) };
    const container = /^container:(.+)$/.exec(to)?.[1];
    const image = target?.image === undefined ? {} : { image: target.image };
    return container === undefined
      ? { ...image, volume: volumeName(to.replace(/^volume:/, '')) }
      : { ...image, container };
  },

  inProject: 'volume',

  async planRestore(target, backup, options, context): Promise<Restoration> {
    const { beside } = options;
    if (isRemote(target)) return planRestoreToRemote(target, backup, beside, context);
    refuseFilesFor(backup);
    if (isDirectory(target)) return planRestoreToDirectory(target, backup, { beside }, context);
    const docker = await context.docker();
    const place = await placeToRestore(docker, target, backup, options, context);
    const directory = join(context.scratchDir, `staged-${randomBytes(4).toString('hex')}`);
    const restoration = await planVolumeRestore({
      docker,
      place,
      context,
      beside,
      ...roomFor(backup),
      limitBytes: backup.rawSizeBytes,
      setup: setupFor(place.source, backup.source, options),
      takesVolumeOptions: options.takesVolumeOptions,
      watcher: new FilePicker(directory, databaseFiles),
    });
    const check = async () => checkServer(docker, target, place, readChromaFiles(directory), context);
    const presentCounts = restoration.plan.replaces ? await countLive(docker, place, context) : undefined;
    return Object.assign(restoration, {
      check,
      plan: { ...restoration.plan, ...(presentCounts && { presentCounts }) },
    });
  },

  resumeRestore(target, state, backup, context) {
    if (isRemote(target)) return resumeRestoreToRemote(target, state, backup, context);
    if (isDirectory(target)) return resumeRestoreToDirectory(target, state, backup, context);
    return resumeVolumeRestore(state, context);
  },
  openDrill: openChromaDrill,

  async askLive(target, content, context) {
    if (isRemote(target)) return { findings: [], counts: (await lookAtRemote(target, context)).counts };
    const docker = await context.docker();
    const { signal } = context;
    const container = await serverContainer(docker, target, context);
    const server = { docker, container, port: target.port, signal };
    await waitForServer(server);
    return countServed(server, (await filesIn(content, context)).collections);
  },

  async check(content, backup, context) {
    if (await isExport(content.tar())) return checkExport(content, backup, context.signal);
    const directory = join(context.scratchDir, `checked-${randomBytes(4).toString('hex')}`);
    const sizes = new Map<string, number>();
    await extractTree(content.tar(), directory, {
      signal: context.signal,
      keepOwner: false,
      only: (entry) => {
        const name = nameInside(entry);
        if (entry.type === 'file') sizes.set(name, entry.size);
        return entry.type === 'file' && (databaseFiles.includes(name) || isIndexHead.test(name));
      },
    });
    const { findings, notChecked, files } = await checkChromaFiles(directory, sizes);
    await rm(directory, { recursive: true, force: true });
    return {
      findings: [...findings, ...differences(backup.counts, files)],
      counts: files?.counts ?? {},
      notChecked,
    };
  },
};

interface Data {
  readonly container: Container | undefined;
  readonly place: Place;
  readonly source: Source;
  /** The place is known, and there is no database in it. */
  readonly isMissing: boolean;
}

/** Throws `not_found` or `ambiguous`; `backup_failed` where the data is not on a mount. */
async function findData(docker: Docker, target: Target, context: StoreContext): Promise<Data> {
  const { signal } = context;
  if (target.container === undefined) return findInVolume(docker, target, context);
  const container = await docker.findContainer(target.container, { signal });
  const { mounted, isMissing } = await findInContainer(docker, container, target, signal);
  const source = await describeSource(docker, container, mounted, signal);
  return { container, place: await placeOf(docker, mounted, target, signal), source, isMissing };
}

async function findInVolume(docker: Docker, target: Target, { signal }: StoreContext): Promise<Data> {
  const found = await docker.findVolume(target.volume ?? '', { signal });
  const users = await docker.containersOf(found.name, { signal });
  const container = users.find((user) => chromadb.recognise?.(user));
  if (container) {
    const { mounted, isMissing } = await findInContainer(docker, container, target, signal);
    const source = await describeSource(docker, container, mounted, signal);
    return { container, place: await placeOf(docker, mounted, target, signal), source, isMissing };
  }
  const images = await imagesFor(docker, found.name, target.image, signal);
  const place: Place = { source: found.name, directory: '', images };
  await using helper = await openHelper(docker, place, { isReadOnly: true, signal });
  const stat = await docker.pathStat(helper.id, `/volume/${databaseName}`, { signal });
  return {
    container: undefined,
    place,
    source: { volume: found.name, ...setupOf(found) },
    isMissing: stat === undefined,
  };
}

async function placeOf(
  docker: Docker,
  { mount, directory }: MountedDirectory,
  target: Target,
  signal: AbortSignal,
): Promise<Place> {
  return {
    source: mount.source,
    directory,
    images: await imagesFor(docker, mount.source, target.image, signal),
  };
}

/**
 * By where the database lies, not by the version: after an upgrade to 1.x with the old mount the server writes to /data in
 * the container's own layer, and the volume beside it is old or empty.
 */
async function findInContainer(
  docker: Docker,
  container: Container,
  target: Target,
  signal: AbortSignal,
): Promise<{ mounted: MountedDirectory; isMissing: boolean }> {
  const candidates = target.data_path === undefined ? pathsOf(container) : [target.data_path];
  const found = await directoriesWith(docker, container, candidates, databaseName, signal);
  const [path, ...others] = found;
  if (path !== undefined) {
    for (const each of found) if (!mountOf(container, each)) throw offMount(container, each);
    const mounted = mountOf(container, path);
    if (mounted && others.length === 0) return { mounted, isMissing: false };
    throw new PkbackupError(
      'ambiguous',
      `container "${container.name}" has a ${databaseName} in several places: ${found.map((each) => `"${each}"`).join(', ')}`,
      { hint: 'say which one the server uses with data_path' },
    );
  }
  for (const each of candidates) {
    const mounted = mountOf(container, each);
    if (mounted) return { mounted, isMissing: true };
  }
  throw new PkbackupError(
    'not_found',
    `there is no ${databaseName} in container "${container.name}" (looked in ${candidates.join(', ')})`,
    { hint: 'say where the server keeps its data with data_path' },
  );
}

function pathsOf({ env, mounts }: Container): string[] {
  const configured = [env.PERSIST_DIRECTORY, env.CHROMA_PERSIST_PATH].filter((path) => path?.startsWith('/'));
  const mounted = mounts.flatMap(({ destination }) => [destination, `${destination}/chroma`]);
  const paths = [...configured, ...usualPaths, ...mounted].map((path) => (path ?? '').replace(/\/+$/, ''));
  return [...new Set(paths)];
}

function offMount(container: Container, path: string): PkbackupError {
  return notOnMount(
    container,
    path,
    `mount the volume at "${path}" (ChromaDB 1.0 moved its data to /data), or set data_path; nothing was backed up for this store`,
  );
}

/** A backup without samples is one all the same. */
async function samplesOf(
  docker: Docker,
  { container }: Data,
  { port }: Target,
  { signal, scratchDir, emit, store }: StoreContext,
): Promise<readonly Sample[]> {
  // A dry run has no scratch directory, and saves nothing.
  if (container?.state !== 'running' || scratchDir === '') return [];
  try {
    return await takeSamples({ docker, container, port, signal });
  } catch (error) {
    throwIfAborted(signal);
    const message = `nothing was recorded for a drill to ask again: ${messageOf(error)}`;
    emit({ type: 'step', store, message });
    return [];
  }
}

async function hasNoCollections(docker: Docker, place: Place, context: StoreContext): Promise<boolean> {
  const { sizeBytes, counts } = await readLive(docker, place, context, smallDatabaseBytes);
  return sizeBytes === undefined || counts?.collections === 0;
}

/** For people: the server may be writing, so nothing is built on it. */
async function countLive(docker: Docker, place: Place, context: StoreContext): Promise<Counts | undefined> {
  return (await readLive(docker, place, context, countedDatabaseBytes)).counts;
}

/** The database as it lies there, without counts where it is larger than `mostBytes` or torn; no size where it is missing. */
async function readLive(
  docker: Docker,
  place: Place,
  context: StoreContext,
  mostBytes: number,
): Promise<{ sizeBytes?: number; counts?: Counts }> {
  const { signal } = context;
  await using helper = await openHelper(docker, place, { isReadOnly: true, signal });
  const path = ['/volume', place.directory, databaseName].filter((part) => part !== '').join('/');
  const stat = await docker.pathStat(helper.id, path, { signal });
  if (!stat) return {};
  const { sizeBytes } = stat;
  if (sizeBytes > mostBytes) return { sizeBytes };
  // A dry run has no scratch directory.
  const directory = await mkdtemp(join(context.scratchDir || tmpdir(), 'pkbackup-look-'));
  try {
    const picker = new FilePicker(directory, databaseFiles);
    for await (const _ of picker.tap(docker.readArchive(helper.id, path, { signal })))
      signal.throwIfAborted();
    return { sizeBytes, counts: readChromaFiles(directory).counts };
  } catch (error) {
    if (signal.aborted) throw error;
    return { sizeBytes };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function countsOf(directory: string): Counts {
  try {
    return readChromaFiles(directory).counts;
  } catch (error) {
    throw new PkbackupError(
      'backup_failed',
      `the copy of ${databaseName} cannot be read: ${messageOf(error)}`,
      {
        hint: 'the data is damaged, or the server did not stop cleanly; see its log',
        cause: error,
      },
    );
  }
}

async function serverContainer(docker: Docker, target: Target, { signal }: StoreContext): Promise<Container> {
  if (target.container !== undefined) return docker.findContainer(target.container, { signal });
  if (isDirectory(target)) {
    throw new PkbackupError('config', `which server serves "${target.path}" nobody knows here`, {
      hint: 'name the server by its url in a store of its own',
    });
  }
  const users = await docker.containersOf(target.volume ?? '', { signal });
  const found = users.find((user) => isUp(user) && chromadb.recognise?.(user));
  if (found) return found;
  throw new PkbackupError('not_found', `no server runs on volume "${target.volume}"`);
}

/** Of the database alone: what its index files hold the server says. */
async function filesIn(content: Content, { scratchDir, signal }: StoreContext): Promise<ChromaFiles> {
  const directory = join(scratchDir, `asked-${randomBytes(4).toString('hex')}`);
  await extractTree(content.tar(), directory, {
    signal,
    keepOwner: false,
    only: (entry) => entry.type === 'file' && databaseFiles.includes(nameInside(entry)),
  });
  try {
    return readChromaFiles(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** A container that is gone needs no asking for: its volume is in the metadata. */
async function placeToRestore(
  docker: Docker,
  target: Target,
  backup: BackupFacts,
  options: RestoreOptions,
  context: StoreContext,
): Promise<Place> {
  const { signal } = context;
  const { beside } = options;
  const wanted = target.volume ?? backup.source.volume;
  try {
    if (target.container !== undefined || !beside) return (await findData(docker, target, context)).place;
  } catch (error) {
    const isGone = error instanceof PkbackupError && error.code === 'not_found' && !beside;
    if (!isGone || wanted === undefined) throw error;
  }
  const name = await volumeToRestore(docker, wanted ?? '', backup, beside, context);
  const directory = directoryToRestore(name, backup.source, options);
  return { source: name, directory, images: await imagesFor(docker, name, target.image, signal) };
}

async function checkServer(
  docker: Docker,
  target: Target,
  place: Place,
  files: ChromaFiles,
  context: StoreContext,
): Promise<Counts> {
  const { signal, emit, store } = context;
  const users = await docker.containersOf(place.source, { signal });
  const container = users.find((user) => isUp(user) && chromadb.recognise?.(user));
  if (!container) {
    emit({
      type: 'step',
      store,
      message: 'no server runs on the restored data, so its files alone were counted',
    });
    return files.counts;
  }
  const server = { docker, container, port: target.port, signal };
  await waitForServer(server);
  return compareWithServer(server, files.collections);
}

function differences(expected: Counts, files: ChromaFiles | undefined): string[] {
  if (!files) return [];
  return Object.entries(files.counts).flatMap(([what, count]) =>
    expected[what] === undefined || expected[what] === count
      ? []
      : [`expected ${expected[what]} ${what}, found ${count}`],
  );
}
