// The published program, killed at random moments of a backup that stops one store and pauses another.
// PKBACKUP_TEST_KILLS sets how often.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { expect, test } from 'vitest';
import { cleanEnvironment, makeDirectory, pkbackup, shim } from '../cli/program.ts';
import { helpersLeft, inVolume, makeContainer, makeVolume, stateOf, uniqueName } from '../docker/bed.ts';
import { startChroma } from '../stores/chroma-client.ts';

const rounds = Number(process.env.PKBACKUP_TEST_KILLS ?? 8);
const timeout = 120_000 + rounds * 8000;
const liveDocker = { DOCKER_HOST: process.env.DOCKER_HOST || 'unix:///var/run/docker.sock' };

async function untilRunning(id: string): Promise<number> {
  const startedMs = performance.now();
  while ((await stateOf(id)).status !== 'running') {
    if (performance.now() - startedMs > 30_000) throw new Error(`left ${(await stateOf(id)).status}`);
    await sleep(20);
  }
  return performance.now() - startedMs;
}

interface Stack {
  readonly cwd: string;
  readonly options: { cwd: string; env: Record<string, string> };
  /** Of the store that is stopped, and of the one that is paused. */
  readonly containers: readonly string[];
  /** How long a backup takes when nobody kills it. */
  readonly usualMs: number;
  readonly killed: number[];
}

async function makeStack(): Promise<Stack> {
  const name = uniqueName('chroma');
  const chroma = await startChroma(await makeVolume(), { name });
  await chroma.add(await chroma.createCollection('one'), 0, 500);
  const volume = await makeVolume();
  await inVolume(volume, 'head -c 20000000 /dev/urandom > /v/file');
  const user = await makeContainer({ volumes: { [volume]: '/data' } });
  const cwd = makeDirectory({
    'pkbackup.yaml': `stores:\n  vectors: { kind: chromadb, container: ${name} }\n  files: { kind: volume, volume: ${volume}, quiesce: pause }\n`,
  });
  const options = { cwd, env: liveDocker };
  const startedMs = performance.now();
  expect(await pkbackup(['backup'], options)).toMatchObject({ exitCode: 0 });
  return { cwd, options, containers: [chroma.id, user], usualMs: performance.now() - startedMs, killed: [] };
}

/** A backup that lives for a random part of its usual time; what was under way in the Engine then needs a moment to show. */
async function killBackup({ cwd, usualMs, killed }: Stack, alsoWatchdog: boolean): Promise<void> {
  const env = { ...cleanEnvironment(), ...liveDocker };
  const child = execa(process.execPath, [shim, 'backup'], {
    cwd,
    env,
    extendEnv: false,
    reject: false,
    stdin: 'ignore',
  });
  if (child.pid !== undefined) killed.push(child.pid);
  await sleep(200 + Math.random() * usualMs);
  const watchdogs = alsoWatchdog ? childrenOf(child.pid) : [];
  for (const pid of watchdogs) process.kill(pid, 'SIGKILL');
  child.kill('SIGKILL');
  await child;
  await sleep(300);
}

function childrenOf(pid: number | undefined): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

async function expectAllGood({ cwd, options, containers, killed }: Stack): Promise<void> {
  const verified = await pkbackup(['verify', '--level', 'content'], options);
  expect(verified, verified.stderr).toMatchObject({ exitCode: 0 });
  const last = await pkbackup(['backup'], options);
  expect(last, last.stderr).toMatchObject({ exitCode: 0 });
  expect(readdirSync(join(cwd, 'backups', '.pkbackup', 'journal'))).toEqual([]);
  for (const id of containers) expect(await stateOf(id)).toMatchObject({ status: 'running' });
  for (const pid of killed) expect(await helpersLeft(pid)).toEqual([]);
}

test('killed at random moments of a backup, both stores run again by themselves, and no bad backup is listed', {
  timeout,
}, async () => {
  const stack = await makeStack();
  let slowestMs = 0;
  for (let round = 0; round < rounds; round += 1) {
    await killBackup(stack, false);
    for (const id of stack.containers) {
      const tookMs = await untilRunning(id);
      expect(tookMs, `round ${round}`).toBeLessThan(5000);
      slowestMs = Math.max(slowestMs, tookMs);
    }
  }
  process.stdout.write(`killed ${rounds} times: running again after ${Math.round(slowestMs)} ms at most\n`);
  await expectAllGood(stack);
});

test('killed at random moments together with its watchdog, the next command lets both stores run again', {
  timeout,
}, async () => {
  const stack = await makeStack();
  let leftDown = 0;
  for (let round = 0; round < rounds; round += 1) {
    await killBackup(stack, true);
    const states = await Promise.all(stack.containers.map(stateOf));
    if (states.some(({ status }) => status !== 'running')) leftDown += 1;
    expect(await pkbackup(['list'], stack.options)).toMatchObject({ exitCode: 0 });
    for (const id of stack.containers) {
      expect(await stateOf(id), `round ${round}`).toMatchObject({ status: 'running' });
    }
  }
  process.stdout.write(`killed ${rounds} times with the watchdog: ${leftDown} times left down and healed\n`);
  await expectAllGood(stack);
});
