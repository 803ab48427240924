// Neo4j 5 Community. It has no online backup, and a copy or a dump of a running store is none: the server is stopped, with
// time to close its files, and either the whole data directory is copied (`volume`: users, passwords and server id come
// along) or neo4j-admin dumps every database (`dump`: portable). docs/stores/neo4j.md has the facts.
import { z } from 'zod';
import { type Container, type Docker, isUp, throwIfAborted } from '../docker/index.ts';
import { messageOf, PkbackupError } from '../errors.ts';
import { dumpAll, readDumps, versionOfImage } from './neo4j/admin.ts';
import { checkContent } from './neo4j/check.ts';
import { type Data, dataPathOf, findData, isNeo4j, type Neo4jTarget, ownerOfData } from './neo4j/data.ts';
import { openNeo4jDrill } from './neo4j/drill.ts';
import { hostServerOf } from './neo4j/on-host.ts';
import { StoreCounter } from './neo4j/records.ts';
import { planNeo4jRestore } from './neo4j/restore.ts';
import { keepTrue, keepTruePatterns, sampleStatements, samplesIn } from './neo4j/samples.ts';
import {
  type Answers,
  askDatabases,
  countStatements,
  countsIn,
  type Neo4jServer,
  type ServerFacts,
  serverOf,
  waitUntilOnline,
} from './neo4j/server.ts';
import type { Look, Snapshot, Store, StoreContext } from './store.ts';
import { volumeName, warnOfDevice } from './volume.ts';
import { dataPath, isHostPath, mountPoint, openHelper, type Place, readPlace } from './volume-place.ts';
import { resumeVolumeRestore } from './volume-restore.ts';

const schema = z
  .strictObject({
    /** By name, id or compose service. */
    container: z.string().min(1).optional(),
    /** Needed only where no container is there any more. */
    volume: z.string().min(1).optional(),
    /** Of a server on this host, outside Docker: the directory with its `bin` and `conf`. */
    home: z.string().min(1).optional(),
    user: z.string().min(1).optional(),
    password_env: z.string().min(1).optional(),
    password_file: z.string().min(1).optional(),
    method: z.enum(['volume', 'dump']).optional(),
    /** Where the server keeps its data, in the container; `/data` unless the container's settings say otherwise. */
    data_path: z.string().startsWith('/').optional(),
    /** Of Neo4j, for neo4j-admin where no container is there; must be here already. */
    image: z.string().min(1).optional(),
  })
  .refine(({ container, volume, home, data_path }) => container ?? volume ?? home ?? data_path, {
    message: 'expected "container" or "volume", or "home" for a server on this host',
  });

/** 143 is SIGTERM, where a JVM tells it. */
const cleanExitCodes = [0, 143];
const startingDeadlineMs = 120_000;

export const neo4j: Store<Neo4jTarget> = {
  kind: 'neo4j',
  schema,
  // An idle server takes 5 to 12 s to stop, a busy one writes a checkpoint first; Docker's own 10 s would kill it.
  quiesce: {
    default: 'stop',
    allowed: ['stop'],
    graceSeconds: 180,
    healthSeconds: 600,
    usualStopMs: 8000,
  },

  recognise(container) {
    return isNeo4j(container) ? { container: container.name } : undefined;
  },

  async look(target, context): Promise<Look> {
    const docker = await context.docker();
    const { signal } = context;
    const data = await findData(docker, target, context);
    const said =
      data.container?.state === 'running'
        ? await askServer(docker, data.container, target, context)
        : undefined;
    const stored = said ?? (await lookAtFiles(docker, data, context));
    const { source } = data.place;
    const estimatedBytes = isHostPath(source) ? undefined : await docker.volumeBytes(source, { signal });
    return {
      source: data.source,
      counts: stored.counts,
      volumes: [source],
      isEmpty: stored.isEmpty,
      ...(stored.version === undefined ? {} : { version: stored.version }),
      ...(stored.databases === undefined ? {} : { databases: stored.databases }),
      ...(stored.samples === undefined ? {} : { samples: stored.samples }),
      ...(estimatedBytes === undefined ? {} : { estimatedBytes }),
    };
  },

  async snapshot(target, look, context): Promise<Snapshot> {
    const docker = await context.docker();
    const data = await findData(docker, target, context);
    return target.method === 'dump'
      ? snapshotDumps(docker, target, data, look, context)
      : snapshotFiles(docker, data, look, context);
  },

  retarget(target, to) {
    const { user, password_env, password_file, image } = target ?? {};
    const login = { user, password_env, password_file, image };
    const kept = Object.fromEntries(Object.entries(login).filter(([, value]) => value !== undefined));
    const container = /^container:(.+)$/.exec(to)?.[1];
    if (container !== undefined) return { ...kept, container };
    return { ...kept, volume: volumeName(to.replace(/^volume:/, '')) };
  },

  inProject: 'volume',
  hostServer: hostServerOf,
  planRestore: planNeo4jRestore,
  resumeRestore: (_target, state, _backup, context) => resumeVolumeRestore(state, context),
  openDrill: openNeo4jDrill,
  check: checkContent,
};

