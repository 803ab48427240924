// The data directory of a ChromaDB that runs on this host without Docker, or does not run at all. Its files are good only
// when no server has them open: a server that has is not stopped by us, so it is found and refused, before and after.
import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, realpath, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packTree } from '../../archive/pack-tree.ts';
import { messageOf, PkbackupError, systemCodeOf } from '../../errors.ts';
import type { Counts } from '../../words.ts';
import { databaseFiles, databaseName, readChromaFiles } from '../chromadb-files.ts';
import { FilePicker } from '../copied-files.ts';
import { countTree } from '../count-tree.ts';
import { differencesOf } from '../counts.ts';
import { planDirectoryRestore, resumeDirectoryRestore } from '../directory-restore.ts';
import { type Holder, holdersOfFile, holdersText, holdersWithin } from '../open-files.ts';
import type { BackupFacts, Look, Restoration, RestoreState, Snapshot, StoreContext } from '../store.ts';

export interface DirectoryTarget {
  readonly path: string;
}

export function isDirectory<Target extends { path?: string | undefined }>(
  target: Target | undefined,
): target is Target & DirectoryTarget {
  return target?.path !== undefined;
}

/** Larger databases are not counted before they are copied: people wait for it. */
const countedBytes = 64 * 1024 * 1024;

export async function lookAtDirectory({ path }: DirectoryTarget, context: StoreContext): Promise<Look> {
  const sizeBytes = await databaseSize(path);
  if (sizeBytes === undefined) {
    throw new PkbackupError('not_found', `there is no ${databaseName} in "${path}"`, {
      hint: 'set path of this store to the data directory of the server (its persist directory)',
    });
  }
  await refuseOpen(path, context, 'backup_failed');
  const { bytes } = await countTree(path, () => false, context.signal);
  const present = await countPresent(path, context);
  return {
    source: { path },
    counts: present ?? {},
    estimatedBytes: bytes,
    volumes: [],
    isEmpty: present?.collections === 0,
  };
}

export async function snapshotOfDirectory(
  { path }: DirectoryTarget,
  context: StoreContext,
): Promise<Snapshot> {
  const { signal, scratchDir } = context;
  await refuseOpen(path, context, 'backup_failed');
  const directory = join(scratchDir, `copied-${randomBytes(4).toString('hex')}`);
  const picker = new FilePicker(directory, databaseFiles);
  let changed: string | undefined;
  const packed = packTree(path, { signal, onChanged: (name) => (changed ??= name) });
  async function* tar(): AsyncGenerator<Buffer> {
    yield* picker.tap(packed);
    if (changed !== undefined) {
      throw new PkbackupError('backup_failed', `"${changed}" changed while "${path}" was read`, {
        hint: 'stop the server before the backup, for example with hooks of this store',
      });
    }
    await refuseOpen(path, { ...context, emit: () => undefined }, 'backup_failed');
  }
  return {
    pinnedAt: new Date(),
    tar: tar(),
    get counts() {
      return countsOf(directory);
    },
  };
}

export async function planRestoreToDirectory(
  target: DirectoryTarget,
  backup: BackupFacts,
  options: { beside: boolean },
  context: StoreContext,
): Promise<Restoration> {
  const { path } = target;
  await refuseOpen(path, context, 'restore_failed');
  // A directory counts files.
  const restoration = await planDirectoryRestore({ path }, { ...backup, counts: {} }, options, context);
  const presentCounts = restoration.plan.replaces ? await countPresent(path, context) : undefined;
  const { presentCounts: _files, ...plan } = restoration.plan;
  const swap = restoration.swap.bind(restoration);
  const previous = restoration.previous.bind(restoration);
  return Object.assign(restoration, {
    plan: { ...plan, ...(presentCounts && { presentCounts }) },
    async swap() {
      await refuseOpen(path, { ...context, emit: () => undefined }, 'restore_failed');
      await swap();
    },
    check: () => checkRestored(path, backup, context),
    async previous() {
      const snapshot = await previous();
      return snapshot && { ...snapshot, counts: presentCounts ?? {} };
    },
  });
}

export const resumeRestoreToDirectory = (
  { path }: DirectoryTarget,
  state: RestoreState,
  backup: BackupFacts,
  context: StoreContext,
) => resumeDirectoryRestore({ path }, state, { ...backup, counts: {} }, context);

async function checkRestored(path: string, backup: BackupFacts, context: StoreContext): Promise<Counts> {
  const counts = await countCopy(path, context);
  const [difference] = differencesOf(backup.counts, counts);
  if (difference !== undefined) throw new PkbackupError('restore_failed', `"${path}": ${difference}`);
  const { emit, store } = context;
  emit({
    type: 'step',
    store,
    message: 'no server runs on the restored data, so its files alone were counted',
  });
  return counts;
}

async function databaseSize(path: string): Promise<number | undefined> {
  try {
    return (await stat(join(path, databaseName))).size;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCodeOf(error) ?? '')) return undefined;
    throw new PkbackupError('failed', `"${path}" cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

/** Throws `code` where a process has the files open; says where that cannot be seen. */
async function refuseOpen(
  path: string,
  { emit, store }: Pick<StoreContext, 'emit' | 'store'>,
  code: 'backup_failed' | 'restore_failed',
): Promise<void> {
  if ((await databaseSize(path)) === undefined) return;
  const real = await realpath(path);
  const [ofFile, within] = [await holdersOfFile(join(real, databaseName)), await holdersWithin(real)];
  const holders = [...ofFile.holders, ...within.holders.filter(({ pid }) => !isAmong(ofFile.holders, pid))];
  if (holders.length > 0) {
    throw new PkbackupError(code, `${holdersText(holders)} has "${path}" open; nothing was touched`, {
      hint: 'stop the server first (hooks of this store can), or save a server that runs by its url',
    });
  }
  if (ofFile.isComplete) return;
  const message = `whether a server has "${path}" open cannot be seen here: it MUST be stopped`;
  emit({ type: 'warning', store, message, hint: 'on Linux root sees it' });
}

const isAmong = (holders: readonly Holder[], pid: number): boolean => holders.some((one) => one.pid === pid);

/** Undefined where there is none, or it is too large to wait for. */
async function countPresent(path: string, context: StoreContext): Promise<Counts | undefined> {
  const sizeBytes = await databaseSize(path);
  return sizeBytes === undefined || sizeBytes > countedBytes ? undefined : countCopy(path, context);
}

/** Of a copy: opening the database itself would roll back what was not finished, and leave files. */
async function countCopy(path: string, { scratchDir }: StoreContext): Promise<Counts> {
  const parent = scratchDir || tmpdir();
  await mkdir(parent, { recursive: true });
  const directory = await mkdtemp(join(parent, 'pkbackup-look-'));
  try {
    for (const name of databaseFiles) {
      await copyFile(join(path, name), join(directory, name)).catch((error) => {
        if (systemCodeOf(error) !== 'ENOENT') throw error;
      });
    }
    return countsOf(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function countsOf(directory: string): Counts {
  try {
    return readChromaFiles(directory).counts;
  } catch (error) {
    throw new PkbackupError('failed', `${databaseName} cannot be read: ${messageOf(error)}`, {
      hint: 'the data is damaged, or the server did not stop cleanly; see its log',
      cause: error,
    });
  }
}
