// What every scenario is given: how large and how often, where to put things, the built program, and which peers are here.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { buildInto } from '../scripts/build.ts';
import { type Contest, type Contestant, type ContestOptions, contest } from './contest.ts';
import { type Claim, reportLines } from './report.ts';

export interface Bench {
  /** Gigabytes of the large data sets. */
  readonly size: number;
  readonly runs: number;
  /** Below it, data sets are kept from one call to the next. */
  readonly directory: string;
  /** The command line of pkbackup as it is published. */
  readonly pkbackup: readonly string[];
  say(line: string): void;
  /** Whether a program is here; where it is not, that is said once. */
  has(program: string): boolean;
  /** An empty directory. */
  fresh(name: string): string;
  /** Runs the contest and prints its table. */
  compare(
    title: string,
    contestants: readonly Contestant[],
    claims: readonly Claim[],
    options?: Pick<ContestOptions, 'warmUps' | 'tree'>,
  ): Promise<Contest>;
}

export interface Scenario {
  /** One line for `--help`. */
  readonly what: string;
  run(bench: Bench): Promise<void>;
}

const root = join(import.meta.dirname, '..');

export async function openBench(options: { size: number; runs: number }): Promise<Bench> {
  const directory = join(root, '.testbed', 'bench');
  mkdirSync(directory, { recursive: true });
  const pkbackup = await publish(join(directory, 'pkbackup'));
  const missing = new Set<string>();
  const say = (line: string) => process.stderr.write(`${line}\n`);
  return {
    ...options,
    directory,
    pkbackup,
    say,
    has(program) {
      if (isHere(program)) return true;
      if (!missing.has(program)) say(`${program} is not here: goes on without (apt-get install ${program})`);
      missing.add(program);
      return false;
    },
    fresh(name) {
      const path = join(directory, 'out', name);
      rmSync(path, { recursive: true, force: true });
      mkdirSync(path, { recursive: true });
      return path;
    },
    async compare(title, contestants, claims, more = {}) {
      say(title);
      const result = await contest(contestants, { runs: options.runs, say, ...more });
      process.stdout.write(`${reportLines(title, result, claims).join('\n')}\n`);
      return result;
    },
  };
}

/** Laid out as npm does it, with the Node that runs this. */
async function publish(directory: string): Promise<string[]> {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  for (const part of ['bin', 'package.json'])
    cpSync(join(root, part), join(directory, part), { recursive: true });
  await buildInto(join(directory, 'dist'));
  return [process.execPath, join(directory, 'bin', 'pkbackup.js')];
}

function isHere(program: string): boolean {
  try {
    execFileSync('sh', ['-c', 'command -v "$1"', 'sh', program], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** A data set that is made once; `make` fills a directory that is empty. */
export function dataSet(bench: Bench, name: string, make: (directory: string) => void): string {
  const path = join(bench.directory, 'data', name);
  const done = `${path}.done`;
  if (existsSync(done)) return path;
  bench.say(`makes the data set ${name}`);
  rmSync(path, { recursive: true, force: true });
  mkdirSync(path, { recursive: true });
  make(path);
  writeFileSync(done, '');
  return path;
}
