// How a restore takes the place of files on this host: by renames, in steps that a crash may part and that can all be
// undone. The entries change, the directory around them stays: a process that works in it, or a container that has it
// mounted, sees the restored data, which it would not if the directory itself were replaced.
//
// In the working directory:
//   staged/    what was extracted
//   moving/    the present entries on their way out; renamed to pkbackup-previous/ when the last of them is there
//   pkbackup-previous/  the present entries: from now on, what is in the place came from staged/
//   undone/    what a rollback took out again
import { randomBytes } from 'node:crypto';
import type { Stats } from 'node:fs';
import { chmod, chown, mkdir, open, readdir, readFile, rename, rmdir, stat, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Attributes, attributesOf } from '../archive/pack-parts.ts';
import { pathOf, type RawName, rawEncoding, rawOfText } from '../archive/raw-name.ts';
import { systemCodeOf } from '../errors.ts';
import { syncDirectory } from '../sync-directory.ts';
import { removeTree } from './removal.ts';

export interface SwapPlace {
  /** The directory whose entries are swapped; made where it is missing. */
  readonly directory: string;
  /** On the same file system. */
  readonly workDir: string;
  /** Which entries of the directory belong to the place; the others stay where they are. */
  readonly isPart: (name: RawName) => boolean;
  /** The directory itself gets mode, owner and time of `staged/`. */
  readonly withRoot: boolean;
  /** The first of the directories around the place that are made for it; see `firstMissing`. */
  readonly firstMade?: string | undefined;
}

/** Written before the first rename, so that another process could undo what this one began. */
interface SwapState {
  /** The directory was missing. */
  readonly isMade: boolean;
  readonly before?: Attributes;
  readonly after?: Attributes;
}

/** Names of working directories: hidden, told from each other, and never in a backup. */
export function workNameFor(name: string): string {
  return `.${name}.pkbackup-${randomBytes(4).toString('hex')}`;
}

/** What pkbackup itself may have left or keeps in a directory; never in a backup. */
export function isWorkName(name: string): boolean {
  return /^\.pkbackup(-|$)|^\..+\.pkbackup-[0-9a-f]{8}$/.test(name);
}

/** The steps of one restore; each may be called again. */
export class HostSwap {
  readonly stagedDir: string;
  readonly previousDir: string;
  readonly #place: SwapPlace;

  constructor(place: SwapPlace) {
    this.#place = place;
    this.stagedDir = join(place.workDir, 'staged');
    this.previousDir = join(place.workDir, 'pkbackup-previous');
  }

