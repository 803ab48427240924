// The only door to the Docker Engine: what the rest of the program may ask of it. It knows containers, volumes, images and
// tar streams; it must not know stores, backups or why something is asked. Every call has a deadline and takes a signal;
// every error is a PkbackupError (`docker_unreachable`, `not_found`, `ambiguous`, `failed`, `unhealthy`, `interrupted`).
import { type PathStat, pathStat, readArchive, type WriteOptions, writeArchive } from './archive-endpoint.ts';
import type { Container } from './container.ts';
import {
  containersOfVolume,
  findContainer,
  inspectIfThere,
  listContainers,
  type Named,
  type PauseOptions,
  pauseContainer,
  removeContainer,
  renameContainer,
  startContainer,
  stopContainer,
  unpauseContainer,
} from './containers.ts';
import type { CallOptions } from './deadline.ts';
import { type Environment, findEndpoint } from './endpoint.ts';
import { type Engine, openEngine } from './engine.ts';
import { type ExecOptions, exec, execStream, type Finished } from './exec.ts';
import { type HealthOptions, waitUntilHealthy } from './health.ts';
import {
  type ClearOptions,
  clearHelpers,
  createHelper,
  findOrphanHelpers,
  type Helper,
  type HelperOptions,
  type HelperOwner,
  type PreparedRun,
  prepareRun,
  type RunOptions,
  type RunResult,
  runOnce,
} from './helpers.ts';
import { hostPathOf } from './host-path.ts';
import { type Image, imageIfThere, listImages, makeEmptyImage, removeImage } from './images.ts';
import { type Keeper, type KeepOptions, keep, listKeepers, remakeKept, removeKeepers } from './keepers.ts';
import { type LogOptions, readLog } from './logs.ts';
import { clearDeadThrowaway, findOrphanThrowaways, openThrowaway, type Throwaway } from './throwaway.ts';
import {
  createVolume,
  findVolume,
  listVolumes,
  removeVolume,
  type Volume,
  volumeBytes,
  volumeIfThere,
} from './volumes.ts';

export interface Docker {
  /** Its version, and the address for messages. */
  readonly version: string;
  readonly url: string;

  /** All but the helpers of pkbackup, running or not. */
  containers(options?: CallOptions): Promise<Container[]>;
  /** By id or exact name; undefined where it is not there. */
  container(idOrName: string, options?: CallOptions): Promise<Container | undefined>;
  /** By id, name or compose service; throws `not_found` or `ambiguous`. */
  findContainer(wanted: string, options?: CallOptions): Promise<Container>;
  /** Everyone who mounts the volume (or host path), in whatever state, but helpers. */
  containersOf(volume: string, options?: CallOptions): Promise<Container[]>;

  start(container: Named, options?: CallOptions): Promise<void>;
  /** Gives the exit code; 137 is a kill. Not cut short by `signal`, because the Engine goes on with it. */
  stop(container: Named, graceSeconds: number, options?: CallOptions): Promise<number>;
  pause(container: Named, options?: PauseOptions): Promise<void>;
  unpause(container: Named, options?: CallOptions): Promise<void>;
  waitUntilHealthy(id: string, options?: HealthOptions): Promise<Container>;

  /** A command with a small output. */
  exec(id: string, options: ExecOptions): Promise<Finished>;
  /** stdout of a command; throws at the end unless whole and exit code 0. */
  execStream(id: string, options: ExecOptions): AsyncGenerator<Buffer>;

  pathStat(id: string, path: string, options?: CallOptions): Promise<PathStat | undefined>;
  readArchive(id: string, path: string, options?: CallOptions): AsyncGenerator<Buffer>;
  writeArchive(id: string, path: string, tar: AsyncIterable<Buffer>, options?: WriteOptions): Promise<void>;

  /** A container that is never started, for the three above. Dispose it. */
  createHelper(options: HelperOptions): Promise<Helper>;
  /** One command in a container of its own, as root, without network. */
  run(options: RunOptions): Promise<RunResult>;
  prepareRun(options: RunOptions): Promise<PreparedRun>;
  orphanHelpers(isAlive: (owner: HelperOwner) => boolean, options?: CallOptions): Promise<Named[]>;
  removeHelper(helper: Named, options?: CallOptions): Promise<void>;
  /** Returns when nothing that was made for this restore can run any more; see there for what it throws. */
  clearHelpers(restoreId: string, options: ClearOptions): Promise<void>;

  /** For a drill: a volume and a network, and room for a server on both. Dispose it. `id` is of 8 hexadecimal digits. */
  openThrowaway(id: string, options?: CallOptions): Promise<Throwaway>;
  /** All that a process that is dead has made for this drill; throws `failed` after `deadlineMs` (30 s). */
  clearThrowaway(id: string, options?: CallOptions): Promise<void>;
  /** Ids of drills of which something is left. */
  orphanThrowaways(isAlive: (owner: HelperOwner) => boolean, options?: CallOptions): Promise<string[]>;
  /** A container that is never started, made like this one: see `keepers.ts`. */
  keep(container: Named, options: KeepOptions): Promise<Keeper>;
  keepers(guardId: string, options?: CallOptions): Promise<Omit<Keeper, 'remake'>[]>;
  /** What it keeps, made again under a name of its own and not started. */
  remakeKept(keeper: Pick<Named, 'name'>, options?: CallOptions): Promise<{ id: string; image: string }>;
  removeKeepers(guardId: string, options?: CallOptions): Promise<void>;
  rename(container: Named, name: string, options?: CallOptions): Promise<void>;
  /** Whatever it does at the moment; all its volumes stay. */
  removeContainer(container: Named, options?: CallOptions): Promise<void>;
  /** What a container has written to its log, both streams as they came. */
  log(id: string, options?: LogOptions): Promise<string>;

