// SIGKILL of a drill at random moments: after the next command, whatever it is, nothing of it is left.
import fs from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import Dockerode from 'dockerode';
import { execa } from 'execa';
import { expect } from 'vitest';
import { cleanEnvironment, pkbackup, shim } from '../cli/program.ts';
import { throwawaysLeft } from '../docker/bed.ts';

const engine = new Dockerode();
export const liveDocker = { DOCKER_HOST: process.env.DOCKER_HOST || 'unix:///var/run/docker.sock' };

export interface KilledDrills {
  /** Where pkbackup runs, with its repository in `backups`. */
  readonly cwd: string;
  /** What is drilled; everything where it is missing. */
  readonly backups?: readonly string[];
  readonly kills: number;
  /** How long one takes; it is measured where it is not known. */
  readonly wholeMs?: number;
}

/** So many drills that are killed, and one that is not and MUST come back as good. */
export async function killDrills({ cwd, backups = [], kills, ...known }: KilledDrills): Promise<string> {
  const start = () => startDrill(cwd, backups);
  const whole = async () => {
    const startedAt = performance.now();
    const child = start();
    const { exitCode, stdout, stderr } = await child;
    expect(exitCode, `${stdout}\n${stderr}`).toBe(0);
    expect(await leftOf(child.pid, cwd)).toEqual([]);
    return performance.now() - startedAt;
  };
  const wholeMs = known.wholeMs ?? (await whole());

  let found = 0;
  for (let round = 0; round < kills; round += 1) {
    const child = start();
    const atMs = ((round + Math.random()) / kills) * wholeMs;
    await sleep(atMs);
    child.kill('SIGKILL');
    await child;
    if ((await leftOf(child.pid, cwd)).length > 0) found += 1;
    const next = await pkbackup(['list', '--quiet'], { cwd, env: liveDocker });
    expect(next.exitCode, next.stderr).toBe(0);
    const when = `killed after ${Math.round(atMs)} of ${Math.round(wholeMs)} ms: ${next.stderr}`;
    expect(await leftOf(child.pid, cwd), when).toEqual([]);
  }
  // A few of them may all have come at a moment at which there is nothing.
  if (kills >= 4) expect(found, 'a kill that had left something').toBeGreaterThan(0);
  await whole();
  return `killed ${kills} times within ${Math.round(wholeMs)} ms: ${found} had left something, the next command left nothing of it`;
}

function startDrill(cwd: string, backups: readonly string[]) {
  const env = { ...cleanEnvironment(), ...liveDocker };
  const options = { cwd, env, extendEnv: false, reject: false, stdin: 'ignore' } as const;
  return execa(process.execPath, [shim, 'drill', ...backups, '--quiet'], options);
}

/** Of the drill's process: throwaway places, helper containers, journals, scratch directories. */
async function leftOf(pid = 0, cwd: string): Promise<string[]> {
  const helpers = await engine.listContainers({ all: true, filters: { label: ['pkbackup.helper=1'] } });
  const own = helpers.filter(({ Labels }) => Labels['pkbackup.owner']?.includes(`#${pid}#`));
  const inDocker = new Set([...(await throwawaysLeft(pid)), ...own.map(({ Names }) => Names[0] ?? '')]);
  return [...inDocker, ...filesLeft(cwd)];
}

function filesLeft(cwd: string): string[] {
  return ['journal', 'scratch'].flatMap((name) => {
    const path = join(cwd, 'backups', '.pkbackup', name);
    return fs.existsSync(path) ? fs.readdirSync(path) : [];
  });
}
