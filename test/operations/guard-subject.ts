// What guard is tried on: a container on a volume, for what has nothing to do with a server, and the command that replaces it.
import { join } from 'node:path';
import process from 'node:process';
import Dockerode from 'dockerode';
import { execa } from 'execa';
import { expect } from 'vitest';
import { openRepository } from '../../src/repository/index.ts';
import { cleanEnvironment, makeDirectory, type Ran, shim } from '../cli/program.ts';
import { inVolume, makeContainer, makeVolume, removedAtEnd, uniqueName } from '../docker/bed.ts';

const engine = new Dockerode();
const liveDocker = { DOCKER_HOST: process.env.DOCKER_HOST || 'unix:///var/run/docker.sock' };
/** A rollback names the volumes that had no name, so they do not go by themselves. */
async function removeAll(name: string): Promise<void> {
  const container = engine.getContainer(name);
  const { Mounts } = await container.inspect();
  await container.remove({ force: true, v: true });
  const anonymous = Mounts.flatMap(({ Name }) => (/^[0-9a-f]{64}$/.test(Name ?? '') ? [Name ?? ''] : []));
  for (const volume of anonymous) await engine.getVolume(volume).remove().catch(ignoreGone);
}

function ignoreGone(error: { statusCode?: number }): void {
  if (error.statusCode !== 404) throw error;
}

/** Removed after the test whoever makes it: what commands and rollbacks have made has other ids than what the tests have made. */
export function containerNamed(name: string): string {
  removedAtEnd(name, () => removeAll(name));
  return name;
}

export function startPkbackup(
  cwd: string,
  args: readonly string[],
  { before = [], env = {} }: { before?: readonly string[]; env?: Record<string, string> } = {},
) {
  return execa(process.execPath, [...before, shim, ...args], {
    cwd,
    env: { ...cleanEnvironment(), ...liveDocker, ...env },
    extendEnv: false,
    reject: false,
    stdin: 'ignore',
  });
}

export async function runPkbackup(cwd: string, args: readonly string[]): Promise<Ran> {
  const { exitCode, stdout, stderr } = await startPkbackup(cwd, args);
  return { exitCode, stdout, stderr };
}

export interface Recreation {
  readonly image?: string;
  readonly bind?: string;
  readonly script?: string;
  readonly after?: 'fail' | 'hang' | 'kill';
}

/** For the end of the command line. */
export function recreate(name: string, how: Recreation): string[] {
  const script = join(import.meta.dirname, 'recreate.mjs');
  return ['--', process.execPath, script, JSON.stringify({ name, ...how })];
}

export interface Subject {
  readonly cwd: string;
  readonly name: string;
  readonly volume: string;
}

export const secret = 'not-for-any-file-7Kx';

/** The volume holds `old`. */
export async function startSubject(): Promise<Subject> {
  const volume = await makeVolume();
  const name = containerNamed(uniqueName('guarded'));
  await makeContainer({ name, volumes: { [volume]: '/v' }, env: [`EXAMPLE_SECRET=${secret}`] });
  await inVolume(volume, 'echo old > /v/data');
  const cwd = makeDirectory({
    'pkbackup.yaml': `stores:\n  data: { kind: volume, volume: ${volume} }\n`,
  });
  return { cwd, name, volume };
}

export const overwriting = 'echo new > /v/data; exec sleep 3600';
export const ending = 'echo new > /v/data; exit 1';

export async function expectState(
  { cwd, name, volume }: Subject,
  expected: 'old' | 'new',
  said = '',
): Promise<void> {
  expect((await inVolume(volume, 'cat /v/data')).trim(), said).toBe(expected);
  const { State, Config } = await engine.getContainer(name).inspect();
  expect(State.Status, said).toBe('running');
  expect(Config.Env.includes(`EXAMPLE_SECRET=${secret}`), said).toBe(expected === 'old');
  await expectNothingLeft({ cwd, name });
}

/** No journal, no pin, no keeper. */
export async function expectNothingLeft({ cwd, name }: Pick<Subject, 'cwd' | 'name'>): Promise<void> {
  const { stdout, stderr } = await runPkbackup(cwd, ['recover']);
  expect(stdout, stderr).toContain('nothing to recover');
  const { backups } = await openRepository(join(cwd, 'backups')).list();
  expect(backups.filter(({ metadata }) => metadata.pinned)).toEqual([]);
  expect(await keepersOf(name)).toEqual([]);
}

export async function keepersOf(name: string): Promise<string[]> {
  const all = await engine.listContainers({ all: true, filters: { label: ['pkbackup.guard'] } });
  const own = all.filter(({ Labels }) => Labels['pkbackup.guard.was']?.includes(`"${name}"`));
  return own.map(({ Names }) => (Names[0] ?? '').slice(1));
}
