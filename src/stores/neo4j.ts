// Neo4j 5 Community. It has no online backup, and a copy or a dump of a running store is none: the server is stopped, with
// time to close its files, or paused, where others wait for it and a copy that has to recover will do. Either the whole data
// directory is copied (`volume`: users, passwords and server id come along) or neo4j-admin dumps every database (`dump`:
// portable). docs/stores/neo4j.md has the facts.
import { resolve } from 'node:path';
import { z } from 'zod';
import { type Container, type Docker, isUp } from '../docker/index.ts';
import { PkbackupError } from '../errors.ts';
import type { Counts } from '../words.ts';
import { isPath } from './is-path.ts';
import { dumpAll, readDumps, versionOfImage } from './neo4j/admin.ts';
import { checkContent } from './neo4j/check.ts';
import { type Data, dataPathOf, findData, isNeo4j, type Neo4jTarget, ownerOfData } from './neo4j/data.ts';
import { openNeo4jDrill } from './neo4j/drill.ts';
import { lookOnHost, snapshotOnHost } from './neo4j/host-store.ts';
import { askServer, type Stored } from './neo4j/look.ts';
import { hostServerOf, isOnHost } from './neo4j/on-host.ts';
import { openReadyNeo4j, ReadyNeo4j } from './neo4j/paused.ts';
import { StoreCounter } from './neo4j/records.ts';
import { planNeo4jRestore, resumeNeo4jRestore } from './neo4j/restore.ts';
import { keepTrue, keepTruePatterns } from './neo4j/samples.ts';
import { type ServerFacts, serverOf } from './neo4j/server.ts';
import type { Look, Snapshot, Store, StoreContext } from './store.ts';
import { volumeName, warnOfDevice } from './volume.ts';
import { dataPath, extentOf, mountPoint, openHelper, type Place, readPlace } from './volume-place.ts';

const schema = z
  .strictObject({
    /** By name, id or compose service. */
    container: z.string().min(1).optional(),
    /** Needed only where no container is there any more. */
    volume: z.string().min(1).optional(),
    /** Of a server on this host, outside Docker: the directory with its `bin` and `conf`. */
    home: z.string().min(1).optional(),
    /** Of such a server: where it is asked, as `bolt://localhost:7687`. */
    address: z
      .string()
      .regex(/^bolt(\+s|\+ssc)?:\/\/\S+$/, 'expected such as bolt://localhost:7687')
      .optional(),
    user: z.string().min(1).optional(),
    password_env: z.string().min(1).optional(),
    password_file: z.string().min(1).optional(),
    method: z.enum(['volume', 'dump']).optional(),
    /** Where the server keeps its data: on this host, or in the container, there `/data` unless the container's settings say otherwise. */
    data_path: z.string().startsWith('/').optional(),
    /** Of Neo4j, for neo4j-admin where no container is there; must be here already. */
    image: z.string().min(1).optional(),
  })
  .refine(({ container, volume, home, data_path }) => container ?? volume ?? home ?? data_path, {
    message: 'expected "container" or "volume", or "home" for a server on this host',
  })
  .refine(({ container, volume, home, address }) => !(container ?? volume) || !(home ?? address), {
    message: '"home" and "address" are for a server on this host, and not with "container" or "volume"',
  });

/** 143 is SIGTERM, where a JVM tells it. */
const cleanExitCodes = [0, 143];

