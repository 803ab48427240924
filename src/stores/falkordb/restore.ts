// Restoring a dump into the data directory of a FalkorDB server: staged beside, put in place while the server is stopped
// (a server that stops writes its own dump, so never before), and loaded at the start. A server with `appendonly yes`
// ignores the dump, so it gets it as the base of a new log too. What else lies in the directory (ACL files ...) stays.
import { basename } from 'node:path/posix';
import { z } from 'zod';
import { encodeEntry, endOfArchive, padding, type TarEntry } from '../../archive/tar-format.ts';
import { scanTar } from '../../archive/tar-scan.ts';
import { throwIfAborted } from '../../docker/index.ts';
import { PkbackupError } from '../../errors.ts';
import { roomFor } from '../free-space.ts';
import { directoryEntry } from '../staged-tar.ts';
import type {
  BackupFacts,
  Content,
  Restoration,
  RestoreOptions,
  RestorePlan,
  RestoreState,
  ResumedRestore,
  Snapshot,
  StoreContext,
} from '../store.ts';
import { dataPath, isHostPath, lookInto, mountPoint, openHelper, ownPrefix } from '../volume-place.ts';
import { planVolumeRestore, resumeVolumeRestore } from '../volume-restore.ts';
import { setupFor } from '../volume-setup.ts';
import { countsOf, type DumpWatch, dumpAlone, dumpName, pickDump } from './dump.ts';
import { awaitLoaded } from './loaded.ts';
import { findRestoreTarget, type RestoreTarget, type Wanted } from './restore-target.ts';
import {
  type Connection,
  countGraphs,
  keysIn,
  listGraphs,
  readInfo,
  saveAndFreeze,
  thaw,
  thawIfRunning,
} from './server.ts';
import { formatsOf, refuseNewer } from './versions.ts';

export async function planFalkordbRestore(
  wanted: Wanted,
  backup: BackupFacts,
  options: RestoreOptions,
  context: StoreContext,
): Promise<Restoration> {
  const { beside, takesVolumeOptions } = options;
  const target = await findRestoreTarget(wanted, backup, options, context);
  const { docker, place, container, running } = target;
  if (running && backup.storeVersion)
    refuseNewer(formatsOf(backup.storeVersion), running.versions, backup.storeVersion);
  if (beside && running && running.keys > 0) throw notEmpty(target, running.keys);
  const base = await planVolumeRestore({
    docker,
    place,
    context,
    // A server without keys may have written its empty dump.
    beside: beside && !running,
    setup: setupFor(place.source, backup.source, options),
    takesVolumeOptions,
    ...plus(roomFor(backup), running && (await dumpBytes(target, context))),
  });
  const replaces = base.plan.replaces && !beside;
  const name = basename(backup.source.path ?? dumpName);
  let watch: DumpWatch = {};
  let isSaved = false;
  return {
    plan: {
      ...base.plan,
      ...(running && replaces ? await presentUse(running) : {}),
      replaces,
      target: container ? `container "${container.name}", ${base.plan.target}` : base.plan.target,
    },

    get state() {
      const frozen = running && { server: running.server.container.id };
      return { ...base.state, replaces, ...frozen, ...(isSaved ? { dump: target.files.dump } : {}) };
    },

    async stage(content) {
      watch = {};
      const extras = await filesToKeep(target, context);
      await base.stage({ tar: () => stagedTar(content, name, target, extras, watch) });
      const { facts } = watch;
      const finding = facts?.findings[0];
      if (finding !== undefined)
        throw new PkbackupError('bad_backup', `the dump in the backup is not whole: ${finding}`);
      if (facts && running) refuseNewer(facts, running.versions, backup.storeVersion);
      if (!running) return;
      await saveAndFreeze(running.server);
      isSaved = true;
    },

    swap: () => base.swap(),

    async check() {
      if (!container) return countsOf(watch.facts) ?? backup.counts;
      return awaitLoaded(target.connection, container, watch.facts, backup.counts, context);
    },

    async rollback() {
      if (isSaved && running) await thaw(running.server).catch(() => undefined);
      await base.rollback();
    },

    async previous() {
      const whole = replaces ? await base.previous() : undefined;
      return isSaved ? dumpOf(whole, target.files.dump) : whole;
    },

    discard: () => base.discard(),
  };
}

/** Before the swap the server saves what it has into a file beside the one that it saved last. */
async function dumpBytes(
  { docker, container, files }: RestoreTarget,
  { signal }: StoreContext,
): Promise<number> {
  const path = `${files.directory.replace(/\/$/, '')}/${files.dump}`;
  const present = container && (await docker.pathStat(container.id, path, { signal }));
  return present?.sizeBytes ?? 0;
}

const plus = ({ neededBytes }: { neededBytes?: number }, more = 0) =>
  neededBytes === undefined ? {} : { neededBytes: neededBytes + more };

/** The counts are for people: where they cannot be had, there are none. */
async function presentUse({
  server,
  clients,
}: Running): Promise<Pick<RestorePlan, 'presentCounts' | 'usedBy'>> {
  const databases = keysIn(await readInfo(server)).map(({ database }) => database);
  const counts = await listGraphs(server)
    .then((graphs) => countGraphs(server, graphs, databases.length > 0 ? databases : [0]))
    .catch(() => undefined);
  throwIfAborted(server.signal);
  return {
    ...(counts && { presentCounts: counts }),
    ...(clients > 0 ? { usedBy: [`${clients} ${clients === 1 ? 'connection' : 'connections'}`] } : {}),
  };
}

type Running = NonNullable<RestoreTarget['running']>;