type Stored = Pick<Look, 'counts' | 'isEmpty' | 'samples'> & {
  version?: string | undefined;
  databases?: string[] | undefined;
};

async function askServer(
  docker: Docker,
  container: Container,
  target: Neo4jTarget,
  context: StoreContext,
): Promise<Stored> {
  const server = await serverOf(docker, container, target, context);
  // It may have been started a moment ago, by a backup for one.
  const facts = await waitUntilOnline(server, startingDeadlineMs);
  await refuseOtherDirectories(docker, container, facts, target, context.signal);
  const answers = await askAll(server, facts, context);
  const counts = countsIn(answers);
  const databases = facts.databases.map(({ name }) => name);
  return {
    counts,
    databases,
    version: facts.version,
    isEmpty: counts.nodes === 0 && counts.relationships === 0,
    samples: samplesIn(answers),
  };
}

/** A backup without samples is one all the same. */
async function askAll(
  server: Neo4jServer,
  { databases }: ServerFacts,
  { emit, store, signal }: StoreContext,
): Promise<Answers> {
  try {
    return await askDatabases(server, databases, [...countStatements, ...sampleStatements]);
  } catch (error) {
    throwIfAborted(signal);
    const counts = await askDatabases(server, databases, countStatements);
    const message = `nothing was recorded for a drill to ask again: ${messageOf(error)}`;
    emit({ type: 'step', store, message });
    return counts;
  }
}

/** What the server says, its links resolved, is what counts. */
async function refuseOtherDirectories(
  docker: Docker,
  container: Container,
  facts: ServerFacts,
  target: Neo4jTarget,
  signal: AbortSignal,
): Promise<void> {
  const expected = dataPathOf(container, target);
  const data = await resolved(docker, container, facts.dataDirectory, signal);
  if (data !== expected) {
    throw new PkbackupError(
      'config',
      `container "${container.name}" keeps its data in "${data}", expected "${expected}"`,
      {
        hint: `set data_path to "${data}"`,
      },
    );
  }
  const inside = facts.logDirectory.startsWith(`${facts.dataDirectory}/`);
  if (inside || (await resolved(docker, container, facts.logDirectory, signal)).startsWith(`${expected}/`))
    return;
  throw new PkbackupError(
    'backup_failed',
    `container "${container.name}" keeps its transaction logs in "${facts.logDirectory}", outside of its data in "${data}"`,
    {
      hint: 'take server.directories.transaction.logs.root out of its settings; one without the other is no backup',
    },
  );
}

async function resolved(
  docker: Docker,
  { id }: Container,
  path: string,
  signal: AbortSignal,
): Promise<string> {
  const stat = await docker.pathStat(id, path, { signal });
  return stat?.type === 'symlink' && stat.linkTarget ? stat.linkTarget : path;
}

/** Of a server that does not run. */
async function lookAtFiles(docker: Docker, data: Data, { signal }: StoreContext): Promise<Stored> {
  const { place, container } = data;
  await using helper = await openHelper(docker, place, { isReadOnly: true, signal });
  const path = `${dataPath(place)}/databases`;
  if (!(await docker.pathStat(helper.id, path, { signal }))) return { counts: {}, isEmpty: true };
  const databases = await directoriesIn(docker, place, signal);
  const image = container?.imageId;
  const version = image === undefined ? undefined : await versionOfImage({ docker, image, signal });
  return { counts: {}, isEmpty: false, version, databases };
}

