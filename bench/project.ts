// A directory in which pkbackup works: its config file, and the repository `backups` beside it.
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Bench } from './bench.ts';
import type { Figures } from './contest.ts';
import { type Measured, measure, type RunOptions } from './measure.ts';

export interface Project {
  readonly directory: string;
  /** Runs pkbackup in it. */
  pkbackup(...args: string[]): Promise<Measured>;
  /** Removes what the last run has written. */
  clear(): void;
  sizeMb(): number;
}

export function project(
  bench: Bench,
  name: string,
  stores: Readonly<Record<string, object>>,
  settings: object = {},
): Project {
  const directory = bench.fresh(`project-${name}`);
  const config = join(directory, 'pkbackup.yaml');
  writeFileSync(config, JSON.stringify({ ...settings, stores }));
  const repository = join(directory, 'backups');
  const withEngine = Object.values(stores).some((store) => 'volume' in store || 'container' in store);
  return {
    directory,
    pkbackup: (...args) => {
      // Named, because without its config file it would back up whatever containers are here.
      return measure([...bench.pkbackup, '--config', config, ...args], { cwd: directory, withEngine });
    },
    clear: () => rmSync(repository, { recursive: true, force: true }),
    sizeMb: () => megabytesIn(repository),
  };
}

/** Of all files below it. */
export function megabytesIn(path: string): number {
  const files = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return files.reduce((sum, file) => sum + statSync(join(file.parentPath, file.name)).size, 0) / 1e6;
}

/** A command that writes into a directory which is empty each time. */
export function writesInto(
  directory: string,
  command: (out: string) => readonly string[],
  options: RunOptions = {},
): { prepare: () => void; run: () => Promise<Figures> } {
  return {
    prepare: () => {
      rmSync(directory, { recursive: true, force: true });
      mkdirSync(directory, { recursive: true });
    },
    run: async () => ({ ...(await measure(command(directory), options)), sizeMb: megabytesIn(directory) }),
  };
}

/** A pipeline, as people write it: `$1`, `$2` ... are its arguments. */
export function shell(script: string, ...args: string[]): string[] {
  return ['sh', '-c', script, 'sh', ...args];
}
