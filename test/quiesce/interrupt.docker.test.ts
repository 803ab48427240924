// The published program, interrupted at random moments of a backup that stops one store and pauses another: it cleans up
// itself, and says how it ended. PKBACKUP_TEST_INTERRUPTS sets how often.
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { expect, test } from 'vitest';
import { openRepository } from '../../src/repository/index.ts';
import { cleanEnvironment, makeDirectory, pkbackup, shim } from '../cli/program.ts';
import { helpersLeft, inVolume, makeContainer, makeVolume, stateOf, uniqueName } from '../docker/bed.ts';
import { startChroma } from '../stores/chroma-client.ts';

const rounds = Number(process.env.PKBACKUP_TEST_INTERRUPTS ?? 6);
const liveDocker = { DOCKER_HOST: process.env.DOCKER_HOST || 'unix:///var/run/docker.sock' };

/** Processes that were started with this mark in their environment, by whomever. */
function processesWith(mark: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/environ`).includes(mark);
    } catch {
      return false;
    }
  });
}

test('interrupted at random moments, it exits 130 and leaves containers, files and processes as they were', {
  timeout: 120_000 + rounds * 10_000,
}, async () => {
  const name = uniqueName('chroma');
  const chroma = await startChroma(await makeVolume(), { name });
  await chroma.add(await chroma.createCollection('one'), 0, 500);
  const volume = await makeVolume();
  await inVolume(volume, 'head -c 20000000 /dev/urandom > /v/file');
  const user = await makeContainer({ volumes: { [volume]: '/data' } });
  const stores = `vectors: { kind: chromadb, container: ${name} }\n  files: { kind: volume, volume: ${volume}, quiesce: pause }`;
  const cwd = makeDirectory({ 'pkbackup.yaml': `stores:\n  ${stores}\n` });
  const startedMs = performance.now();
  expect(await pkbackup(['backup'], { cwd, env: liveDocker })).toMatchObject({ exitCode: 0 });
  const usualMs = performance.now() - startedMs;
  let interrupted = 0;
  for (let round = 0; round < rounds; round += 1) {
    const mark = `PKBACKUP_TEST_MARK=${randomUUID()}`;
    const [key = '', value = ''] = mark.split('=');
    const env = { ...cleanEnvironment(), ...liveDocker, [key]: value };
    const options = { cwd, env, extendEnv: false, reject: false, stdin: 'ignore' } as const;
    const child = execa(process.execPath, [shim, 'backup'], options);
    await sleep(150 + Math.random() * usualMs);
    child.kill('SIGINT');
    const { exitCode: ownCode, signal, stderr } = await child;
    // Before the program has begun, the system ends it; for a shell that is 130, too.
    const exitCode = signal === 'SIGINT' ? 130 : ownCode;
    const where = `round ${round}: ${stderr}`;
    // It may have come to its end just before.
    expect([0, 130], where).toContain(exitCode);
    if (exitCode === 130) interrupted += 1;
    for (const id of [chroma.id, user]) expect((await stateOf(id)).status, where).toBe('running');
    expect(await helpersLeft(child.pid), where).toEqual([]);
    await sleep(200);
    expect(processesWith(mark), where).toEqual([]);
    const { leftovers } = await openRepository(join(cwd, 'backups')).list();
    expect(leftovers, where).toEqual([]);
    for (const folder of ['journal', 'scratch']) {
      expect(readdirSync(join(cwd, 'backups', '.pkbackup', folder)), where).toEqual([]);
    }
  }
  process.stdout.write(`interrupted ${interrupted} of ${rounds} times, the others had ended\n`);
  expect(interrupted).toBeGreaterThan(rounds / 2);
  expect(await pkbackup(['verify'], { cwd })).toMatchObject({ exitCode: 0 });
});
