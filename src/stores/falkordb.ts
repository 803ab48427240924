// FalkorDB: graphs in a Redis server. Hot: the server forks and writes one file, dump.rdb, whose last step is a rename, so
// the copy is whole and of one moment while writers go on. Under `stop` and `pause` the data directory is copied, after a
// save. DUMP and RESTORE are never used: they crash servers and merge graphs. docs/stores/falkordb.md has the facts.
import { basename, dirname } from 'node:path/posix';
import { z } from 'zod';
import { nameOf as entryName } from '../archive/tar-format.ts';
import { throwIfAborted } from '../docker/index.ts';
import { messageOf, PkbackupError } from '../errors.ts';
import type { Counts } from '../words.ts';
import { differencesOf } from './counts.ts';
import { checkByServer } from './falkordb/check-dump.ts';
import { openFalkordbDrill } from './falkordb/drill.ts';
import { countsOf, type DumpWatch, dumpAlone, dumpName, watchDump } from './falkordb/dump.ts';
import { findMount, placeOn } from './falkordb/place.ts';
import { planFalkordbRestore, resumeFalkordbRestore } from './falkordb/restore.ts';
import { type Beside, besideKey } from './falkordb/restore-target.ts';
import { sizesIn, takeSamples } from './falkordb/samples.ts';
import {
  connect,
  countGraphs,
  type FalkordbServer,
  type Info,
  keysIn,
  listGraphs,
  readDataFiles,
  readInfo,
  readVersions,
  saveAndFreeze,
  saveInBackground,
  thawIfRunning,
} from './falkordb/server.ts';
import { textOf } from './falkordb/versions.ts';
import { describeSource, type MountedDirectory, repositoryOf } from './mounted-data.ts';
import type { Look, Sample, Snapshot, Source, Store, StoreContext } from './store.ts';
import { dataPath, openHelper, type Place, readPlace } from './volume-place.ts';

const schema = z.strictObject({
  container: z.string().min(1),
  /** Of an ACL; the default user where it is missing. */
  user: z.string().min(1).optional(),
  password_env: z.string().min(1).optional(),
  password_file: z.string().min(1).optional(),
  /** The data directory that the server is expected to use. MUST be set where that is not on a mount. */
  data_path: z.string().startsWith('/').optional(),
  /** The volume that the data is expected on. */
  volume: z.string().min(1).optional(),
});

export type FalkordbTarget = z.infer<typeof schema> & { readonly [besideKey]?: Beside };

export const falkordb: Store<FalkordbTarget> = {
  kind: 'falkordb',
  schema,
  // Everything is saved before a stop, so a server that does not see SIGTERM may as well be killed soon. While it loads it is
  // not healthy.
  quiesce: {
    default: 'none',
    allowed: ['none', 'pause', 'stop'],
    graceSeconds: 10,
    healthSeconds: 1800,
    usualStopMs: 500,
  },
  pinsWhenTold: true,

  /** By what the image says; programs that only talk to a FalkorDB have its name too, but not its port. */
  recognise(container) {
    const name = repositoryOf(container.image).split('/').at(-1);
    const isOurs = 'FALKORDB_ARGS' in container.env || name === 'falkordb' || name === 'falkordb-server';
    return isOurs && container.exposedPorts.includes('6379/tcp') ? { container: container.name } : undefined;
  },

  async look(target, context): Promise<Look> {
    const server = await connect(target, context);
    const info = await readInfo(server);
    refuseLoading(server, info);
    const versions = await readVersions(server, info);
    const files = await readDataFiles(server);
    const mounted = findMount(server.container, files.directory, target);
    if (!mounted) warnOfLayer(server, files.directory, context);
    const path = `${files.directory.replace(/\/$/, '')}/${files.dump}`;
    const present = await server.docker.pathStat(server.container.id, path, { signal: context.signal });
    const graphs = await listGraphs(server);
    return {
      source: { ...(await sourceOf(server, mounted, path)), append_only: files.appendOnly },
      version: textOf(versions),
      counts: await countOrWarn(server, graphs, info, context),
      databases: graphs,
      estimatedBytes: present?.sizeBytes ?? Number(info.get('used_memory') ?? 0),
      volumes: mounted ? [mounted.mount.source] : [],
      isEmpty: keysIn(info).every(({ keys }) => keys === 0),
    };
  },

  /** A stop without a save would lose data: images before 4.10 do not see SIGTERM and are killed. */
  async beforeHold(target, _look, context) {
    await saveAndFreeze(await connect(target, context));
  },

  async snapshot(target, look, context): Promise<Snapshot> {
    const docker = await context.docker();
    const container = await docker.findContainer(look.source.container ?? target.container, context);
    const path = look.source.path ?? '';
    const mounted = findMount(container, dirname(path), target);
    const place = mounted && placeOn(mounted, container);
    if (container.state === 'running')
      return snapshotHot(await connect(target, context), place, look, context);
    if (!place)
      throw new PkbackupError('failed', `"${path}" is not on a mount: only quiesce "none" can save it`);
    return snapshotHeld(target, place, look, context);
  },

  retarget(target, to) {
    return { container: to, ...target, [besideKey]: { to, like: target?.container } };
  },

  inProject: 'volume',
  planRestore: planFalkordbRestore,
  resumeRestore: resumeFalkordbRestore,
  openDrill: openFalkordbDrill,

  async check(content, backup, context) {
    const watch: DumpWatch = {};
    const dump = dumpAlone(content.tar(), basename(backup.source.path ?? dumpName), watch);
    const { finding, notChecked } = await checkByServer(dump, backup, context);
    const { facts } = watch;
    const findings = [...(facts?.findings ?? []), ...(finding === undefined ? [] : [finding])];
    const unread = notChecked === undefined ? [] : [notChecked];
    if (findings.length > 0) return { findings, counts: {}, notChecked: unread };
    const counts = countsOf(facts);
    if (counts) {
      return {
        findings: differencesOf(backup.counts, { other_keys: 0, ...counts }),
        counts,
        notChecked: unread,
      };
    }
    const unknown = `graphs and keys: ${facts?.unknown}; the dump's own checksum is good`;
    return { findings, counts: {}, notChecked: [...unread, unknown] };
  },
};