  /** Makes the working directory; what is staged goes into `stagedDir`, which does not exist yet. */
  async prepare(): Promise<void> {
    const { workDir } = this.#place;
    if (!(await this.#readState())) await removeTree(workDir);
    await mkdir(dirname(workDir), { recursive: true });
    await mkdir(workDir, { mode: 0o700 });
  }

  async swap(): Promise<void> {
    const { directory, workDir } = this.#place;
    const state = await this.#begin();
    if (!(await this.hasPrevious())) {
      const moving = join(workDir, 'moving');
      await mkdir(moving, { recursive: true, mode: 0o700 });
      await move(await this.#present(), directory, moving);
      await rename(moving, this.previousDir);
      if (state.before) await setAttributes(this.previousDir, state.before, { isOursToo: true });
      await syncDirectory(workDir);
    }
    await move(await namesIn(this.stagedDir), this.stagedDir, directory);
    if (state.after) await setAttributes(directory, state.after);
    await syncDirectory(directory);
  }

  /** Also right when nothing, or only a part, was swapped or rolled back before. */
  async rollback(): Promise<void> {
    const { directory, workDir } = this.#place;
    const state = await this.#readState();
    if (state) {
      const moving = join(workDir, 'moving');
      if (await this.hasPrevious()) {
        const undone = join(workDir, 'undone');
        await mkdir(undone, { recursive: true });
        await this.#open();
        await move(await this.#present(), directory, undone);
        // From now on what is in the place is the previous data again.
        await rename(this.previousDir, moving);
      }
      // The other way round: a log that is there before its database would be taken for nobody's.
      await move((await namesIn(moving)).reverse(), moving, directory);
      if (state.before) await setAttributes(directory, state.before);
      if (state.isMade) await rmdir(directory).catch(unlessMissing);
      else await syncDirectory(directory);
    }
    await removeTree(workDir);
    await this.#removeParents();
  }

  async discard(): Promise<void> {
    await removeTree(this.#place.workDir);
  }

  /** Something may have been moved. */
  async hasBegun(): Promise<boolean> {
    return (await this.#readState()) !== undefined;
  }

  async hasPrevious(): Promise<boolean> {
    return (await statOf(this.previousDir)) !== undefined;
  }

  /** Notes what is, before anything is moved. */
  async #begin(): Promise<SwapState> {
    const { directory, workDir, withRoot } = this.#place;
    const known = await this.#readState();
    const present = await statOf(directory);
    const state: SwapState = known ?? {
      isMade: !present,
      ...(withRoot && present ? { before: attributesOf(present) } : {}),
      ...(withRoot ? { after: attributesOf(await stat(this.stagedDir)) } : {}),
    };
    if (!known) await writeState(workDir, state);
    await mkdir(directory, { recursive: true });
    await this.#open();
    return state;
  }

  /** Renaming needs the right to write to the directories, whatever mode they have or get. */
  async #open(): Promise<void> {
    if (!this.#place.withRoot || process.getuid?.() === 0) return;
    for (const path of [this.#place.directory, this.stagedDir]) {
      const stats = await statOf(path);
      if (stats && (stats.mode & 0o700) !== 0o700) await chmod(path, (stats.mode & 0o7777) | 0o700);
    }
  }

  async #present(): Promise<RawName[]> {
    return (await namesIn(this.#place.directory)).filter(this.#place.isPart);
  }

  async #readState(): Promise<SwapState | undefined> {
    try {
      return JSON.parse(await readFile(join(this.#place.workDir, 'state.json'), 'utf8'));
    } catch (error) {
      return unlessMissing(error);
    }
  }

  /** Directories around the place that were made for it, as far as nothing else is in them. */
  async #removeParents(): Promise<void> {
    const { firstMade, workDir } = this.#place;
    if (firstMade === undefined) return;
    for (let path = dirname(workDir); path.length >= firstMade.length; path = dirname(path)) {
      try {
        await rmdir(path);
      } catch (error) {
        if (systemCodeOf(error) !== 'ENOENT') return;
      }
    }
  }
}

/** The first directory on the way to `path` that is not there; undefined where `path` is. */
export async function firstMissing(path: string): Promise<string | undefined> {
  let missing: string | undefined;
  for (let at = path; !(await statOf(at)); at = dirname(at)) missing = at;
  return missing;
}

async function move(names: RawName[], from: string, to: string): Promise<void> {
  if (names.length === 0) return;
  for (const name of names) {
    await rename(pathOf(`${rawOfText(from)}/${name}`), pathOf(`${rawOfText(to)}/${name}`));
  }
  await syncDirectory(to);
}

async function namesIn(directory: string): Promise<RawName[]> {
  try {
    return (await readdir(directory, { encoding: rawEncoding })).sort();
  } catch (error) {
    return unlessMissing(error) ?? [];
  }
}

async function writeState(workDir: string, state: SwapState): Promise<void> {
  const file = await open(join(workDir, 'state.partial'), 'w');
  try {
    await file.writeFile(JSON.stringify(state));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(join(workDir, 'state.partial'), join(workDir, 'state.json'));
  await syncDirectory(workDir);
}

async function setAttributes(
  path: string,
  attributes: Attributes,
  options: { isOursToo?: boolean } = {},
): Promise<void> {
  const isRoot = process.getuid?.() === 0;
  if (isRoot) await chown(path, attributes.uid, attributes.gid);
  const mode = options.isOursToo && !isRoot ? attributes.mode | 0o700 : attributes.mode;
  await chmod(path, mode);
  await utimes(path, attributes.mtime, attributes.mtime);
}

async function statOf(path: string): Promise<Stats | undefined> {
  return stat(path).catch(unlessMissing);
}

function unlessMissing(error: unknown): undefined {
  if (systemCodeOf(error) !== 'ENOENT') throw error;
}
