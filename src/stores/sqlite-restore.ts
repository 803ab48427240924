// Restoring an SQLite database: extracted and checked beside the present one, then swapped by renaming, its log and
// journal with it. Nobody may have it open meanwhile: a process would go on writing to the file that was moved away,
// and the next one would mix its log with the restored database.
import { chmod, chown, lstat, mkdir, open, realpath, rename, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { extractTree } from '../archive/extract-tree.ts';
import { packFiles } from '../archive/pack-files.ts';
import { attributesOf } from '../archive/pack-parts.ts';
import { rawOfText } from '../archive/raw-name.ts';
import { asPkbackupError, PkbackupError, systemCodeOf } from '../errors.ts';
import type { Counts } from '../words.ts';
import { differencesOf } from './counts.ts';
import { freeBytesAt, roomFor } from './free-space.ts';
import { firstMissing, HostSwap, isWorkName, workNameFor } from './host-swap.ts';
import { holdersOfFile, holdersText } from './open-files.ts';
import { inspectDatabase, SqliteError, tryExclusive } from './sqlite-database.ts';
import { sidecarSuffixes, sizeOf } from './sqlite-file.ts';
import { findDatabaseIn, type SqliteTarget, takeSnapshot } from './sqlite-snapshot.ts';
import { stagingProgress } from './staging-progress.ts';
import type {
  BackupFacts,
  Content,
  Restoration,
  RestorePlan,
  RestoreState,
  ResumedRestore,
  Snapshot,
  StoreContext,
} from './store.ts';

/** Larger databases are not counted for the plan: people wait for it. */
const countedBytes = 1024 ** 3;

export async function planSqliteRestore(
  target: SqliteTarget,
  backup: BackupFacts,
  options: { beside: boolean; holdsClients?: boolean },
  context: StoreContext,
): Promise<Restoration> {
  // Renaming has to happen where the file is, not where a link to it is.
  const path = await realpath(target.path).catch(() => target.path);
  const isThere = await isPlaceTaken(path);
  if (isThere && options.beside) {
    throw new PkbackupError('restore_failed', `"${path}" is there already; nothing was touched`, {
      hint: 'name a file that does not exist',
    });
  }
  if (isThere && !options.holdsClients) await refuseHolders(path);
  const freeBytes = await freeBytesAt(dirname(path));
  const presentCounts = isThere ? await countPresent(path, context.signal) : undefined;
  const plan: RestorePlan = {
    target: `file "${path}"`,
    replaces: isThere,
    volumes: [],
    ...(isThere ? { presentBytes: await presentBytesAt(path) } : {}),
    ...(presentCounts ? { presentCounts } : {}),
    ...roomFor(backup),
    ...(freeBytes === undefined ? {} : { freeBytes }),
  };
  const directory = dirname(path);
  const made: SqliteState = {
    path,
    workDir: join(directory, workNameFor(basename(path))),
    replaces: isThere,
    firstMade: await firstMissing(directory),
  };
  return new SqliteRestoration(made, plan, backup, context);
}

export async function resumeSqliteRestore(
  _target: SqliteTarget,
  state: RestoreState,
  backup: BackupFacts,
  context: StoreContext,
): Promise<ResumedRestore> {
  const made = stateSchema.parse(state);
  const plan = { target: `file "${made.path}"`, replaces: made.replaces, volumes: [] };
  return new SqliteRestoration(made, plan, backup, context, { isResumed: true });
}

const stateSchema = z.object({
  path: z.string(),
  workDir: z.string().refine((path) => isWorkName(basename(path))),
  replaces: z.boolean(),
  firstMade: z.string().optional(),
});

type SqliteState = z.infer<typeof stateSchema>;

class SqliteRestoration implements Restoration {
  readonly plan: RestorePlan;
  readonly state: SqliteState;
  readonly #path: string;
  readonly #name: string;
  readonly #backup: BackupFacts;
  readonly #context: StoreContext;
  readonly #workDir: string;
  readonly #isResumed: boolean;
  readonly #swap: HostSwap;
  #staged: { counts: Counts; mtimeMs: number; size: number } | undefined;

  constructor(
    state: SqliteState,
    plan: RestorePlan,
    backup: BackupFacts,
    context: StoreContext,
    { isResumed = false } = {},
  ) {
    const { path, workDir, firstMade } = state;
    this.plan = plan;
    this.state = state;
    this.#path = path;
    this.#name = basename(path);
    this.#backup = backup;
    this.#context = context;
    this.#workDir = workDir;
    this.#isResumed = isResumed;
    const parts = ['', ...sidecarSuffixes].map((suffix) => rawOfText(`${this.#name}${suffix}`));
    this.#swap = new HostSwap({
      directory: dirname(path),
      workDir: this.#workDir,
      isPart: (name) => parts.includes(name),
      withRoot: false,
      firstMade,
    });
  }

  async stage(content: Content): Promise<void> {
    const { signal } = this.#context;
    const { rawSizeBytes } = this.#backup;
    try {
      await this.#swap.prepare();
      const extracted = join(this.#workDir, 'extracted');
      await extractTree(content.tar(), extracted, {
        signal,
        ...(rawSizeBytes === undefined ? {} : { limitBytes: rawSizeBytes }),
        onProgress: stagingProgress(this.#context, rawSizeBytes),
      });
      const staged = join(this.#swap.stagedDir, this.#name);
      await mkdir(this.#swap.stagedDir, { mode: 0o700 });
      await rename(await findDatabaseIn(extracted, signal), staged);
      await this.#takeAttributes(staged);
      await syncFile(staged);
      const counts = await this.#refuseUnsound(staged, false);
      const { mtimeMs, size } = await stat(staged);
      this.#staged = { counts, mtimeMs, size };
    } catch (error) {
      signal.throwIfAborted();
      throw asPkbackupError(error, 'restore_failed', `"${this.#path}" cannot be restored`);
    }
  }

  async swap(): Promise<void> {
    if (!(await this.#swap.hasPrevious())) await this.#refuseUsers();
    await this.#swap.swap();
  }

  async check(): Promise<Counts> {
    // Somebody may use it again by now; then it may hold more than the backup, but it has to be sound.
    const { mtimeMs, size } = await stat(this.#path);
    const hasLog = (await sizeOf(`${this.#path}-wal`)) !== undefined;
    const isUntouched = !hasLog && mtimeMs === this.#staged?.mtimeMs && size === this.#staged.size;
    return this.#refuseUnsound(this.#path, !isUntouched);
  }

  async rollback(): Promise<void> {
    if (this.#isResumed && (await this.#swap.hasBegun())) await this.#refuseLateUsers();
    await this.#swap.rollback();
  }

  async previous(): Promise<Snapshot | undefined> {
    const path = join(this.#swap.previousDir, this.#name);
    if ((await sizeOf(path)) === undefined) return undefined;
    try {
      const snapshot = await takeSnapshot({ path }, this.#name, this.#context);
      const [finding] = snapshot.inspected.findings;
      if (finding === undefined) return snapshot;
      await snapshot.dispose();
    } catch (error) {
      if (!(error instanceof PkbackupError) || this.#context.signal.aborted) throw error;
    }
    return this.#damagedPrevious(path);
  }

  async discard(): Promise<void> {
    await this.#swap.discard();
  }

  /** It was replaced because it is broken, perhaps; then it is kept just as it is, for somebody who can repair it. */
  async #damagedPrevious(path: string): Promise<Snapshot> {
    const files = [{ name: this.#name, path }];
    for (const suffix of ['-wal', '-journal']) {
      if (await sizeOf(`${path}${suffix}`)) {
        files.push({ name: `${this.#name}${suffix}`, path: `${path}${suffix}` });
      }
    }
    return {
      pinnedAt: new Date(),
      tar: packFiles(files, { signal: this.#context.signal }),
      notes: () => ['the previous database is damaged, and was kept as it was'],
    };
  }

  async #refuseUsers(): Promise<void> {
    const path = this.#path;
    if ((await sizeOf(path)) === undefined) return;
    const isComplete = await refuseHolders(path);
    if (isComplete) return;
    // A database that SQLite cannot open holds nobody up.
    const isFree = await tryExclusive(path, this.#context.signal).catch((error) => {
      if (error instanceof SqliteError) return true;
      throw error;
    });
    if (!isFree) throw inUse(path, 'another process');
  }

  /** After a crash somebody may have opened what is there, and would write its journal beside the database put back. */
  async #refuseLateUsers(): Promise<void> {
    if ((await sizeOf(this.#path)) === undefined) return;
    const { holders } = await holdersOfFile(this.#path);
    if (holders.length === 0) return;
    throw new PkbackupError(
      'restore_failed',
      `"${this.#path}" is open in ${holdersText(holders)}; the previous database is in "${this.#workDir}"`,
      { hint: 'stop what uses it, then run pkbackup recover' },
    );
  }

  async #refuseUnsound(path: string, isLive: boolean): Promise<Counts> {
    const { signal, emit, store } = this.#context;
    emit({ type: 'step', store, message: 'checking the database' });
    const { findings, notChecked, counts } = await inspectDatabase(path, { isLive, signal });
    for (const each of notChecked) emit({ type: 'warning', store, message: `not checked: ${each}` });
    const wrong = [...findings, ...(isLive ? [] : differencesOf(this.#backup.counts, counts))];
    if (wrong.length === 0) return counts;
    throw new PkbackupError(
      'restore_failed',
      `the restored database is not sound: ${wrong.slice(0, 3).join('; ')}`,
    );
  }

  /** Owner and mode of the present database; those in the archive where there is none. */
  async #takeAttributes(staged: string): Promise<void> {
    if (!this.plan.replaces) return;
    const { uid, gid, mode } = attributesOf(await stat(this.#path));
    if (process.getuid?.() === 0) await chown(staged, uid, gid);
    await chmod(staged, mode);
  }
}

async function isPlaceTaken(path: string): Promise<boolean> {
  try {
    const stats = await lstat(path);
    if (stats.isFile()) return true;
    const what = stats.isDirectory() ? 'a directory' : 'no plain file';
    throw new PkbackupError('restore_failed', `"${path}" is ${what}, expected a database file`, {
      hint: 'name the file to restore to',
    });
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return false;
    throw asPkbackupError(error, 'restore_failed', `"${path}" cannot be restored to`);
  }
}

/** Whether all processes could be looked into. */
async function refuseHolders(path: string): Promise<boolean> {
  const { holders, isComplete } = await holdersOfFile(path);
  if (holders.length > 0) throw inUse(path, holdersText(holders));
  return isComplete;
}

function inUse(path: string, by: string): PkbackupError {
  return new PkbackupError(
    'restore_failed',
    `"${path}" is open in ${by}; the present database is untouched`,
    {
      hint: 'stop what uses it, then restore again; or restore beside it with --to FILE',
    },
  );
}

async function countPresent(path: string, signal: AbortSignal): Promise<Counts | undefined> {
  if ((await presentBytesAt(path)) > countedBytes) return undefined;
  const isLive = (await sizeOf(`${path}-wal`)) !== undefined;
  try {
    const { counts, findings } = await inspectDatabase(path, { isLive, countsOnly: true, signal });
    return findings.length === 0 ? counts : undefined;
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

async function presentBytesAt(path: string): Promise<number> {
  return ((await sizeOf(path)) ?? 0) + ((await sizeOf(`${path}-wal`)) ?? 0);
}

async function syncFile(path: string): Promise<void> {
  // Windows flushes only what may be written; elsewhere a read-only file must do.
  const file = await open(path, process.platform === 'win32' ? 'r+' : 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
