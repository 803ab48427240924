// Restoring a dump into the data directory of a FalkorDB server: staged beside, put in place while the server is stopped
// (a server that stops writes its own dump, so never before), and loaded at the start. A server with `appendonly yes`
// ignores the dump, so it gets it as the base of a new log too. What else lies in the directory (ACL files ...) stays.
import { basename } from 'node:path/posix';
import { endOfArchive, padding } from '../../archive/tar-format.ts';
import { scanTar } from '../../archive/tar-scan.ts';
import { PkbackupError } from '../../errors.ts';
import { roomFor } from '../free-space.ts';
import type {
  BackupFacts,
  Content,
  Restoration,
  RestoreOptions,
  RestoreState,
  ResumedRestore,
  StoreContext,
} from '../store.ts';
import { dataPath, isHostPath, lookInto, openHelper, ownPrefix } from '../volume-place.ts';
import { planVolumeRestore, resumeVolumeRestore } from '../volume-restore.ts';
import { setupFor } from '../volume-setup.ts';
import { namesIn } from '../volume-steps.ts';
import { thawIfRunning } from './connection.ts';
import { countsOf, type DumpWatch, dumpName } from './dump.ts';
import { restorationOf, resumedOf, serverSchema } from './dump-restoration.ts';
import { awaitLoaded } from './loaded.ts';
import { presentUse } from './look.ts';
import { findRestoreTarget, type RestoreTarget, type Wanted } from './restore-target.ts';
import type { Credentials } from './server.ts';
import { type Owner, stagedDump } from './staged-dump.ts';
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
  return restorationOf({
    base,
    plan: {
      ...base.plan,
      ...(running && replaces ? await presentUse(running.server, running.clients) : {}),
      replaces,
      target: container ? `container "${container.name}", ${base.plan.target}` : base.plan.target,
    },
    ownState: running ? { server: running.server.container.id } : {},
    backup,
    dump: target.files.dump,
    running,
    async staged(content, watch) {
      const kept = await filesToKeep(target, context);
      return { tar: () => stagedTar(content, name, target, kept, watch) };
    },
    async check(dump) {
      if (!container) return countsOf(dump) ?? backup.counts;
      return awaitLoaded(target.connection, container, dump, backup.counts, context);
    },
  });
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

export async function resumeFalkordbRestore(
  target: Credentials,
  state: RestoreState,
  context: StoreContext,
): Promise<ResumedRestore> {
  const { server } = serverSchema.parse(state);
  return resumedOf(await resumeVolumeRestore(state, context), state, async () => {
    if (server !== undefined) await thawIfRunning({ ...target, container: server }, context);
  });
}

interface Extras {
  /** Owner of the data directory, which is whom the server runs as; undefined where there is none yet. */
  readonly owner: Owner | undefined;
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
  const isData = (name: string) =>
    [files.dump, files.appendDirectory, files.appendFile].includes(name) ||
    /^temp-.*\.(rdb|aof)$/.test(name) ||
    name.startsWith(ownPrefix);
  const others = (await namesIn(docker, place, signal)).filter((name) => !isData(name));
  return {
    owner: { uid: root.uid, gid: root.gid },
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
  yield* stagedDump(content, name, { files, owner, watch });
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

function notEmpty({ container }: RestoreTarget, keys: number): PkbackupError {
  return new PkbackupError(
    'restore_failed',
    `the server in container "${container?.name}" holds ${keys} keys; nothing was restored`,
    { hint: 'name another one with --to, or restore without --to to replace the present data' },
  );
}
