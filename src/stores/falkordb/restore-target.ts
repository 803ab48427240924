// What a restore goes to: a server that runs, one that does not (a damaged dump makes it end at every start), or a volume
// without any.
import { basename, dirname } from 'node:path/posix';
import type { Container, Docker } from '../../docker/index.ts';
import { PkbackupError } from '../../errors.ts';
import { imageOfBackup } from '../backup-image.ts';
import type { BackupFacts, RestoreOptions, StoreContext } from '../store.ts';
import { volumeName } from '../volume.ts';
import { imagesFor, type Place } from '../volume-place.ts';
import { directoryToRestore } from '../volume-setup.ts';
import type { Connection } from './connection.ts';
import { type ContainerConnection, type ContainerServer, connectInContainer } from './in-container.ts';
import { askPresent } from './look.ts';
import { type Expected, findMount, placeOn } from './place.ts';
import type { DataFiles, Versions } from './server.ts';

export interface RestoreTarget {
  readonly docker: Docker;
  readonly place: Place;
  readonly files: DataFiles;
  /** Undefined for a volume. */
  readonly container?: Container;
  readonly connection: ContainerConnection;
  /** The server, where it answers. */
  readonly running?: {
    readonly server: ContainerServer;
    readonly versions: Versions;
    readonly keys: number;
    /** Connections beside ours. */
    readonly clients: number;
  };
}

/** Of `--to`; no setting, so that it passes by schema and journal: what it led to is in the state of the restore. */
export const besideKey = Symbol('beside');

export type Beside = BesideInDocker | BesideOnHost;

export interface BesideInDocker {
  /** A container or a volume. */
  readonly to: string;
  /** The configured container: the server that will use the volume is taken to be like it. */
  readonly like?: string | undefined;
}

export interface BesideOnHost {
  /** One that is empty or missing. */
  readonly directory: string;
  /** The configured server: the one that will use the directory is taken to be like it. */
  readonly like?: Connection | undefined;
}

export type Wanted = ContainerConnection & Expected & { readonly [besideKey]?: BesideInDocker | undefined };

export async function findRestoreTarget(
  target: Wanted,
  backup: BackupFacts,
  options: RestoreOptions,
  context: StoreContext,
): Promise<RestoreTarget> {
  const { [besideKey]: beside, data_path: _, volume: __, ...connection } = target;
  const docker = await context.docker();
  if (beside === undefined) {
    const gone = await volumeOfGone(docker, target, backup, context);
    if (gone === undefined) return containerTarget(target, backup, context);
    return volumeTarget(docker, gone, connection, { backup, options }, context);
  }
  const { to, like } = beside;
  const [, kind, name = to] = /^(?:(container|volume):)?(.*)$/.exec(to) ?? [];
  const { signal } = context;
  const isContainer = kind !== 'volume' && (await docker.container(name, { signal })) !== undefined;
  const isVolume = kind !== 'container' && (await docker.volume(volumeName(name), { signal })) !== undefined;
  if (isContainer && isVolume) {
    throw new PkbackupError('ambiguous', `"${name}" is a container and a volume`, {
      hint: `say --to container:${name} or --to volume:${name}`,
    });
  }
  if (isContainer) return containerTarget({ ...connection, container: name }, backup, context);
  if (kind === 'container') await docker.findContainer(name, { signal });
  return volumeTarget(docker, name, connection, { like, backup, options }, context);
}

async function containerTarget(
  target: ContainerConnection & Expected,
  backup: BackupFacts,
  context: StoreContext,
): Promise<RestoreTarget> {
  const docker = await context.docker();
  const container = await docker.findContainer(target.container, { signal: context.signal });
  const running = await askRunning(target, context);
  const files = running?.files ?? (await guessFiles(docker, container, target, backup));
  const mounted = findMount(container, files.directory, target);
  if (!mounted) {
    throw new PkbackupError('restore_failed', `data directory "${files.directory}" is not on a mount`, {
      hint: 'mount a volume there first, or restore into a volume with --to volume:NAME; nothing was touched',
    });
  }
  return {
    docker,
    place: placeOn(mounted, container),
    files,
    container,
    connection: target,
    ...(running && { running }),
  };
}

/** Undefined where it does not answer; a wrong password is an error. */
async function askRunning(target: ContainerConnection, context: StoreContext) {
  const absent = ({ code }: PkbackupError) => code !== 'config' && code !== 'not_found';
  return askPresent(() => connectInContainer(target, context), absent, context);
}

/** As the images are set up, and as the backup knew it. A log that is there would win over the dump. */
async function guessFiles(
  docker: Docker,
  container: Container,
  { data_path: dataPath }: Expected,
  backup: BackupFacts,
): Promise<DataFiles> {
  const before = backup.source.container === container.name ? backup.source.path : undefined;
  const own = container.env.FALKORDB_DATA_PATH ?? '/data';
  const directory = dataPath ?? (before === undefined ? own : dirname(before));
  const log = await docker.pathStat(container.id, `${directory}/${defaultFiles.appendDirectory}`);
  return {
    ...defaultFiles,
    directory,
    dump: before === undefined ? defaultFiles.dump : basename(before),
    appendOnly: log !== undefined || /--appendonly\s+yes/i.test(container.env.REDIS_ARGS ?? ''),
  };
}

export const defaultFiles: DataFiles = {
  directory: '/',
  dump: 'dump.rdb',
  appendOnly: false,
  appendDirectory: 'appendonlydir',
  appendFile: 'appendonly.aof',
};

/** A container that is gone, as on another machine, needs no asking for: its volume is in the metadata. */
async function volumeOfGone(
  docker: Docker,
  { container }: ContainerConnection,
  { source }: BackupFacts,
  { signal }: StoreContext,
): Promise<string | undefined> {
  if (source.volume === undefined) return undefined;
  try {
    await docker.findContainer(container, { signal });
    return undefined;
  } catch (error) {
    if (error instanceof PkbackupError && error.code === 'not_found') return volumeName(source.volume);
    throw error;
  }
}

/** For a server like the store's own: with the same image, and with a log where that has one. */
async function volumeTarget(
  docker: Docker,
  name: string,
  connection: ContainerConnection,
  {
    like: wanted,
    backup,
    options,
  }: { like?: string | undefined; backup: BackupFacts; options: RestoreOptions },
  context: StoreContext,
): Promise<RestoreTarget> {
  const { signal } = context;
  const { source } = backup;
  const like = wanted === undefined ? undefined : await docker.container(wanted, { signal });
  const running = like && (await askRunning({ ...connection, container: like.id }, context));
  // The smallest image of a machine may have no programs at all: those of the server have them.
  const own = await imageOfBackup(docker, source, signal);
  const first = [like?.imageId, own?.id].filter((id) => id !== undefined);
  const images = [...first, ...(await imagesFor(docker, name, undefined, signal))];
  const directory = directoryToRestore(name, source, options);
  const place = { source: name, directory, images };
  const files = {
    ...defaultFiles,
    dump: running?.files.dump ?? basename(source.path ?? defaultFiles.dump),
    appendOnly: running?.files.appendOnly ?? source.append_only ?? false,
  };
  return { docker, place, files, connection };
}