/** The process that is dead may have left the server frozen: for a minute, or until its end. */
export async function resumeFalkordbRestore(
  target: Connection,
  state: RestoreState,
  _backup: BackupFacts,
  context: StoreContext,
): Promise<ResumedRestore> {
  const base = await resumeVolumeRestore(state, context);
  const { dump, server } = ownStateSchema.parse(state);
  return {
    plan: base.plan,
    state,
    async rollback() {
      if (server !== undefined) await thawIfRunning({ ...target, container: server }, context);
      await base.rollback();
    },
    async previous() {
      const whole = await base.previous();
      return dump === undefined ? whole : dumpOf(whole, dump);
    },
    discard: () => base.discard(),
  };
}

/** Beside what a restore into a volume makes. */
const ownStateSchema = z.object({
  /** Saved by `stage`, so that it is all of the previous data. */
  dump: z.string().optional(),
  /** The container that `stage` freezes. */
  server: z.string().optional(),
});

/** What the server saved last is all of its data. */
function dumpOf(whole: Snapshot | undefined, dump: string): Snapshot | undefined {
  if (!whole) return undefined;
  const previous: DumpWatch = {};
  return {
    pinnedAt: whole.pinnedAt,
    tar: dumpAlone(whole.tar, dump, previous),
    get counts() {
      return countsOf(previous.facts) ?? {};
    },
    dispose: async () => whole.dispose?.(),
  };
}

interface Extras {
  /** Owner of the data directory, which is whom the server runs as; undefined where there is none yet. */
  readonly owner: Pick<TarEntry, 'uid' | 'gid'> | undefined;
  /** Tars of what is no data of the server. */
  readonly others: (() => AsyncGenerator<Buffer>)[];
}

/** The swap sets the whole directory aside, so what is to stay is staged with the dump. */
async function filesToKeep(target: RestoreTarget, { signal }: StoreContext): Promise<Extras> {
  const { docker, place, files } = target;
  const path = dataPath(place);
  if (!isHostPath(place.source) && !(await docker.volume(place.source, { signal }))) {
    return { owner: undefined, others: [] };
  }
  await using helper = await openHelper(docker, place, { isReadOnly: true, signal });
  if (!(await docker.pathStat(helper.id, path, { signal }))) return { owner: undefined, others: [] };
  const { root } = await lookInto(docker, helper, path, signal);
  const [image = ''] = place.images;
  const mounts = [{ source: place.source, target: mountPoint, isReadOnly: true }];
  const listed = await docker.run({ image, mounts, command: ['/bin/ls', '-A1', path], signal });
  if (listed.exitCode !== 0) {
    throw new PkbackupError('restore_failed', `the data directory cannot be listed: ${listed.stderr.trim()}`);
  }
  const isData = (name: string) =>
    [files.dump, files.appendDirectory, files.appendFile].includes(name) ||
    /^temp-.*\.(rdb|aof)$/.test(name) ||
    name.startsWith(ownPrefix);
  const others = listed.stdout.split('\n').filter((name) => name !== '' && !isData(name));
  return {
    owner: root,
    others: others.map(
      (name) =>
        async function* () {
          await using reader = await openHelper(docker, place, { isReadOnly: true, signal });
          yield* docker.readArchive(reader.id, `${path}/${name}`, { signal });
        },
    ),
  };
}

async function* stagedTar(
  content: Content,
  name: string,
  { files }: RestoreTarget,
  { owner, others }: Extras,
  watch: DumpWatch,
): AsyncGenerator<Buffer> {
  for (const other of others) yield* withoutEnd(other());
  const owned = owner && { uid: owner.uid, gid: owner.gid };
  let dump: TarEntry | undefined;
  yield* pickDump(content.tar(), name, watch, (entry) => {
    dump = { ...entry, ...owned, path: Buffer.from(files.dump) };
    return dump;
  });
  if (files.appendOnly && dump) yield* newLog(dump, files);
  yield endOfArchive;
}

async function* withoutEnd(tar: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let missing = 0;
  let size = 0;
  for await (const piece of scanTar(tar)) {
    if (piece.type === 'entry') {
      yield piece.raw;
      size = piece.entry.size;
      missing = size;
    } else {
      yield piece.bytes;
      missing -= piece.bytes.length;
      if (missing === 0) yield padding(size);
    }
  }
}

/** Neither of the two names of the file is ever written to: Redis replaces dumps and removes bases. */
function* newLog(dump: TarEntry, files: RestoreTarget['files']): Generator<Buffer> {
  const { uid, gid, mtime } = dump;
  const base = `${files.appendFile}.1.base.rdb`;
  const manifest = Buffer.from(`file ${base} seq 1 type b\n`);
  const place = (name: string) => Buffer.from(`${files.appendDirectory}/${name}`);
  yield encodeEntry({ ...directoryEntry(`${files.appendDirectory}/`, 0o755), uid, gid });
  yield encodeEntry({
    path: place(base),
    type: 'link',
    linkPath: dump.path,
    size: 0,
    mode: dump.mode,
    uid,
    gid,
    mtime,
  });
  yield encodeEntry({
    path: place(`${files.appendFile}.manifest`),
    type: 'file',
    size: manifest.length,
    mode: 0o644,
    uid,
    gid,
    mtime,
  });
  yield manifest;
  yield padding(manifest.length);
}

function notEmpty({ container }: RestoreTarget, keys: number): PkbackupError {
  return new PkbackupError(
    'restore_failed',
    `the server in container "${container?.name}" holds ${keys} keys; nothing was restored`,
    { hint: 'name another one with --to, or restore without --to to replace the present data' },
  );
}
