// Restoring a directory: extracted beside it, then its entries are swapped by renaming. The directory itself stays, and so
// does what the patterns leave out at its top; everything else that was there goes, and is kept until it is discarded.
import { constants } from 'node:fs';
import { access, chmod, chown, lstat, readdir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { hostile } from '../archive/entry-guard.ts';
import { type ExtractNote, extractTree } from '../archive/extract-tree.ts';
import { packTree } from '../archive/pack-tree.ts';
import { pathOf, type RawName, rawEncoding, rawOfText, textOf } from '../archive/raw-name.ts';
import { safePartsOf } from '../archive/safe-name.ts';
import { asPkbackupError, PkbackupError, systemCodeOf } from '../errors.ts';
import type { Counts } from '../words.ts';
import { countTree } from './count-tree.ts';
import { differencesOf } from './counts.ts';
import { freeBytesAt, roomFor } from './free-space.ts';
import { firstMissing, HostSwap, isWorkName, workNameFor } from './host-swap.ts';
import { flushFileSystem, makeFifo } from './host-tools.ts';
import { holdersText, holdersWithin } from './open-files.ts';
import { ownPathsIn, wouldMoveRepository } from './own-repository.ts';
import { patternSchema, type Skip, skipOf } from './patterns.ts';
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

export const schema = z.strictObject({
  path: z.string().min(1),
  include: z.array(patternSchema).min(1).optional(),
  exclude: z.array(patternSchema).optional(),
});

export type DirectoryTarget = z.infer<typeof schema>;

/** The patterns, and never what pkbackup made itself. */
export function selectionOf(target: DirectoryTarget): Skip {
  const skip = skipOf(target);
  return (path, isDirectory) => isWorkName(path.slice(path.lastIndexOf('/') + 1)) || skip(path, isDirectory);
}

export async function planDirectoryRestore(
  target: DirectoryTarget,
  backup: BackupFacts,
  { beside }: { beside: boolean },
  context: StoreContext,
): Promise<DirectoryRestoration> {
  const path = await realpath(target.path).catch(() => target.path);
  const present = await lookAtPlace(path);
  if (beside && present && !present.isEmpty) {
    throw new PkbackupError('restore_failed', `"${path}" is not empty; nothing was touched`, {
      hint: 'name a directory that is empty or does not exist',
    });
  }
  const replaces = present !== undefined && !present.isEmpty;
  const own = await ownPathsIn(path, context);
  const selected = only(backup.only, selectionOf(target));
  const skip: Skip = (each, isDirectory) => own.includes(each) || selected(each, isDirectory);
  if (replaces) await refuseRepositoryWithin(path, selected, context);
  const extent = replaces ? await countTree(path, skip, context.signal) : undefined;
  const freeBytes = await freeBytesAt(path);
  const plan: RestorePlan = {
    target: `directory "${path}"`,
    replaces,
    volumes: [],
    ...(extent ? { presentBytes: extent.bytes, presentCounts: extent.counts } : {}),
    ...roomFor(backup),
    ...(freeBytes === undefined ? {} : { freeBytes }),
  };
  const around = !present || (await hasPlaceBeside(path)) ? dirname(path) : path;
  const made: DirectoryState = {
    path,
    workDir: join(around, workNameFor(basename(path))),
    replaces,
    firstMade: await firstMissing(around),
    kept: [],
  };
  return new DirectoryRestoration(made, plan, selected, backup, context);
}

/** What a backup has nothing of stays, as if the patterns left it out. */
function only(names: readonly string[] | undefined, skip: Skip): Skip {
  if (names === undefined) return skip;
  return (path, isDirectory) => !names.includes(topOf(path)) || skip(path, isDirectory);
}

export async function resumeDirectoryRestore(
  target: DirectoryTarget,
  state: RestoreState,
  backup: BackupFacts,
  context: StoreContext,
): Promise<ResumedRestore> {
  const made = stateSchema.parse(state);
  const plan = { target: `directory "${made.path}"`, replaces: made.replaces, volumes: [] };
  return new DirectoryRestoration(made, plan, selectionOf(target), backup, context);
}

const stateSchema = z.object({
  path: z.string(),
  workDir: z.string().refine((path) => isWorkName(basename(path))),
  replaces: z.boolean(),
  firstMade: z.string().optional(),
  /** Raw names, of one character per byte: JSON keeps them as they are. */
  kept: z.array(z.string()),
});

type DirectoryState = z.infer<typeof stateSchema>;

export class DirectoryRestoration implements Restoration {
  readonly plan: RestorePlan;
  readonly #path: string;
  readonly #skip: Skip;
  readonly #backup: BackupFacts;
  readonly #context: StoreContext;
  readonly #made: DirectoryState;
  readonly #swap: HostSwap;
  #kept: readonly RawName[];
  #stagedNames: readonly RawName[] = [];
  #counts: Counts = {};

  constructor(
    made: DirectoryState,
    plan: RestorePlan,
    skip: Skip,
    backup: BackupFacts,
    context: StoreContext,
  ) {
    const { path, workDir, firstMade, kept } = made;
    this.plan = plan;
    this.#path = path;
    this.#skip = skip;
    this.#backup = backup;
    this.#context = context;
    this.#made = made;
    this.#kept = kept;
    this.#swap = new HostSwap({
      directory: path,
      workDir,
      isPart: (name) => !isWorkName(textOf(name)) && !this.#kept.includes(name),
      withRoot: true,
      firstMade,
    });
  }

  get state(): RestoreState {
    return { ...this.#made, kept: this.#kept };
  }

  /** `fill` makes the directory that it is given, instead of what the content says. */
  async stage(content: Content, fill?: (stagedDir: string) => Promise<void>): Promise<void> {
    try {
      await this.#swap.prepare();
      await (fill ? fill(this.#swap.stagedDir) : this.#extract(content));
      await flushFileSystem(this.#made.workDir);
      const wrong = differencesOf(this.#backup.counts, this.#counts);
      if (wrong.length > 0) throw new PkbackupError('restore_failed', `not all arrived: ${wrong.join('; ')}`);
      this.#stagedNames = await readdir(this.#swap.stagedDir, { encoding: rawEncoding });
      this.#kept = await this.#namesToKeep();
    } catch (error) {
      this.#context.signal.throwIfAborted();
      throw asPkbackupError(error, 'restore_failed', `"${this.#path}" cannot be restored`);
    }
  }

  async swap(): Promise<void> {
    const { holders } = await holdersWithin(this.#path);
    if (holders.length > 0) {
      const message = `${holdersText(holders)} has files open in "${this.#path}", and goes on with those that are replaced`;
      this.#warn(message, 'restart it after the restore');
    }
    await this.#swap.swap();
  }

  async check(): Promise<Counts> {
    const names = new Set(await readdir(this.#path, { encoding: rawEncoding }));
    const missing = this.#stagedNames.filter((name) => !names.has(name));
    if (missing.length === 0) return this.#counts;
    throw new PkbackupError(
      'restore_failed',
      `"${missing.map(textOf).join('", "')}" did not come into place`,
    );
  }

  rollback(): Promise<void> {
    return this.#swap.rollback();
  }

  /** All of it, whatever the patterns say: it is about to be removed. */
  async previous(): Promise<Snapshot | undefined> {
    if (!this.plan.replaces || !(await this.#swap.hasPrevious())) return undefined;
    const counts = { files: 0, directories: 0 };
    return {
      pinnedAt: new Date(),
      counts,
      tar: packTree(this.#swap.previousDir, {
        signal: this.#context.signal,
        onEntry: (isDirectory) => {
          counts[isDirectory ? 'directories' : 'files'] += 1;
        },
      }),
    };
  }

  discard(): Promise<void> {
    return this.#swap.discard();
  }

  async #extract(content: Content): Promise<void> {
    const { signal } = this.#context;
    const { rawSizeBytes: totalBytes } = this.#backup;
    const lost = new Map<ExtractNote, number>();
    let hasRoot = false;
    const { files, directories } = await extractTree(content.tar(), this.#swap.stagedDir, {
      signal,
      makeFifo,
      flushEach: process.platform === 'win32',
      ...(totalBytes === undefined ? {} : { limitBytes: totalBytes }),
      only: (entry) => {
        const [top] = safePartsOf(entry.path);
        hasRoot ||= top === undefined;
        if (top !== undefined && isWorkName(textOf(top)))
          throw hostile(entry, 'is a name that pkbackup uses itself');
        return true;
      },
      onNote: (_, what) => lost.set(what, (lost.get(what) ?? 0) + 1),
      onProgress: stagingProgress(this.#context, totalBytes),
    });
    this.#counts = { files, directories };
    for (const [what, count] of lost) this.#warn(`${count} ${noteTexts[what]}`);
    if (!hasRoot) await this.giveRootAttributes();
  }

  /** An archive that says nothing of the directory itself leaves it as it is. */
  async giveRootAttributes(): Promise<void> {
    const present = await stat(this.#path).catch(() => undefined);
    await chmod(this.#swap.stagedDir, present ? present.mode & 0o7777 : 0o755);
    if (present && process.getuid?.() === 0) await chown(this.#swap.stagedDir, present.uid, present.gid);
  }

  /** What is at the top and in which nothing belongs to the store, unless the backup brings it. */
  async #namesToKeep(): Promise<RawName[]> {
    const kept: RawName[] = [];
    const own = (await ownPathsIn(this.#path, this.#context)).map((path) => rawOfText(topOf(path)));
    for (const name of await namesIn(this.#path)) {
      const isStaged = this.#stagedNames.includes(name);
      if (own.includes(name) && isStaged) throw wouldMoveRepository(this.#path, this.#context);
      if (own.includes(name) || (!isStaged && !(await this.#isSelected(name)))) kept.push(name);
    }
    return kept;
  }

  #isSelected(name: RawName): Promise<boolean> {
    return isSelected(this.#path, name, this.#skip, this.#context.signal);
  }

  #warn(message: string, hint?: string): void {
    this.#context.emit({ type: 'warning', store: this.#context.store, message, ...(hint ? { hint } : {}) });
  }
}

const noteTexts: Record<ExtractNote, string> = {
  owner: 'entries belong to you now: only root can give them their owners',
  fifo: 'fifos were left out: this system cannot make them',
  'extended-attributes': 'entries have lost their extended attributes (ACLs, labels)',
};

/** Whether anything of an entry at the top belongs to the store. */
async function isSelected(
  directory: string,
  name: RawName,
  skip: Skip,
  signal: AbortSignal,
): Promise<boolean> {
  const path = pathOf(`${rawOfText(directory)}/${name}`);
  const verdict = skip(textOf(name), (await lstat(path)).isDirectory());
  if (verdict !== 'descend') return !verdict;
  const below: Skip = (relative, isDirectory) => skip(`${textOf(name)}/${relative}`, isDirectory);
  const { counts } = await countTree(join(directory, textOf(name)), below, signal);
  return counts.files + counts.directories > 0;
}

const topOf = (path: string): string => path.split('/')[0] ?? path;

/** At the top of the directory it can stay where it is; deeper, it would go with what is around it. */
async function refuseRepositoryWithin(path: string, skip: Skip, context: StoreContext): Promise<void> {
  for (const own of await ownPathsIn(path, { repositoryDir: context.repositoryDir })) {
    const top = topOf(own);
    const isDeeper =
      own === '' || (own !== top && (await isSelected(path, rawOfText(top), skip, context.signal)));
    if (isDeeper) throw wouldMoveRepository(path, context);
  }
}

async function lookAtPlace(path: string): Promise<{ isEmpty: boolean } | undefined> {
  try {
    const names = await readdir(path);
    return { isEmpty: names.every(isWorkName) };
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === 'ENOENT') return undefined;
    if (code !== 'ENOTDIR') throw asPkbackupError(error, 'restore_failed', `"${path}" cannot be restored to`);
    throw new PkbackupError('restore_failed', `"${path}" is not a directory; nothing was touched`);
  }
}

/** Renaming needs one file system and the right to write; neither a mount point nor a stranger's directory gives it. */
async function hasPlaceBeside(path: string): Promise<boolean> {
  const [own, parent] = await Promise.all([stat(path), stat(dirname(path))]);
  if (own.dev !== parent.dev || (await isMountPoint(path))) return false;
  return access(dirname(path), constants.W_OK).then(
    () => true,
    () => false,
  );
}

/** Also a bind mount, which has the device of the directory around it. */
async function isMountPoint(path: string): Promise<boolean> {
  if (process.platform !== 'linux') return false;
  const table = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '');
  const escaped = path.replace(/[ \t\n\\]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`);
  return table.split('\n').some((line) => line.split(' ')[4] === escaped);
}

async function namesIn(path: string): Promise<RawName[]> {
  return readdir(path, { encoding: rawEncoding }).catch((error) => {
    if (systemCodeOf(error) === 'ENOENT') return [];
    throw error;
  });
}
