// What runs that are dead have left in a repository, found without touching anything: no lock is taken, so nobody who starts
// at this moment meets one. `heal` and `recover` look again, under locks, before they do anything.
import { readdir, readFile, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, join } from 'node:path';
import { isAlive, type Owner } from '../owner.ts';
import { journalDirectoryOf } from './journal-files.ts';
import { isPartialName, stemOfPartial } from './naming.ts';
import { findDeadScratch } from './scratch.ts';

export interface Remains {
  /** Files of backups that were never finished, and scratch directories. */
  readonly unfinished: readonly string[];
  /** Journals: somebody may be held, or a restore or a drill broken off. */
  readonly journals: readonly string[];
}

/** Whoever writes from another host cannot be asked; a file that has not grown for so long is nobody's. */
const idleMs = 3600 * 1000;

export async function findRemains(directory: string): Promise<Remains> {
  const [partials, scratch, journals] = await Promise.all([
    deadPartials(directory),
    findDeadScratch(directory),
    deadJournals(journalDirectoryOf(directory)),
  ]);
  return { unfinished: [...partials, ...scratch.map((path) => basename(path))], journals };
}

async function deadPartials(directory: string): Promise<string[]> {
  const names = (await namesIn(directory)).filter((name) => stemOfPartial(name) !== undefined);
  const isLeft = await Promise.all(names.map((name) => isDead(directory, name)));
  return names.filter((_, index) => isLeft[index]);
}

/** Who took the lock of its store last is who writes it. */
async function isDead(directory: string, name: string): Promise<boolean> {
  const { store = '' } = stemOfPartial(name) ?? {};
  const holder = join(directory, '.pkbackup', 'locks', `${store}.lock.holder.json`);
  const said = parse(await readFile(holder, 'utf8').catch(() => ''));
  const { pid, host, since } = Object(said) as Record<string, unknown>;
  if (host === hostname() && typeof pid === 'number' && typeof since === 'string') {
    return !isAlive({ host, pid, since: Date.parse(since) });
  }
  const stats = await stat(join(directory, name)).catch(() => undefined);
  return stats !== undefined && Date.now() - stats.mtimeMs > idleMs;
}

/** One that cannot be read says nothing of who wrote it; of a hold, the first line does, and nothing is held before that. */
async function deadJournals(directory: string): Promise<string[]> {
  const names = (await namesIn(directory)).filter((name) => /\.jsonl?$/.test(name) && !isPartialName(name));
  const found = await Promise.all(
    names.map(async (name) => {
      const text = await readFile(join(directory, name), 'utf8').catch(() => undefined);
      const isOfHold = name.endsWith('.jsonl');
      const said = parse(isOfHold ? text?.split('\n')[0] : text);
      const owner = asOwner(Object(said).owner);
      // It has ended meanwhile, or has held nobody.
      if (text === undefined || (owner === undefined && isOfHold)) return [];
      return owner !== undefined && isAlive(owner) ? [] : [name];
    }),
  );
  return found.flat().sort();
}

function asOwner(said: unknown): Owner | undefined {
  const { host, pid, since, startTime } = Object(said) as Partial<Owner>;
  if (typeof host !== 'string' || typeof pid !== 'number') return undefined;
  const known = { host, pid, since: typeof since === 'number' ? since : 0 };
  return typeof startTime === 'string' ? { ...known, startTime } : known;
}

function parse(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '');
  } catch {
    return undefined;
  }
}

/** What cannot be read is found by those who act on it. */
async function namesIn(path: string): Promise<string[]> {
  return readdir(path).catch(() => []);
}