  volumes(options?: CallOptions): Promise<Volume[]>;
  volume(name: string, options?: CallOptions): Promise<Volume | undefined>;
  /** By name, or by the name in the compose file; throws `not_found` or `ambiguous`. */
  findVolume(wanted: string, options?: CallOptions): Promise<Volume>;
  createVolume(volume: Pick<Volume, 'name'> & Partial<Volume>, options?: CallOptions): Promise<void>;
  removeVolume(name: string, options?: CallOptions): Promise<void>;
  /** Where a volume, or a path of the Docker host, can be read by this very process; see there. */
  hostPathOf(
    place: { containerId: string; source: string },
    options?: CallOptions,
  ): Promise<string | undefined>;
  /** Undefined where Docker does not say it in a few seconds. */
  volumeBytes(name: string, options?: CallOptions): Promise<number | undefined>;

  image(reference: string, options?: CallOptions): Promise<Image | undefined>;
  /** The smallest first. */
  images(options?: CallOptions): Promise<Image[]>;
  /** An image with nothing in it, for `createHelper` where no other is here. Remove it. */
  makeEmptyImage(options?: CallOptions): Promise<string>;
  removeImage(id: string, options?: CallOptions): Promise<void>;
}

export interface ConnectOptions {
  readonly signal?: AbortSignal | undefined;
  /** For the first answer; 10 s where it is missing. */
  readonly pingDeadlineMs?: number;
  /** How long a stream may stand still; 120 s where it is missing. */
  readonly idleMs?: number;
  /** For each short call; 30 s where it is missing. */
  readonly deadlineMs?: number;
}

/**
 * Finds Docker as its own command line does (DOCKER_HOST and its like in `environment`), and asks whether it is there;
 * throws `docker_unreachable`.
 */
export async function connectDocker(environment: Environment, options: ConnectOptions = {}): Promise<Docker> {
  const endpoint = await findEndpoint(environment);
  const engine = await openEngine(endpoint, {
    idleMs: options.idleMs ?? 120_000,
    ...(options.deadlineMs === undefined ? {} : { deadlineMs: options.deadlineMs }),
  });
  const request = { method: 'GET', path: '/version', act: 'connect to Docker' } as const;
  const { json } = await engine.call(request, {
    deadlineMs: options.pingDeadlineMs ?? 10_000,
    signal: options.signal,
  });
  const version = String((json as { Version?: unknown } | undefined)?.Version ?? 'unknown');
  return dockerOver(engine, version);
}

function dockerOver(engine: Engine, version: string): Docker {
  return {
    version,
    url: engine.endpoint.url,
    containers: (options) => listContainers(engine, options),
    container: (idOrName, options) => inspectIfThere(engine, idOrName, options),
    findContainer: (wanted, options) => findContainer(engine, wanted, options),
    containersOf: (volume, options) => containersOfVolume(engine, volume, options),
    start: (container, options) => startContainer(engine, container, options),
    stop: (container, graceSeconds, options) => stopContainer(engine, container, graceSeconds, options),
    pause: (container, options) => pauseContainer(engine, container, options),
    unpause: (container, options) => unpauseContainer(engine, container, options),
    waitUntilHealthy: (id, options) => waitUntilHealthy(engine, id, options),
    exec: (id, options) => exec(engine, id, options),
    execStream: (id, options) => execStream(engine, id, options),
    pathStat: (id, path, options) => pathStat(engine, id, path, options),
    readArchive: (id, path, options) => readArchive(engine, id, path, options),
    writeArchive: (id, path, tar, options) => writeArchive(engine, id, path, tar, options),
    createHelper: (options) => createHelper(engine, options),
    run: (options) => runOnce(engine, options),
    prepareRun: (options) => prepareRun(engine, options),
    orphanHelpers: (isAlive, options) => findOrphanHelpers(engine, isAlive, options),
    removeHelper: (helper, options) => removeContainer(engine, helper, options),
    clearHelpers: (restoreId, options) => clearHelpers(engine, restoreId, options),
    openThrowaway: (id, options) => openThrowaway(engine, id, options),
    clearThrowaway: (id, options) => clearDeadThrowaway(engine, id, options),
    orphanThrowaways: (isAlive, options) => findOrphanThrowaways(engine, isAlive, options),
    keep: (container, options) => keep(engine, container, options),
    keepers: (guardId, options) => listKeepers(engine, guardId, options),
    remakeKept: (keeper, options) => remakeKept(engine, keeper, options),
    removeKeepers: (guardId, options) => removeKeepers(engine, guardId, options),
    rename: (container, name, options) => renameContainer(engine, container, name, options),
    removeContainer: (container, options) =>
      removeContainer(engine, container, { ...options, keepsVolumes: true }),
    log: async (id, options) => (await readLog(engine, id, options)).all.toString('utf8'),
    volumes: (options) => listVolumes(engine, options),
    volume: (name, options) => volumeIfThere(engine, name, options),
    findVolume: (wanted, options) => findVolume(engine, wanted, options),
    createVolume: (volume, options) => createVolume(engine, volume, options),
    removeVolume: (name, options) => removeVolume(engine, name, options),
    hostPathOf: (place, options) => hostPathOf(engine, place, options),
    volumeBytes: (name, options) => volumeBytes(engine, name, options),
    image: (reference, options) => imageIfThere(engine, reference, options),
    images: (options) => listImages(engine, options),
    makeEmptyImage: (options) => makeEmptyImage(engine, options),
    removeImage: (id, options) => removeImage(engine, id, options),
  };
}