/** Names of the databases; undefined where the image at hand has no `ls`. */
async function directoriesIn(
  docker: Docker,
  place: Place,
  signal: AbortSignal,
): Promise<string[] | undefined> {
  const [image] = place.images;
  if (image === undefined) return undefined;
  const mounts = [{ source: place.source, target: mountPoint, isReadOnly: true }];
  const command = ['ls', '-1p', `${dataPath(place)}/databases`] as const;
  const { exitCode, stdout } = await docker.run({ image, mounts, command: [...command], signal });
  if (exitCode !== 0) return undefined;
  return stdout.split('\n').flatMap((name) => /^(.+)\/$/.exec(name.trim())?.[1] ?? []);
}

/** Killed, not stopped: its last transactions are in the log only, and it will replay them at the next start. */
async function isUnclean(docker: Docker, { container }: Data, signal: AbortSignal): Promise<boolean> {
  const now = container && (await docker.container(container.id, { signal }));
  return now !== undefined && !isUp(now) && now.state !== 'created' && !cleanExitCodes.includes(now.exitCode);
}

async function snapshotFiles(
  docker: Docker,
  data: Data,
  look: Look,
  context: StoreContext,
): Promise<Snapshot> {
  const { signal, emit, store } = context;
  const unclean = await isUnclean(docker, data, signal);
  const copy = await readPlace(docker, data.place, { ...context, onDevice: warnOfDevice(context) });
  const counter = new StoreCounter();
  const note =
    'the server was killed before it had closed its files, so nothing was counted; it recovers when it starts';
  if (unclean) emit({ type: 'warning', store, message: note });
  return {
    ...copy,
    tar: counter.tap(copy.tar),
    get counts() {
      return unclean ? {} : (counter.counts() ?? {});
    },
    get samples() {
      return keepTrue(look.samples, counter);
    },
    notes: () => (unclean ? [note] : []),
  };
}

async function snapshotDumps(
  docker: Docker,
  target: Neo4jTarget,
  data: Data,
  look: Look,
  context: StoreContext,
): Promise<Snapshot> {
  const { signal, emit, store } = context;
  const { place, container } = data;
  // Without a container only an image that was asked for is known to be of Neo4j.
  const image = container?.imageId ?? (target.image === undefined ? undefined : place.images[0]);
  if (image === undefined)
    throw new PkbackupError('not_found', 'there is no image of Neo4j on this machine', { hint: 'set image' });
  if (place.directory !== '') {
    throw new PkbackupError(
      'config',
      'method "dump" needs the volume mounted at the data directory itself, not above it',
      { hint: 'use method "volume"' },
    );
  }
  const owner = await ownerOfData(docker, place, signal);
  const recover = () =>
    emit({
      type: 'step',
      store,
      message: 'the server was not stopped cleanly: it is started alone to recover, and stopped',
    });
  const pinnedAt = new Date();
  const run = await dumpAll({ docker, image, signal, source: place.source, owner }, recover);
  try {
    const records = await readRecords(docker, place, look.databases ?? [], signal);
    return {
      pinnedAt,
      tar: readDumps(docker, run, signal),
      counts: records.counts() ?? {},
      samples: keepTruePatterns(look.samples, records),
      dispose: () => run.remove(),
    };
  } catch (error) {
    await run.remove();
    throw error;
  }
}

/** Of a stopped server, because a dump does not say how many there are. */
async function readRecords(
  docker: Docker,
  place: Place,
  databases: readonly string[],
  signal: AbortSignal,
): Promise<StoreCounter> {
  await using helper = await openHelper(docker, place, { isReadOnly: true, signal });
  const counter = new StoreCounter();
  for (const database of databases) {
    for (const file of StoreCounter.files) {
      const name = `databases/${database}/${file}`;
      const path = `${dataPath(place)}/${name}`;
      if (!(await docker.pathStat(helper.id, path, { signal }))) continue;
      await counter.read(name, docker.readArchive(helper.id, path, { signal }));
    }
  }
  return counter;
}
