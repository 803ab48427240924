// Upgrades that go wrong, on real servers: noticed, and undone with nothing lost.
import Dockerode from 'dockerode';
import { beforeAll, expect, test } from 'vitest';
import { image, requireTestbed } from '../../testbed/index.ts';
import { makeDirectory } from '../cli/program.ts';
import { makeContainer, makeVolume, uniqueName } from '../docker/bed.ts';
import { clientOf, untilHealthy, vectorOf } from '../stores/chroma-client.ts';
import { falkordbAt, fill, fingerprint, startFalkordb } from '../stores/fixtures/falkordb-server.ts';
import { containerNamed, expectNothingLeft, recreate, runPkbackup } from './guard-subject.ts';

beforeAll(() => requireTestbed('chromadb', 'chromadb06', 'falkordb', 'falkordb418'));

const engine = new Dockerode();
const oldPath = '/chroma/chroma';
const secret = 's3cret-of-the-server';

/** A ChromaDB 0.6.3 as somebody runs it: with a secret, a label, a port and a restart policy. */
async function startOld(records: number) {
  const volume = await makeVolume();
  const name = containerNamed(uniqueName('chroma'));
  const id = await makeContainer({
    image: image.chromadb06,
    name,
    volumes: { [volume]: oldPath },
    labels: { 'com.example.role': 'vectors' },
    env: ['IS_PERSISTENT=TRUE', `EXAMPLE_SECRET=${secret}`],
    hostConfig: {
      PortBindings: { '8000/tcp': [{ HostIp: '127.0.0.1', HostPort: '0' }] },
      RestartPolicy: { Name: 'unless-stopped' },
    },
  });
  await untilHealthy(id);
  const chroma = clientOf(id);
  const collection = await chroma.createCollection('documents');
  for (let from = 0; from < records; from += 400) await chroma.add(collection, from, 400);
  const cwd = makeDirectory({
    'pkbackup.yaml': `stores:\n  vectors: { kind: chromadb, container: ${name} }\n`,
  });
  return { cwd, name, volume, collection };
}

const settingsOf = async (name: string) => {
  const { Image, Config, HostConfig, Mounts, NetworkSettings } = await engine.getContainer(name).inspect();
  const { Hostname: _, ...config } = Config;
  return {
    Image,
    config,
    restart: HostConfig.RestartPolicy,
    ports: HostConfig.PortBindings,
    mounts: Mounts.map(({ Name, Destination }) => [Name, Destination]).toSorted(),
    networks: Object.keys(NetworkSettings.Networks),
  };
};

test('ChromaDB 0.6 to 1.x with the volume at the old path: empty and healthy, so rolled back', async () => {
  const records = 1200;
  const { cwd, name, volume, collection } = await startOld(records);
  const before = await settingsOf(name);
  const upgrade = recreate(name, { image: image.chromadb, bind: `${volume}:${oldPath}` });
  const ran = await runPkbackup(cwd, ['guard', 'vectors', '--rollback', 'auto', '--json', ...upgrade]);
  expect(ran.exitCode, ran.stderr).toBe(10);
  expect(ran.stderr).toContain(`made ${name} anew`);
  const answer = JSON.parse(ran.stdout);
  expect(answer).toMatchObject({ ok: false, outcome: 'rolled_back', command: { exit_code: 0 } });
  expect(answer.findings).toEqual([
    'vectors: found 0 collections, the backup has 1',
    `vectors: found 0 records, the backup has ${records}`,
  ]);
  expect(ran.stderr + ran.stdout).not.toContain(secret);

  expect(await settingsOf(name)).toEqual(before);
  const { Id } = await engine.getContainer(name).inspect();
  await untilHealthy(Id);
  const all = await clientOf(Id).everything(collection);
  expect(all.size).toBe(records);
  for (const n of [0, 999, records - 1]) expect(all.get(`r${n}`)?.map(Math.fround)).toEqual(vectorOf(n));
  await expectNothingLeft({ cwd, name });
});

test('FalkorDB 4.18 to 4.16, which cannot read the dump: it ends, so rolled back', async () => {
  const server = await startFalkordb({ image: image.falkordb418 });
  containerNamed(server.name);
  await fill(server, 1);
  const before = await fingerprint(server);
  const settings = await settingsOf(server.name);
  const cwd = makeDirectory({
    'pkbackup.yaml': `stores:\n  graph: { kind: falkordb, container: ${server.name} }\n`,
  });
  const downgrade = recreate(server.name, { image: image.falkordb });
  const ran = await runPkbackup(cwd, ['guard', 'graph', '--rollback', 'auto', '--json', ...downgrade]);
  expect(ran.exitCode, ran.stderr).toBe(10);
  expect(JSON.parse(ran.stdout).findings.join('\n')).toMatch(/exit code 1/);
  // What it said went with it, and is told.
  expect(ran.stderr).toMatch(/said: .*RDB format version/);

  expect(await settingsOf(server.name)).toEqual(settings);
  const { Id: id } = await engine.getContainer(server.name).inspect();
  await untilHealthy(id);
  expect(await fingerprint(falkordbAt({ ...server, id }))).toBe(before);
  await expectNothingLeft({ cwd, name: server.name });
});

test('an upgrade whose image cannot read the backup is not begun', async () => {
  const server = await startFalkordb({ image: image.falkordb418 });
  containerNamed(server.name);
  await fill(server, 1);
  const before = await engine.getContainer(server.name).inspect();
  const cwd = makeDirectory({
    'pkbackup.yaml': `stores:\n  graph: { kind: falkordb, container: ${server.name} }\n`,
  });
  const args = ['guard', 'graph', '--drill-image', image.falkordb, '--rollback', 'auto', '--json'];
  const ran = await runPkbackup(cwd, [...args, ...recreate(server.name, { image: image.falkordb })]);
  expect(ran.exitCode, ran.stderr).toBe(7);
  expect(ran.stderr).toMatch(/RDB format version/);
  expect(ran.stderr).not.toContain(`made ${server.name} anew`);
  const { Id, State } = await engine.getContainer(server.name).inspect();
  expect([Id, State.StartedAt]).toEqual([before.Id, before.State.StartedAt]);
  await expectNothingLeft({ cwd, name: server.name });
});
