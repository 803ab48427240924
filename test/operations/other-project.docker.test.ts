// `--to project:NAME` for what is not simply a volume: the databases of a server, and volumes that lead elsewhere.
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import Dockerode from 'dockerode';
import { beforeAll, expect, test } from 'vitest';
import { restore } from '../../src/operations/restore.ts';
import { requireTestbed } from '../../testbed/index.ts';
import { inVolume, uniqueName, volumeNamed } from '../docker/bed.ts';
import { backedUp } from '../stores/conformance.ts';
import * as postgres from '../stores/fixtures/postgres-server.ts';
import { makeRun } from './run-fixture.ts';

beforeAll(() => requireTestbed('postgres'));

const labelsOf = (project: string, service: string) => ({
  'com.docker.compose.project': project,
  'com.docker.compose.service': service,
});

const into = (project: string, more: { takesVolumeOptions?: boolean } = {}) => ({
  backup: 'subject@latest',
  to: `project:${project}`,
  stores: [],
  safetyBackup: true,
  confirm: async () => true,
  ...more,
});

test('the databases of a server go to the server of the same service, which has to be there', async () => {
  using fixture = makeRun();
  const run = { ...fixture.run, environment: { ...process.env, ...postgres.environment } };
  const [first, second] = [uniqueName('first'), uniqueName('second')];
  const args = ['-c', 'max_connections=20'];
  const server = await postgres.startPostgres({ args, labels: labelsOf(first, 'rows') });
  const table = 'CREATE TABLE items AS SELECT g AS id FROM generate_series(1, 70) g';
  await postgres.run(server.id, [table]);
  await backedUp(run, { name: 'subject', kind: 'postgres', target: postgres.target(server) });
  await expect(restore(run, into(second))).rejects.toMatchObject({
    code: 'not_found',
    message: `project "${second}" has no container of service "rows"`,
    hint: `start it first: docker compose -p ${second} up -d rows`,
  });
  const other = await postgres.startPostgres({
    args,
    labels: labelsOf(second, 'rows'),
    env: ['POSTGRES_INITDB_ARGS=--no-sync'],
  });
  const { target } = await restore(run, into(second));
  expect(target).toContain(other.name);
  expect(await postgres.ask(other.id, 'SELECT sum(id) FROM items')).toEqual(['2485']);
  await expect(restore(run, into(second))).rejects.toMatchObject({ code: 'restore_failed' });
});

test('a volume that leads elsewhere is made only where that is wanted, and never over what is there', async () => {
  using fixture = makeRun();
  const { run, directory } = fixture;
  const engine = new Dockerode();
  const [first, second] = [uniqueName('first'), uniqueName('second')];
  const device = join(directory, 'elsewhere');
  mkdirSync(device);
  const DriverOpts = { type: 'none', o: 'bind', device };
  const Labels = {
    'pkbackup.test': '1',
    'com.docker.compose.project': first,
    'com.docker.compose.volume': 'files',
  };
  await engine.createVolume({ Name: volumeNamed(`${first}_files`), Driver: 'local', DriverOpts, Labels });
  writeFileSync(join(device, 'file'), 'saved');
  await backedUp(run, { name: 'subject', kind: 'volume', target: { volume: `${first}_files` } });
  const name = volumeNamed(`${second}_files`);
  await expect(restore(run, into(second))).rejects.toMatchObject({
    code: 'restore_failed',
    message: expect.stringMatching(/device .*elsewhere.*is missing, and the backup alone says where/),
  });
  await expect(restore(run, into(second, { takesVolumeOptions: true }))).rejects.toThrow(/is not empty/);
  expect(readdirSync(device)).toEqual(['file']);
  await engine.getVolume(name).remove();
  await inVolume(`${first}_files`, 'rm /v/file');
  await restore(run, into(second, { takesVolumeOptions: true }));
  expect(readdirSync(device)).toEqual(['file']);
  const { Labels: labels, Options } = await engine.getVolume(name).inspect();
  expect(labels).toEqual({ ...Labels, 'com.docker.compose.project': second });
  expect(Options).toEqual(DriverOpts);
});
