// Restoring a dump into the data directory of a server without Docker, as into a volume: staged beside, swapped by renaming
// while the server is stopped, which the user's own programs do. And into an empty directory, for whoever starts a server there.
import { access, constants, open, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { endOfArchive } from '../../archive/tar-format.ts';
import { PkbackupError } from '../../errors.ts';
import { planDirectoryRestore, resumeDirectoryRestore } from '../directory-restore.ts';
import { sizeOf } from '../sqlite-file.ts';
import type {
  BackupFacts,
  Content,
  Restoration,
  RestoreState,
  ResumedRestore,
  StoreContext,
} from '../store.ts';
import { type Connection, connect, thawIfRunning } from './connection.ts';
import { countsOf, type DumpWatch, dumpName } from './dump.ts';
import { restorationOf, resumedOf, serverSchema } from './dump-restoration.ts';
import { findHostData, type HostData, printOfDump, refuseUnreplaced } from './host-files.ts';
import type { HostTarget } from './host-store.ts';
import { compareLoaded } from './loaded.ts';
import { askPresent, presentUse } from './look.ts';
import { connectOnHost, type ServerOnHost } from './on-host.ts';
import { type BesideOnHost, defaultFiles } from './restore-target.ts';
import type { DataFiles } from './server.ts';
import { isRunning, untilServing } from './serving.ts';
import { type Owner, stagedDump } from './staged-dump.ts';
import { formatsOf, refuseNewer } from './versions.ts';

export async function planHostRestore(
  target: HostTarget,
  backup: BackupFacts,
  context: StoreContext,
): Promise<Restoration> {
  const server = await connectOnHost(target, context);
  const running = await askPresent(
    async () => server,
    ({ code }) => code === 'unhealthy',
    context,
  );
  if (running && backup.storeVersion)
    refuseNewer(formatsOf(backup.storeVersion), running.versions, backup.storeVersion);
  const files = running?.files ?? (await guessFiles(server, target, backup));
  const data = await findHostData(server, files, target.data_path);
  await refuseOtherData(server, data, files);
  const owner = await ownerOf(data, files);
  await refuseNoRight(server, data, owner);
  const names = [files.dump, files.appendDirectory, files.appendFile];
  // A directory counts files, and the swap leaves alone what is not the server's data.
  const facts = { ...backup, counts: {}, only: names };
  const base = await planDirectoryRestore({ path: data.directory }, facts, { beside: false }, context);
  const { presentCounts: _files, neededBytes, ...plan } = base.plan;
  const presentBytes = (await sizeOf(data.dump)) ?? 0;
  return restorationOf({
    base,
    plan: {
      ...plan,
      ...(running ? await presentUse(running.server, running.clients) : {}),
      ...(neededBytes === undefined ? {} : { neededBytes: neededBytes + presentBytes }),
      target: `${server.where}, ${plan.target}`,
    },
    ownState: running ? { server: server.url } : {},
    backup,
    dump: files.dump,
    running,
    staged: async (content, watch) => ({
      tar: () => stagedTar(content, backup, { files, owner, watch }),
    }),
    async watchSave() {
      const before = await printOfDump(data);
      return () => refuseUnreplaced(server, data, before, 'restore_failed');
    },
    async check(dump) {
      if (running || (await isRunning(server))) {
        await untilServing(server);
        return compareLoaded(server, dump, backup.counts, context);
      }
      warnOfRest(server, context);
      return countsOf(dump) ?? backup.counts;
    },
  });
}

export async function planRestoreToDirectory(
  { directory, like }: BesideOnHost,
  backup: BackupFacts,
  context: StoreContext,
): Promise<Restoration> {
  const known = like && (await hasLog(like, context));
  const appendOnly = known ?? backup.source.append_only ?? false;
  const files = { ...defaultFiles, directory, appendOnly };
  const facts = { ...backup, counts: {} };
  const base = await planDirectoryRestore({ path: directory }, facts, { beside: true }, context);
  return restorationOf({
    base,
    plan: base.plan,
    ownState: {},
    backup,
    dump: files.dump,
    running: undefined,
    staged: async (content, watch) => ({
      tar: () => stagedTar(content, backup, { files, owner: undefined, watch }),
    }),
    async check(dump) {
      await base.check();
      return countsOf(dump) ?? backup.counts;
    },
  });
}

/** Told from a restore into a volume by what it has made. */
export const isOnHost = (state: RestoreState): boolean => 'workDir' in state;

export async function resumeHostRestore(
  target: Connection,
  state: RestoreState,
  backup: BackupFacts,
  context: StoreContext,
): Promise<ResumedRestore> {
  const { server } = serverSchema.parse(state);
  const base = await resumeDirectoryRestore({ path: '' }, state, { ...backup, counts: {} }, context);
  return resumedOf(base, state, async () => {
    if (server !== undefined) await thawIfRunning(target, context);
  });
}

async function* stagedTar(
  content: Content,
  { source }: BackupFacts,
  how: { files: DataFiles; owner: Owner | undefined; watch: DumpWatch },
): AsyncGenerator<Buffer> {
  yield* stagedDump(content, basename(source.path ?? dumpName), how);
  yield endOfArchive;
}

/** As servers are set up, and as the backup knew this one. A log that is there would win over the dump. */
async function guessFiles(
  { where, url }: ServerOnHost,
  { data_path: directory }: HostTarget,
  { source }: BackupFacts,
): Promise<DataFiles> {
  if (directory === undefined) {
    throw new PkbackupError('unhealthy', `${where} does not answer, so it does not say where its data lies`, {
      hint: 'start it, or set data_path of this store to its data directory; nothing was touched',
    });
  }
  const dump = source.url === url && source.path !== undefined ? basename(source.path) : defaultFiles.dump;
  const appendOnly = (await sizeOf(join(directory, defaultFiles.appendDirectory))) !== undefined;
  return { ...defaultFiles, directory, dump, appendOnly };
}

function warnOfRest({ where }: ServerOnHost, { emit, store }: StoreContext): void {
  const message = `${where} was not running, so nothing has loaded the restored data yet`;
  emit({ type: 'warning', store, message, hint: 'start it' });
}

/** Undefined where nothing can be asked: then the backup says how it was. */
async function hasLog(server: Connection, context: StoreContext): Promise<boolean | undefined> {
  const present = await askPresent(
    () => connect(server, context),
    () => true,
    context,
  );
  return present?.files.appendOnly;
}

const magic = 'REDIS';

/** What is seen without a save; the save before the swap shows the rest. */
async function refuseOtherData({ where }: ServerOnHost, { directory, dump }: HostData, files: DataFiles) {
  const log = join(directory, files.appendDirectory);
  if (files.appendOnly && (await sizeOf(log)) === undefined) {
    throw notItsData(`${where} writes a log, and there is no "${log}"`);
  }
  const isDump = (await sizeOf(dump)) === undefined || (await headOf(dump)) === magic;
  if (!isDump) throw notItsData(`"${dump}" is no dump of a FalkorDB`);
}

async function headOf(path: string): Promise<string> {
  await using file = await open(path);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(magic.length));
  return buffer.toString('latin1', 0, bytesRead);
}

