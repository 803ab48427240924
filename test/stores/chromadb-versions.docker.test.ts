// Real servers of both lines: what an upgrade from 0.6 to 1.x does to backups and restores.
import { beforeAll, expect, test } from 'vitest';
import type { ConfiguredStore } from '../../src/config/types.ts';
import { backup } from '../../src/operations/backup.ts';
import { restore } from '../../src/operations/restore.ts';
import { image, requireTestbed } from '../../testbed/index.ts';
import { containerOf, helpersLeft, inVolume, makeVolume, stateOf, uniqueName } from '../docker/bed.ts';
import { makeRun } from '../operations/run-fixture.ts';
import { type Chroma, startChroma, untilHealthy, vectorOf } from './chroma-client.ts';
import { backedUp, restoreOptions } from './conformance.ts';

beforeAll(() => requireTestbed('chromadb', 'chromadb06'));

const oldPath = '/chroma/chroma';
const storeOf = (target: object): ConfiguredStore => ({ name: 'subject', kind: 'chromadb', target });

interface Server {
  readonly chroma: Chroma;
  readonly name: string;
  readonly volume: string;
}

async function start(server: 'chromadb' | 'chromadb06', path: string, volume?: string): Promise<Server> {
  const name = uniqueName('chroma');
  const on = volume ?? (await makeVolume());
  return { chroma: await startChroma(on, { image: image[server], path, name }), name, volume: on };
}

/** Over 1000 records, so that vectors lie in the index files too. */
async function filled(server: Server): Promise<string> {
  const collection = await server.chroma.createCollection('documents');
  for (let from = 0; from < 1500; from += 500) await server.chroma.add(collection, from, 500);
  return collection;
}

async function expectAll({ chroma }: Server, collection: string): Promise<void> {
  await untilHealthy(chroma.id);
  expect(await chroma.count(collection)).toBe(1500);
  const all = await chroma.everything(collection);
  for (const n of [0, 999, 1000, 1499]) expect(all.get(`r${n}`)?.map(Math.fround)).toEqual(vectorOf(n));
  expect(await chroma.nearest(collection, vectorOf(700))).toBe('r700');
}

test('a 0.6.3 volume at the wrong path of a 1.x server is refused as empty, and left alone', async () => {
  using fixture = makeRun();
  const { run } = fixture;
  const old = await start('chromadb06', oldPath);
  await filled(old);
  await containerOf(old.chroma.id).stop({ t: 30 });
  const listing = () => inVolume(old.volume, 'cd /v && find . -type f -exec sha256sum {} + | sort');
  const before = await listing();

  // The usual upgrade: another image under the same compose file, so the volume stays where 0.6 had it.
  const upgraded = await start('chromadb', oldPath, old.volume);
  const { stores } = await backup(run, { stores: [storeOf({ container: upgraded.name })] });
  const [refused] = stores;
  if (refused?.ok !== false) throw new Error('it was taken');
  expect(refused.error.code).toBe('backup_failed');
  expect(refused.error.message).toMatch(
    new RegExp(
      `data directory "/data" of container "${upgraded.name}" is not on a mount .*mounted at "${oldPath}"`,
    ),
  );
  expect(refused.error.hint).toMatch(/mount the volume at "\/data"/);
  expect((await run.repository.list()).backups).toEqual([]);
  expect(await stateOf(upgraded.chroma.id)).toMatchObject({ status: 'running' });
  expect(await listing()).toBe(before);

  // The other way round: an empty volume is where the server looks, and the data is elsewhere.
  const empty = await start('chromadb', '/data');
  const nothing = await backup(run, { stores: [storeOf({ container: empty.name })] });
  expect(nothing.stores[0]).toMatchObject({ ok: false, error: { code: 'backup_failed' } });
  expect(await helpersLeft()).toEqual([]);
});

test('a backup of 0.6.3 is restored into a 1.x server, which takes it over', async () => {
  using fixture = makeRun();
  const { run } = fixture;
  const old = await start('chromadb06', oldPath);
  const collection = await filled(old);
  const made = await backedUp(run, storeOf({ container: old.name }));
  expect(made.metadata).toMatchObject({ store_version: '0.6.3', counts: { collections: 1, records: 1500 } });

  const young = await start('chromadb', '/data');
  const target = { container: young.name };
  const { counts } = await restore(run, restoreOptions(storeOf(target)));
  expect(counts).toEqual({ collections: 1, records: 1500 });
  await expectAll(young, collection);
  await young.chroma.add(collection, 1500, 10);
  expect(await young.chroma.count(collection)).toBe(1510);
});

test('a backup of 1.x does not come up under 0.6.3: what was there is put back, and serves', async () => {
  using fixture = makeRun();
  const { run } = fixture;
  const young = await start('chromadb', '/data');
  await filled(young);
  await backedUp(run, storeOf({ container: young.name }));

  const old = await start('chromadb06', oldPath);
  const kept = await filled(old);
  const restoring = restore(run, restoreOptions(storeOf({ container: old.name })));
  await expect(restoring).rejects.toMatchObject({
    code: 'restore_failed',
    message: expect.stringMatching(/the previous data is back in place|the present data was not touched/),
  });
  await expectAll(old, kept);
  expect((await inVolume(old.volume, 'ls -A /v')).includes('pkbackup')).toBe(false);
  expect(await helpersLeft()).toEqual([]);
});
