// Kills of the program at the steps of a restore that is in Docker, and what must be true after the next command.
import fs from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import Dockerode from 'dockerode';
import { execa } from 'execa';
import { expect } from 'vitest';
import { openRepository } from '../../src/repository/index.ts';
import { cleanEnvironment, pkbackup, shim } from '../cli/program.ts';
import { stateOf } from '../docker/bed.ts';

export const liveDocker = { DOCKER_HOST: process.env.DOCKER_HOST || 'unix:///var/run/docker.sock' };
const hook = pathToFileURL(join(import.meta.dirname, '../faults/kill-at-journal.mjs')).href;
const engine = new Dockerode();

/** A store `data`, configured in `cwd`, with one backup of other data than there is now. */
export interface KillSubject {
  readonly cwd: string;
  readonly container: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Makes it the old data again. */
  reset(): Promise<void>;
  /** Throws where it is neither, or does not serve. */
  look(): Promise<'old' | 'new'>;
  /** Names where the data lies; none of ours may be left. */
  names(): Promise<readonly string[]>;
}

export const restoring = ['restore', 'data@1', '--yes'] as const;

export const runIn = (subject: KillSubject, args: readonly string[]) =>
  pkbackup([...args, '--quiet'], {
    cwd: subject.cwd,
    env: { ...liveDocker, ...subject.environment },
  });

/** Right at the note: its step has not begun. */
export async function killedAtNote(
  subject: KillSubject,
  note: number,
  args: readonly string[] = restoring,
): Promise<number> {
  const { signal, stderr, pid } = await runToNote(subject, note, 0, args);
  expect(signal, stderr).toBe('SIGKILL');
  return pid;
}

/** In the middle of its step, or of a later one; of a restore that was faster there is nothing to heal. */
export async function killedSoonAfterNote(
  subject: KillSubject,
  note: number,
  afterMs: number,
): Promise<number> {
  const { signal, exitCode, stderr, pid } = await runToNote(subject, note, afterMs, restoring);
  expect(signal ?? exitCode, stderr).toBe(exitCode === 0 ? 0 : 'SIGKILL');
  return pid;
}

async function runToNote(subject: KillSubject, note: number, afterMs: number, args: readonly string[]) {
  const child = execa(
    process.execPath,
    ['--import', hook, shim, ...args, '--quiet'],
    optionsFor(subject, {
      PKBACKUP_TEST_KILL_AT_NOTE: String(note),
      PKBACKUP_TEST_KILL_AFTER_MS: String(afterMs),
    }),
  );
  const { signal, exitCode, stderr } = await child;
  return { signal, exitCode, stderr, pid: child.pid ?? 0 };
}

/** While `isAt` says that it is where it is to be killed, after a moment. */
export async function killedWhile(
  subject: KillSubject,
  args: readonly string[],
  isAt: () => Promise<boolean>,
  delayMs: number,
): Promise<number> {
  const child = start(subject, args);
  try {
    while (child.exitCode === null && !(await isAt())) await sleep(5);
    await sleep(delayMs);
  } finally {
    child.kill('SIGKILL');
  }
  const { signal, stderr } = await child;
  expect(signal, stderr).toBe('SIGKILL');
  return child.pid ?? 0;
}

/** Or not at all, where it is faster than that. */
export async function killedAfter(
  subject: KillSubject,
  args: readonly string[],
  delayMs: number,
): Promise<number> {
  const child = start(subject, args);
  await sleep(delayMs);
  child.kill('SIGKILL');
  const { signal, exitCode, stderr } = await child;
  expect(signal ?? exitCode, stderr).toBe(exitCode === 0 ? 0 : 'SIGKILL');
  return child.pid ?? 0;
}

function start(subject: KillSubject, args: readonly string[]) {
  return execa(process.execPath, [shim, ...args, '--quiet'], optionsFor(subject));
}

const optionsFor = ({ cwd, environment }: KillSubject, more: Record<string, string> = {}) =>
  ({
    cwd,
    env: { ...cleanEnvironment(), ...liveDocker, ...environment, ...more },
    extendEnv: false,
    reject: false,
    stdin: 'ignore',
  }) as const;

export function stepInJournal({ cwd }: Pick<KillSubject, 'cwd'>): string | undefined {
  const journal = join(cwd, 'backups', '.pkbackup', 'journal');
  const [name] = fs.readdirSync(journal).filter((each) => each.endsWith('.restore.json'));
  return name && JSON.parse(fs.readFileSync(join(journal, name), 'utf8')).step;
}

async function helpersOf(pid: number): Promise<string[]> {
  const all = await engine.listContainers({ all: true, filters: { label: ['pkbackup.helper=1'] } });
  return all
    .filter(({ Labels }) => Labels['pkbackup.owner']?.includes(`#${pid}#`))
    .map(({ Command }) => Command.slice(-60));
}

/** The Engine may still have been making one when the command had looked; then it is the next one's. */
async function expectNoHelpers(subject: KillSubject, pid: number): Promise<void> {
  for (let look = 0; look < 20 && (await helpersOf(pid)).length > 0; look += 1) {
    await sleep(500);
    await runIn(subject, ['list']);
  }
  expect(await helpersOf(pid)).toEqual([]);
}

/** By the next command, which is one that has nothing to do with the store; then it is the old data again. */
export async function expectHealed(
  subject: KillSubject,
  pids: readonly number[],
  expected: 'old' | 'new',
  { isUsed = true } = {},
): Promise<void> {
  const listed = await runIn(subject, ['list']);
  expect(listed.exitCode, listed.stderr).toBe(0);
  const { status } = await stateOf(subject.container);
  expect(status, listed.stderr).toBe(isUsed ? 'running' : 'exited');
  expect(await subject.look(), listed.stderr).toBe(expected);
  expect((await subject.names()).filter((name) => name.includes('.pkbackup-'))).toEqual([]);
  for (const pid of pids) await expectNoHelpers(subject, pid);
  expect(stepInJournal(subject)).toBeUndefined();
  if (expected === 'old') return;
  const { backups } = await openRepository(join(subject.cwd, 'backups')).list();
  expect(backups.some(({ metadata }) => metadata.safety)).toBe(true);
  await subject.reset();
}
