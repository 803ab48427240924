// Upgrades that go wrong, on real servers: noticed, and undone with nothing lost.
import { join } from 'node:path';
import process from 'node:process';
import Dockerode from 'dockerode';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openRepository } from '../../src/repository/index.ts';
import { image, requireTestbed } from '../../testbed/index.ts';
import { cleanEnvironment, makeDirectory, type Ran, shim } from '../cli/program.ts';
import { makeContainer, makeVolume, uniqueName } from '../docker/bed.ts';
import { type Chroma, clientOf, untilHealthy, vectorOf } from '../stores/chroma-client.ts';

beforeAll(() => requireTestbed('chromadb', 'chromadb06', 'falkordb'));

const engine = new Dockerode();
const liveDocker = { DOCKER_HOST: process.env.DOCKER_HOST || 'unix:///var/run/docker.sock' };
const recreate = join(import.meta.dirname, 'recreate.mjs');
const oldPath = '/chroma/chroma';
const images: string[] = [];
const names = new Set<string>();

/** Containers that commands and rollbacks have made have other ids than those that the tests have. */
afterAll(async () => {
  for (const name of names)
    await engine.getContainer(name).remove({ force: true, v: true }).catch(ignoreGone);
  for (const name of images) await engine.getImage(name).remove({ force: true }).catch(ignoreGone);
});

function ignoreGone(error: { statusCode?: number }): void {
  if (error.statusCode !== 404) throw error;
}

function start(cwd: string, args: readonly string[]) {
  const env = { ...cleanEnvironment(), ...liveDocker };
  return execa(process.execPath, [shim, ...args], {
    cwd,
    env,
    extendEnv: false,
    reject: false,
    stdin: 'ignore',
  });
}

async function pkbackup(cwd: string, args: readonly string[]): Promise<Ran> {
  const { exitCode, stdout, stderr } = await start(cwd, args);
  return { exitCode, stdout, stderr };
}

interface Upgraded {
  readonly cwd: string;
  readonly name: string;
  readonly volume: string;
  readonly collection: string;
  readonly before: Dockerode.ContainerInspectInfo;
  chroma(): Promise<Chroma>;
}

/** A ChromaDB 0.6.3 as somebody runs it: a network of its own, an alias, a secret, a label, a restart policy. */
async function startOld(records = 1200): Promise<Upgraded> {
  const volume = await makeVolume();
  const name = uniqueName('chroma');
  names.add(name);
  const started = await makeContainer({
    image: image.chromadb06,
    name,
    volumes: { [volume]: oldPath },
    labels: { 'com.example.role': 'vectors' },
    env: ['IS_PERSISTENT=TRUE', 'EXAMPLE_SECRET=s3cret-of-the-server'],
    hostConfig: {
      PortBindings: { '8000/tcp': [{ HostIp: '127.0.0.1', HostPort: '0' }] },
      RestartPolicy: { Name: 'unless-stopped' },
    },
  });
  await untilHealthy(started);
  const chroma = clientOf(started);
  const collection = await chroma.createCollection('documents');
  for (let from = 0; from < records; from += 400) await chroma.add(collection, from, 400);
  const cwd = makeDirectory({
    'pkbackup.yaml': `stores:\n  vectors: { kind: chromadb, container: ${name}, health_seconds: 60 }\n`,
  });
  return {
    cwd,
    name,
    volume,
    collection,
    before: await engine.getContainer(name).inspect(),
    chroma: async () => clientOf((await engine.getContainer(name).inspect()).Id),
  };
}

const command = ({ name, volume }: Upgraded, path: string, ...more: string[]) => [
  '--',
  process.execPath,
  recreate,
  name,
  image.chromadb,
  `${volume}:${path}`,
  ...more,
];

async function expectAsBefore(one: Upgraded, records = 1200): Promise<void> {
  const now = await engine.getContainer(one.name).inspect();
  expect(now.Image).toBe(one.before.Image);
  expect(now.Config.Image).toBe(one.before.Config.Image);
  expect(now.Config.Env.toSorted()).toEqual(one.before.Config.Env.toSorted());
  expect(now.Config.Labels).toEqual(one.before.Config.Labels);
  expect(now.HostConfig.RestartPolicy).toEqual(one.before.HostConfig.RestartPolicy);
  expect(now.Mounts.map(({ Name, Destination }) => [Name, Destination])).toEqual([[one.volume, oldPath]]);
  expect(Object.keys(now.NetworkSettings.Networks)).toEqual(Object.keys(one.before.NetworkSettings.Networks));
  await untilHealthy(now.Id);
  const chroma = clientOf(now.Id);
  expect(await chroma.count(one.collection)).toBe(records);
  const all = await chroma.everything(one.collection);
  for (const n of [0, records - 1]) expect(all.get(`r${n}`)?.map(Math.fround)).toEqual(vectorOf(n));
  await expectNothingLeft(one);
}

async function keepersLeft(): Promise<string[]> {
  const all = await engine.listContainers({ all: true, filters: { label: ['pkbackup.guard'] } });
  return all.map(({ Names }) => Names[0] ?? '');
}

async function expectNothingLeft({ cwd }: Pick<Upgraded, 'cwd'>): Promise<void> {
  const listed = await pkbackup(cwd, ['recover']);
  expect(listed.stdout, listed.stderr).toContain('nothing to recover');
  const { backups } = await openRepository(join(cwd, 'backups')).list();
  expect(backups.filter(({ metadata }) => metadata.pinned)).toEqual([]);
}

test('ChromaDB 0.6 to 1.x with the volume at the old path: empty and healthy, so rolled back', async () => {
  const one = await startOld();
  const ran = await pkbackup(one.cwd, [
    'guard',
    'vectors',
    '--rollback',
    'auto',
    '--json',
    ...command(one, oldPath),
  ]);
  expect(ran.exitCode, ran.stderr).toBe(10);
  expect(ran.stderr).toContain(`made ${one.name} anew from ${image.chromadb}`);
  const answer = JSON.parse(ran.stdout);
  expect(answer).toMatchObject({ ok: false, outcome: 'rolled_back', command: { exit_code: 0 } });
  expect(answer.findings.join('\n')).toMatch(/vectors: found 0 records, the backup has 1200/);
  expect(ran.stderr + ran.stdout).not.toContain('s3cret-of-the-server');
  await expectAsBefore(one);
  expect(await keepersLeft()).toEqual([]);
});
