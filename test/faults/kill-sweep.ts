// Runs the program again and again, killed before its first change to the file system, before its second, and so on, until
// it comes through.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';

const hook = pathToFileURL(join(import.meta.dirname, 'kill-at-file-operation.mjs')).href;

export interface KilledProgram {
  /** Of the program. */
  readonly args: readonly string[];
  readonly cwd: string;
  readonly program: string;
  /** Only changes to what lies below count. */
  readonly below: string;
}

export interface Sweep extends KilledProgram {
  /** Before each run; each starts from the same state. */
  readonly reset: () => void | Promise<void>;
  /** After each run that was killed, and after the last, which was not. */
  readonly inspect: (killedAt: number | undefined) => void | Promise<void>;
}

/** Gives how often the program was killed. */
export async function killSweep(sweep: Sweep): Promise<number> {
  for (let killAt = 1; ; killAt += 1) {
    await sweep.reset();
    if (runKilled(sweep, killAt)) {
      await sweep.inspect(killAt);
      continue;
    }
    await sweep.inspect(undefined);
    return killAt - 1;
  }
}

/** Kills the program before its `killAt`-th change; false where it ended well before that. */
export function runKilled({ args, cwd, program, below }: KilledProgram, killAt: number): boolean {
  const { status, signal, stderr } = spawnSync(process.execPath, ['--import', hook, program, ...args], {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, PKBACKUP_TEST_KILL_AT: String(killAt), PKBACKUP_TEST_KILL_BELOW: below },
  });
  if (signal === 'SIGKILL') return true;
  if (status !== 0) throw new Error(`exit ${status} ${signal ?? ''}: ${stderr}`);
  return false;
}
