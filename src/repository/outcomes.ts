// What came of the last run, for each store and for each command: so that a recovery can be told from a success, and
// failures can be counted. Backups say nothing of runs that made none. It is written only where a repository is in use, never
// into the empty directory of a disk that is not mounted; and where it is lost, nothing but that is lost.
import { lstat, mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { systemCodeOf } from '../errors.ts';
import { writeDurably } from './durable.ts';
import { isStoreName } from './naming.ts';

const outcome = z.looseObject({
  type: z.literal('pkbackup-outcome'),
  schema_version: z.literal(1),
  /** ISO 8601, UTC. */
  at: z.iso.datetime({ offset: true }),
  ok: z.boolean(),
  /** Of the first failure since it was good the last time. */
  failed_since: z.iso.datetime({ offset: true }).optional(),
  failures_total: z.int().nonnegative(),
  /** Since it was good the last time. */
  failures_in_a_row: z.int().nonnegative().optional(),
  duration_ms: z.number().nonnegative().optional(),
  error: z.string().optional(),
});

export type Outcome = z.infer<typeof outcome>;

/** Of a command (`backup`, `verify` ...) as a whole, or for one store. */
export interface OutcomeKey {
  readonly operation: string;
  readonly store?: string;
}

export interface OutcomeFiles {
  /** Undefined where nothing is known. */
  read(key: OutcomeKey): Promise<Outcome | undefined>;
  /** Of each store that has one. */
  ofStores(operation: string): Promise<Map<string, Outcome>>;
  /** Does nothing where the repository is not in use. */
  write(key: OutcomeKey, outcome: Outcome): Promise<void>;
}

const suffix = '.json';

export function outcomeFilesIn(directory: string): OutcomeFiles {
  const own = join(directory, '.pkbackup');
  const outcomes = join(own, 'outcomes');
  const nameOf = ({ operation, store }: OutcomeKey) =>
    `${operation}${store === undefined ? '' : `.${store}`}${suffix}`;
  const read = async (name: string) => parse(await textOf(join(outcomes, name)));
  return {
    read: (key) => read(nameOf(key)),
    async ofStores(operation) {
      const start = `${operation}.`;
      const found = new Map<string, Outcome>();
      for (const name of await namesIn(outcomes)) {
        const store = name.slice(start.length, -suffix.length);
        if (!name.startsWith(start) || !name.endsWith(suffix) || !isStoreName(store)) continue;
        const one = await read(name);
        if (one) found.set(store, one);
      }
      return found;
    },
    async write(key, value) {
      const stats = await lstat(own).catch(() => undefined);
      if (!stats?.isDirectory()) return;
      await mkdir(outcomes, { recursive: true, mode: 0o700 });
      await writeDurably(join(outcomes, nameOf(key)), `${JSON.stringify(value)}\n`);
    },
  };
}

/** What cannot be read is as if it were not there. */
function parse(text: string | undefined): Outcome | undefined {
  try {
    return outcome.safeParse(JSON.parse(text ?? '')).data;
  } catch {
    return undefined;
  }
}

async function textOf(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch(() => undefined);
}

async function namesIn(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return [];
    throw error;
  }
}
