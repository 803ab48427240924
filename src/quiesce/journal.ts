// The write-ahead journal of a hold: one file of JSON lines, each on disk before what it announces happens. The first line
// is the plan, the others say how far it has come. The file is removed when everyone runs again.
// A journal is input: somebody else may write to the repository. It names containers that are started or unpaused, and
// nothing else comes of it.
import { createHash, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, readFile, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { asPkbackupError, systemCodeOf } from '../errors.ts';
import { exists, type Owner } from '../owner.ts';
import { syncDirectory } from '../sync-directory.ts';
import type { HoldPhase } from './guard.ts';
import type { Held, HoldPlan } from './plan.ts';

export interface JournalHead {
  readonly version: 1;
  readonly store: string;
  readonly owner: Owner;
  readonly plan: HoldPlan;
}

export interface JournalEntry {
  readonly path: string;
  readonly head: JournalHead;
  /** The last that was noted of each container; those not in it were never touched. */
  readonly phases: ReadonlyMap<string, HoldPhase>;
  /** The process that lets go when the owner dies. */
  readonly watchdog: Owner | undefined;
}

const suffix = '.hold.jsonl';
/** Says whose it is as long as nothing is in it. */
const nameForm = /^\d+-(?<pid>\d+)-(?<host>[0-9a-f]{8})-[0-9a-f]{8}\.hold\.jsonl$/;

function newName(): string {
  return `${Date.now()}-${process.pid}-${hostTag()}-${randomBytes(4).toString('hex')}${suffix}`;
}

/** A name of a host may hold what a name of a file may not. */
function hostTag(): string {
  return createHash('sha256').update(hostname()).digest('hex').slice(0, 8);
}

export class Journal {
  readonly path: string;
  readonly #file: FileHandle;

  private constructor(path: string, file: FileHandle) {
    this.path = path;
    this.#file = file;
  }

  /** Throws `failed` where the journal cannot be written: nothing may be held then. */
  static async begin(directory: string, head: JournalHead): Promise<Journal> {
    const path = join(directory, newName());
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_APPEND;
      const journal = new Journal(path, await open(path, flags, 0o600));
      await journal.#append(head);
      await syncDirectory(directory);
      return journal;
    } catch (error) {
      await rm(path, { force: true }).catch(() => undefined);
      throw asPkbackupError(error, 'failed', `write the journal "${path}"`, 'nothing was held');
    }
  }

  async note(id: string, phase: HoldPhase): Promise<void> {
    await this.#append({ id, phase });
  }

  async watchedBy(watchdog: Owner): Promise<void> {
    await this.#append({ watchdog });
  }

  async remove(): Promise<void> {
    await this.#file.close().catch(() => undefined);
    await rm(this.path, { force: true });
  }

  async #append(line: object): Promise<void> {
    await this.#file.writeFile(`${JSON.stringify(line)}\n`);
    await this.#file.datasync();
  }
}

/** Every journal in `directory`, the oldest first; empty where there is no such directory. */
export async function readJournals(directory: string): Promise<JournalEntry[]> {
  const read = await Promise.all(
    (await namesIn(directory)).map((name) => readJournal(join(directory, name))),
  );
  return read.filter((entry) => entry !== undefined);
}

/** Paths of journals whose process of this host died before it had written the first line: nothing was held under them. */
export async function findUnbegun(directory: string): Promise<string[]> {
  const unbegun: string[] = [];
  for (const name of await namesIn(directory)) {
    const { pid, host } = nameForm.exec(name)?.groups ?? {};
    if (host !== hostTag() || exists(Number(pid))) continue;
    const path = join(directory, name);
    if (!(await readJournal(path))) unbegun.push(path);
  }
  return unbegun;
}

async function namesIn(directory: string): Promise<string[]> {
  const names = await readdir(directory).catch((error: unknown) => {
    if (systemCodeOf(error) === 'ENOENT') return [];
    throw asPkbackupError(error, 'failed', `read the journals in "${directory}"`);
  });
  return names.filter((name) => name.endsWith(suffix)).toSorted();
}

/** Undefined where it is gone, or has no whole first line: then nothing was held under it. */
async function readJournal(path: string): Promise<JournalEntry | undefined> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (systemCodeOf(error) === 'ENOENT') return '';
    throw asPkbackupError(error, 'failed', `read the journal "${path}"`);
  });
  // Without its line feed the last line was cut.
  const [first, ...rest] = text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .map(parseLine);
  const head = headOf(first);
  if (!head) return undefined;
  const phases = new Map<string, HoldPhase>();
  for (const line of rest) if (isNote(line)) phases.set(line.id, line.phase);
  return { path, head, phases, watchdog: rest.map(watchdogOf).find((owner) => owner !== undefined) };
}

export function headOf(line: unknown): JournalHead | undefined {
  const head = line as JournalHead | undefined;
  const isGood =
    head?.version === 1 &&
    typeof head.store === 'string' &&
    typeof head.owner?.pid === 'number' &&
    typeof head.owner.host === 'string' &&
    (head.plan?.mode === 'stop' || head.plan?.mode === 'pause') &&
    typeof head.plan.graceSeconds === 'number' &&
    (head.plan.restoreId === undefined || /^[0-9a-f]{8}$/.test(head.plan.restoreId)) &&
    Array.isArray(head.plan.levels) &&
    head.plan.levels.every((level) => Array.isArray(level) && level.every(isHeld));
  return isGood ? head : undefined;
}

function isHeld(value: unknown): value is Held {
  const held = value as Held | undefined;
  return (
    /^[0-9a-f]{64}$/.test(held?.id ?? '') &&
    typeof held?.name === 'string' &&
    typeof held.startedAt === 'string'
  );
}

export function isNote(line: unknown): line is { id: string; phase: HoldPhase } {
  const note = line as { id?: unknown; phase?: unknown } | undefined;
  return typeof note?.id === 'string' && ['holding', 'held', 'released'].includes(String(note.phase));
}

function watchdogOf(line: unknown): Owner | undefined {
  const { watchdog } = (line ?? {}) as { watchdog?: Partial<Owner> };
  const isGood = typeof watchdog?.pid === 'number' && typeof watchdog.host === 'string';
  return isGood && typeof watchdog.since === 'number' ? (watchdog as Owner) : undefined;
}

export function parseLine(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return undefined;
  }
}
