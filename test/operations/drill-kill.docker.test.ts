// SIGKILL of a drill at random moments: after the next command, whatever it is, nothing of it is left.
import fs from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import Dockerode from 'dockerode';
import { execa } from 'execa';
import { beforeAll, expect, test } from 'vitest';
import { requireTestbed } from '../../testbed/index.ts';
import { cleanEnvironment, makeDirectory, pkbackup, shim } from '../cli/program.ts';
import { inVolume, makeVolume, throwawaysLeft, uniqueName } from '../docker/bed.ts';
import { startChroma } from '../stores/chroma-client.ts';

/** How often it is killed; more with PKBACKUP_TEST_DRILL_KILLS. */
const kills = Number(process.env.PKBACKUP_TEST_DRILL_KILLS ?? 4);
const liveDocker = { DOCKER_HOST: process.env.DOCKER_HOST || 'unix:///var/run/docker.sock' };
const engine = new Dockerode();
let cwd: string;

beforeAll(async () => {
  await requireTestbed('chromadb');
  const [volume, name, files] = [await makeVolume(), uniqueName('chroma'), await makeVolume()];
  const chroma = await startChroma(volume, { name });
  await chroma.add(await chroma.createCollection('documents'), 0, 300);
  await inVolume(files, 'seq 1000 > /v/one; seq 2000 > /v/two');
  const stores = `vectors: { kind: chromadb, container: ${name} }\n  files: { kind: volume, volume: ${files} }`;
  cwd = makeDirectory({ 'pkbackup.yaml': `stores:\n  ${stores}\n` });
  const made = await pkbackup(['backup', '--quiet'], { cwd, env: liveDocker });
  expect(made.exitCode, made.stderr).toBe(0);
});

function startDrill() {
  const env = { ...cleanEnvironment(), ...liveDocker };
  const options = { cwd, env, extendEnv: false, reject: false, stdin: 'ignore' } as const;
  return execa(process.execPath, [shim, 'drill', '--quiet'], options);
}

/** Of the drill's process: throwaway places, and helper containers. */
async function leftOf(pid: number): Promise<string[]> {
  const helpers = await engine.listContainers({ all: true, filters: { label: ['pkbackup.helper=1'] } });
  const own = helpers.filter(({ Labels }) => Labels['pkbackup.owner']?.includes(`#${pid}#`));
  return [...new Set([...(await throwawaysLeft(pid)), ...own.map(({ Names }) => Names[0] ?? '')])];
}

function filesLeft(): string[] {
  return ['journal', 'scratch'].flatMap((name) => {
    const path = join(cwd, 'backups', '.pkbackup', name);
    return fs.existsSync(path) ? fs.readdirSync(path) : [];
  });
}

test('killed at random moments, a drill leaves nothing after the next command', async () => {
  const startedAt = performance.now();
  const whole = startDrill();
  const { exitCode, stderr } = await whole;
  expect(exitCode, stderr).toBe(0);
  const wholeMs = performance.now() - startedAt;
  expect([await leftOf(whole.pid ?? 0), filesLeft()]).toEqual([[], []]);

  let found = 0;
  for (let round = 0; round < kills; round += 1) {
    const child = startDrill();
    const atMs = ((round + Math.random()) / kills) * wholeMs;
    await sleep(atMs);
    child.kill('SIGKILL');
    await child;
    const pid = child.pid ?? 0;
    if ((await leftOf(pid)).length > 0) found += 1;
    const next = await pkbackup(['list', '--quiet'], { cwd, env: liveDocker });
    expect(next.exitCode, next.stderr).toBe(0);
    const left = [await leftOf(pid), filesLeft()];
    expect(left, `killed after ${Math.round(atMs)} of ${Math.round(wholeMs)} ms: ${next.stderr}`).toEqual([
      [],
      [],
    ]);
  }
  expect(found, 'a kill that had left something').toBeGreaterThan(0);
  const again = await startDrill();
  expect(again.exitCode, again.stderr).toBe(0);
});
