// What programs of the user's have in common that hold something outside Docker and let it go: how they are run, what is said
// of one that failed, and what tells the next command that the run behind them is dead.
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CommandLine } from '../config/types.ts';
import type { Emit } from '../events.ts';
import { isAlive, type Owner } from '../owner.ts';
import { type ProgramEnd, runProgram } from '../process.ts';
import { withoutSecrets } from '../secret.ts';

export interface UserProgram {
  /** Its key in the config file, for people. */
  readonly key: string;
  readonly command: CommandLine;
  /** Beside our own variables, without their secrets. */
  readonly variables: Readonly<Record<string, string>>;
  /** For events. */
  readonly store?: string;
  /** Called with its process id as soon as it runs. */
  readonly onStart?: (pid: number) => void;
}

const attempts = 3;
const betweenMs = 1000;

/** Each line that it says becomes a step. */
export function runUserProgram(
  emit: Emit,
  { key, command: { argv, cwd, deadlineMs }, variables, store, onStart }: UserProgram,
  signal?: AbortSignal,
): Promise<ProgramEnd> {
  return runProgram(argv, {
    cwd,
    deadlineMs,
    signal,
    ...(onStart ? { onStart } : {}),
    environment: { ...withoutSecrets(process.env), ...variables },
    onLine: (line) => {
      if (line.trim() === '') return;
      emit({ type: 'step', message: `${key}: ${line}`, ...(store === undefined ? {} : { store }) });
    },
  });
}

/** A few times, and not cut short by a signal; undefined where it has done what it is for, which `isDone` may know better. */
export async function insist(
  emit: Emit,
  program: UserProgram,
  isDone: () => Promise<boolean> = async () => false,
): Promise<ProgramEnd | undefined> {
  for (let attempt = 1; ; attempt += 1) {
    const end = await runUserProgram(emit, program);
    if (end.exitCode === 0 || (await isDone())) return undefined;
    if (attempt >= attempts) return end;
    await sleep(betweenMs);
  }
}

/** `clients_hold "./hold.sh" failed: exit code 1: no such client` */
export function failureOf(
  what: string,
  { argv }: CommandLine,
  { message, lastLines }: Pick<ProgramEnd, 'message' | 'lastLines'>,
): string {
  const said = lastLines.findLast((line) => line.trim() !== '');
  return `${what} "${argv[0]}" failed: ${message}${said === undefined ? '' : `: ${said.trim()}`}`;
}

/**
 * Of a journal that says no more than that something is held. One that cannot be read was cut off: better let go once more
 * than not at all.
 */
export function isOrphan(text: string): boolean {
  const owner = ownerIn(text, 'owner');
  return owner === undefined || !isAlive(owner);
}

export function ownerIn(text: string, key: 'owner' | 'guard'): Owner | undefined {
  try {
    const owner = (JSON.parse(text) as Record<string, Partial<Owner> | undefined>)[key];
    if (typeof owner?.pid !== 'number' || typeof owner.host !== 'string') return undefined;
    return { since: 0, ...owner, host: owner.host, pid: owner.pid };
  } catch {
    return undefined;
  }
}