export const neo4j: Store<Neo4jTarget> = {
  kind: 'neo4j',
  schema,
  // An idle server takes 5 to 12 s to stop, a busy one writes a checkpoint first; Docker's own 10 s would kill it.
  quiesce: {
    default: 'stop',
    allowed: ['stop', 'pause'],
    // A pause is as good as a crash, which it survives: what it has acknowledged is in its log. But it has to recover.
    whenConsistent: 'pause',
    graceSeconds: 180,
    healthSeconds: 600,
    usualStopMs: 8000,
  },

  // neo4j-admin refuses to dump what a paused server has open, and on this host there is nothing that pauses.
  allowedQuiesce(target) {
    return target.method === 'dump' || isOnHost(target) ? ['stop'] : this.quiesce.allowed;
  },

  recognise(container) {
    return isNeo4j(container) ? { container: container.name } : undefined;
  },

  async look(target, context): Promise<Look> {
    if (isOnHost(target)) return lookOnHost(target, context);
    const docker = await context.docker();
    const data = await findData(docker, target, context);
    const said =
      data.container?.state === 'running'
        ? await askContainer(docker, data.container, target, context)
        : undefined;
    const stored = said ?? (await lookAtFiles(docker, data, context));
    return {
      source: data.source,
      counts: stored.counts,
      volumes: [data.place.source],
      isEmpty: stored.isEmpty,
      ...(stored.version === undefined ? {} : { version: stored.version }),
      ...(stored.databases === undefined ? {} : { databases: stored.databases }),
      ...(stored.samples === undefined ? {} : { samples: stored.samples }),
      ...(await extentOf(docker, data.place, data.container, context)),
    };
  },

  async ready(target, look, context) {
    if (isOnHost(target)) return undefined;
    const docker = await context.docker();
    return await openReadyNeo4j(docker, target, await findData(docker, target, context), look, context);
  },

  async beforeHold(_target, _look, context) {
    if (context.ready instanceof ReadyNeo4j) await context.ready.ask(context);
  },

  async snapshot(target, look, context): Promise<Snapshot> {
    if (isOnHost(target)) return snapshotOnHost(target, look, context);
    const docker = await context.docker();
    const data = await findData(docker, target, context);
    return target.method === 'dump'
      ? snapshotDumps(docker, target, data, look, context)
      : snapshotFiles(docker, data, look, context);
  },

  retarget(target, to) {
    const { user, password_env, password_file, image, home } = target ?? {};
    const isDirectory = isPath(to);
    const login = { user, password_env, password_file, image, ...(isDirectory ? { home } : {}) };
    const kept = Object.fromEntries(Object.entries(login).filter(([, value]) => value !== undefined));
    if (isDirectory) return { ...kept, data_path: resolve(to) };
    const container = /^container:(.+)$/.exec(to)?.[1];
    if (container !== undefined) return { ...kept, container };
    return { ...kept, volume: volumeName(to.replace(/^volume:/, '')) };
  },

  inProject: 'volume',
  hostServer: hostServerOf,
  planRestore: planNeo4jRestore,
  resumeRestore: resumeNeo4jRestore,
  openDrill: openNeo4jDrill,
  check: checkContent,
};

async function askContainer(
  docker: Docker,
  container: Container,
  target: Neo4jTarget,
  context: StoreContext,
): Promise<Stored> {
  const server = await serverOf(docker, container, target, context);
  return askServer(
    server,
    (facts) => refuseOtherDirectories(docker, container, facts, target, context.signal),
    context,
  );
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

/**
 * Of one that was killed or paused the last transactions are in the log only, and it will replay them at the next start;
 * undefined where it was stopped, or never ran.
 */
async function howUnclean(
  docker: Docker,
  { container }: Data,
  signal: AbortSignal,
): Promise<'killed' | 'paused' | undefined> {
  const now = container && (await docker.container(container.id, { signal }));
  if (!now || now.state === 'created') return undefined;
  if (isUp(now)) return now.state === 'paused' ? 'paused' : undefined;
  return cleanExitCodes.includes(now.exitCode) ? undefined : 'killed';
}

async function snapshotFiles(
  docker: Docker,
  data: Data,
  look: Look,
  context: StoreContext,
): Promise<Snapshot> {
  const { signal, emit, store } = context;
  const { programs } = look;
  const ready = context.ready instanceof ReadyNeo4j ? context.ready : undefined;
  const unclean = await howUnclean(docker, data, signal);
  const onDevice = warnOfDevice(context);
  const copy = await readPlace(docker, data.place, { ...context, programs, ready: ready?.place, onDevice });
  const counter = new StoreCounter();
  const note =
    'the server was killed before it had closed its files, so nothing was counted; it recovers when it starts';
  if (unclean === 'killed') emit({ type: 'warning', store, message: note });
  let said: Counts | undefined;
  async function* tar(): AsyncGenerator<Buffer> {
    yield* counter.tap(copy.tar);
    // Before the end, because it is paused no longer then.
    if (unclean === 'paused') said = await ready?.countsOf(counter, context);
  }
  return {
    ...copy,
    tar: tar(),
    get counts() {
      return (unclean ? said : counter.counts()) ?? {};
    },
    get samples() {
      return keepTrue(look.samples, counter);
    },
    notes: () => (unclean === 'killed' ? [note] : []),
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