/** Those of the present dump and log; of a server that has none yet, those of its directory. */
async function ownerOf({ directory, dump }: HostData, { appendDirectory }: DataFiles): Promise<Owner> {
  const attributes = (path: string) =>
    stat(path).then(
      ({ uid, gid, mode }) => ({ uid, gid, mode: mode & 0o7777 }),
      () => undefined,
    );
  const present = await attributes(dump);
  const log = await attributes(join(directory, appendDirectory));
  const { uid, gid } = present ?? (await stat(directory));
  return { uid, gid, ...(present && { mode: present.mode }), ...(log && { logMode: log.mode }) };
}

/** Only root can give files away, and the server has to read what is restored. */
async function refuseNoRight(
  { where }: ServerOnHost,
  { directory }: HostData,
  { uid }: Owner,
): Promise<void> {
  const me = process.getuid?.();
  const isAllowed = await access(directory, constants.W_OK).then(
    () => true,
    () => false,
  );
  if (isAllowed && (me === undefined || me === 0 || me === uid)) return;
  throw new PkbackupError(
    'restore_failed',
    `this user may not write the data of ${where} in "${directory}" as the server does; nothing was touched`,
    { hint: 'run pkbackup as root or as the user of the server' },
  );
}

function notItsData(what: string): PkbackupError {
  return new PkbackupError('restore_failed', `${what}; nothing was touched`, {
    hint: 'set data_path of this store to where this machine sees the data directory of that server',
  });
}