function refuseLoading({ container }: FalkordbServer, info: Info): void {
  if (info.get('loading') === '0') return;
  throw new PkbackupError('unhealthy', `container "${container.name}" is still loading its data`, {
    hint: 'try again when it is ready',
  });
}

function warnOfLayer({ container }: FalkordbServer, directory: string, { emit, store }: StoreContext): void {
  const message = `data directory "${directory}" is not on a mount: the data is lost when container "${container.name}" is removed`;
  emit({ type: 'warning', store, message, hint: `mount a volume at "${directory}"` });
}

/** Writers may go on, so these numbers are for people; those of the metadata are counted on the copy. */
async function countOrWarn(
  server: FalkordbServer,
  graphs: readonly string[],
  info: Info,
  { emit, store, signal }: StoreContext,
): Promise<Counts> {
  try {
    const databases = keysIn(info).map(({ database }) => database);
    return await countGraphs(server, graphs, databases.length > 0 ? databases : [0]);
  } catch (error) {
    throwIfAborted(signal);
    emit({ type: 'warning', store, message: `the graphs could not be counted: ${messageOf(error)}` });
    return { graphs: graphs.length };
  }
}

async function sourceOf(
  { docker, container, signal }: FalkordbServer,
  mounted: MountedDirectory | undefined,
  path: string,
): Promise<Source> {
  if (!mounted) return { container: container.name, image: container.image, path };
  return { ...(await describeSource(docker, container, mounted, signal)), path };
}

/**
 * Read through a helper on the same mount, because the archive endpoint locks its container. A later save replaces the
 * file by a rename, so what is read stays what it was.
 */
async function snapshotHot(
  server: FalkordbServer,
  place: Place | undefined,
  look: Look,
  context: StoreContext,
): Promise<Snapshot> {
  const path = look.source.path ?? '';
  const { docker, container, signal } = server;
  let pinnedAt = new Date();
  const savedAtSeconds = await saveInBackground(server, {
    ...(context.beforePin ? { beforeFork: context.beforePin } : {}),
    async onForked() {
      pinnedAt = new Date();
      context.onPinned?.();
      await context.afterPin?.();
    },
  });
  const answers = await samplesOf(server, context);
  const helper = place && (await openHelper(docker, place, { isReadOnly: true, signal }));
  const file = place ? `${dataPath(place)}/${basename(path)}` : path;
  const source = docker.readArchive(helper?.id ?? container.id, file, { signal });
  const watch: DumpWatch = {};
  async function* tar(): AsyncGenerator<Buffer> {
    yield* dumpAlone(source, basename(path), watch);
    refuseWrongDump(watch, savedAtSeconds, path);
  }
  return {
    pinnedAt,
    tar: tar(),
    get counts() {
      return countsOf(watch.facts) ?? look.counts;
    },
    get samples() {
      return [...sizesIn(watch.facts), ...answers];
    },
    dispose: async () => helper?.remove(),
  };
}

/** A backup without samples is one all the same. */
async function samplesOf(server: FalkordbServer, { emit, store, signal }: StoreContext): Promise<Sample[]> {
  try {
    return await takeSamples(server);
  } catch (error) {
    throwIfAborted(signal);
    emit({
      type: 'step',
      store,
      message: `nothing was recorded for a drill to ask again: ${messageOf(error)}`,
    });
    return [];
  }
}

/** A file that is older than our save is not the server's: its directory is another one than it says. */
function refuseWrongDump({ facts }: DumpWatch, savedAtSeconds: number, path: string): void {
  const finding = facts?.findings[0];
  if (finding !== undefined) throw new PkbackupError('backup_failed', `"${path}" is not whole: ${finding}`);
  const found = facts?.savedAtSeconds;
  if (found === undefined || found >= savedAtSeconds) return;
  const [was, expected] = [found, savedAtSeconds].map((seconds) => new Date(seconds * 1000).toISOString());
  throw new PkbackupError(
    'backup_failed',
    `"${path}" is not what the server has saved: it is of ${was}, expected ${expected} or later`,
  );
}

async function snapshotHeld(
  target: FalkordbTarget,
  place: Place,
  look: Look,
  context: StoreContext,
): Promise<Snapshot> {
  const file = basename(look.source.path ?? '');
  const docker = await context.docker();
  const { emit, store } = context;
  const onDevice = (name: string) =>
    emit({ type: 'warning', store, message: `device "${name}" is not saved` });
  const copy = await readPlace(docker, place, { ...context, onDevice });
  const watch: DumpWatch = {};
  async function* tar(): AsyncGenerator<Buffer> {
    yield* watchDump(copy.tar, file, watch);
    if (!watch.facts) throw new PkbackupError('backup_failed', `there is no "${file}" in the data directory`);
    refuseWrongDump(watch, 0, file);
  }
  return {
    ...copy,
    tar: tar(),
    skip: (entry) => isTemporary(entryName(entry)) || copy.skip?.(entry) === true,
    get counts() {
      return countsOf(watch.facts) ?? look.counts;
    },
    get samples() {
      return sizesIn(watch.facts);
    },
    dispose: async () => {
      await copy.dispose?.();
      await thawIfRunning(target, context);
    },
  };
}

/** Of a save that broke off. */
const isTemporary = (name: string): boolean => /(^|\/)temp-\d+\.rdb$/.test(name);
