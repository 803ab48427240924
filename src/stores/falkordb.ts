// FalkorDB: graphs in a Redis server. Hot: the server forks and writes one file, dump.rdb, whose last step is a rename, so
// the copy is whole and of one moment while writers go on. Under `stop` and `pause` the data directory is copied, after a
// save. DUMP and RESTORE are never used: they crash servers and merge graphs. docs/stores/falkordb.md has the facts.
import { isAbsolute } from 'node:path';
import { basename, dirname } from 'node:path/posix';
import { z } from 'zod';
import { nameOf as entryName } from '../archive/tar-format.ts';
import { PkbackupError } from '../errors.ts';
import { addressKeys, checkAddress } from './address-keys.ts';
import { differencesOf } from './counts.ts';
import { checkByServer } from './falkordb/check-dump.ts';
import { isInContainer, thawIfRunning } from './falkordb/connection.ts';
import { openFalkordbDrill } from './falkordb/drill.ts';
import { countsOf, type DumpWatch, dumpAlone, dumpName, watchDump } from './falkordb/dump.ts';
import {
  isOnHost,
  planHostRestore,
  planRestoreToDirectory,
  resumeHostRestore,
} from './falkordb/host-restore.ts';
import { hostServerOf } from './falkordb/host-server.ts';
import { lookOnHost, snapshotOnHost } from './falkordb/host-store.ts';
import { type DumpSource, refuseWrongDump, snapshotHot } from './falkordb/hot-snapshot.ts';
import { type ContainerServer, connectInContainer } from './falkordb/in-container.ts';
import { askServer } from './falkordb/look.ts';
import { findMount, placeOn } from './falkordb/place.ts';
import { planFalkordbRestore, resumeFalkordbRestore } from './falkordb/restore.ts';
import { besideKey } from './falkordb/restore-target.ts';
import { type FalkordbTarget, retargetFalkordb } from './falkordb/retarget.ts';
import { sizesIn } from './falkordb/samples.ts';
import { saveAndFreeze } from './falkordb/server.ts';
import { describeSource, type MountedDirectory, repositoryOf } from './mounted-data.ts';
import type { Look, Snapshot, Source, Store, StoreContext } from './store.ts';
import { dataPath, openHelper, type Place, readPlace } from './volume-place.ts';

const schema = z
  .strictObject({
    ...addressKeys,
    /** Of an ACL; the default user where it is missing. */
    user: z.string().min(1).optional(),
    password_env: z.string().min(1).optional(),
    password_file: z.string().min(1).optional(),
    /**
     * The data directory that the server in a container is expected to use; MUST be set where that is not on a mount. Of any
     * other server: where this machine sees it.
     */
    data_path: z.string().startsWith('/').optional(),
    /** The volume that the data is expected on. */
    volume: z.string().min(1).optional(),
  })
  .superRefine(checkAddress)
  .refine(({ host = '', port }) => port === undefined || !isAbsolute(host), {
    message: '"port" goes with the name or address of a "host", and not with a socket',
  })
  .refine(({ container, volume }) => container !== undefined || volume === undefined, {
    message: '"volume" goes with "container"',
  });

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
    if (!isInContainer(target)) return lookOnHost(target, context);
    const server = await connectInContainer(target, context);
    const { files, usedBytes, said } = await askServer(server, context);
    const mounted = findMount(server.container, files.directory, target);
    if (!mounted) warnOfLayer(server, files.directory, context);
    const path = `${files.directory.replace(/\/$/, '')}/${files.dump}`;
    const present = await server.docker.pathStat(server.container.id, path, { signal: context.signal });
    return {
      ...said,
      source: { ...(await sourceOf(server, mounted, path)), append_only: files.appendOnly },
      estimatedBytes: present?.sizeBytes ?? usedBytes,
      volumes: mounted ? [mounted.mount.source] : [],
    };
  },

  /** A stop without a save would lose data: images before 4.10 do not see SIGTERM and are killed. */
  async beforeHold(target, _look, context) {
    if (isInContainer(target)) await saveAndFreeze(await connectInContainer(target, context));
  },

  async snapshot(target, look, context): Promise<Snapshot> {
    if (!isInContainer(target)) return snapshotOnHost(target, look, context);
    const docker = await context.docker();
    const container = await docker.findContainer(look.source.container ?? target.container, context);
    const path = look.source.path ?? '';
    const mounted = findMount(container, dirname(path), target);
    const place = mounted && placeOn(mounted, container);
    if (container.state === 'running') {
      const server = await connectInContainer(target, context);
      return snapshotHot(server, { path, open: () => openDump(server, place, path) }, look, context);
    }
    if (!place)
      throw new PkbackupError('failed', `"${path}" is not on a mount: only quiesce "none" can save it`);
    return snapshotHeld(target, place, look, context);
  },

  retarget: retargetFalkordb,

  inProject: 'volume',
  hostServer: hostServerOf,

  async planRestore(target, backup, options, context) {
    const beside = target[besideKey];
    if (beside && 'directory' in beside) {
      return planRestoreToDirectory(beside, backup, context);
    }
    if (!isInContainer(target)) return planHostRestore(target, backup, context);
    return planFalkordbRestore({ ...target, [besideKey]: beside }, backup, options, context);
  },

  async resumeRestore(target, state, backup, context) {
    return isOnHost(state)
      ? resumeHostRestore(target, state, backup, context)
      : resumeFalkordbRestore(target, state, context);
  },

  openDrill: (target, backup, options, context) =>
    openFalkordbDrill(target && isInContainer(target) ? target : {}, backup, options, context),

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

function warnOfLayer({ container }: ContainerServer, directory: string, { emit, store }: StoreContext): void {
  const message = `data directory "${directory}" is not on a mount: the data is lost when container "${container.name}" is removed`;
  emit({ type: 'warning', store, message, hint: `mount a volume at "${directory}"` });
}

async function sourceOf(
  { docker, container, signal }: ContainerServer,
  mounted: MountedDirectory | undefined,
  path: string,
): Promise<Source> {
  if (!mounted) return { container: container.name, image: container.image, path };
  return { ...(await describeSource(docker, container, mounted, signal)), path };
}

/** Through a helper on the same mount, because the archive endpoint locks its container. */
async function openDump(
  { docker, container, signal }: ContainerServer,
  place: Place | undefined,
  path: string,
): Promise<DumpSource> {
  const helper = place && (await openHelper(docker, place, { isReadOnly: true, signal }));
  const file = place ? `${dataPath(place)}/${basename(path)}` : path;
  return {
    tar: docker.readArchive(helper?.id ?? container.id, file, { signal }),
    dispose: async () => helper?.remove(),
  };
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
