// A ChromaDB by its directory of this host: refused while somebody has it open, saved and restored while nobody has; and on to
// a volume and back.
import { chmodSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { beforeAll, expect, test } from 'vitest';
import type { ConfiguredStore } from '../../src/config/types.ts';
import { backup } from '../../src/operations/backup.ts';
import { restore } from '../../src/operations/restore.ts';
import { verify } from '../../src/operations/verify.ts';
import { requireTestbed } from '../../testbed/index.ts';
import { makeTempDir } from '../archive/gather.ts';
import { chromaImage, makeContainer, makeVolume } from '../docker/bed.ts';
import { makeRun } from '../operations/run-fixture.ts';
import { clientOf, startChroma, untilHealthy, vectorOf } from './chroma-client.ts';
import { backedUp, restoreOptions } from './conformance.ts';
import { stopContainer } from './fixtures/containers.ts';

beforeAll(() => requireTestbed('chromadb'));

const store = (target: object): ConfiguredStore => ({ name: 'subject', kind: 'chromadb', target });

/** A server on a directory of this host. */
async function startOn(directory: string) {
  const id = await makeContainer({
    image: chromaImage,
    volumes: { [directory]: '/data' },
    hostConfig: {
      PortBindings: { '8000/tcp': [{ HostIp: '127.0.0.1', HostPort: '0' }] },
    },
  });
  await untilHealthy(id);
  return clientOf(id);
}

async function filled() {
  const path = makeTempDir();
  chmodSync(path, 0o777);
  const chroma = await startOn(path);
  const collection = await chroma.createCollection('documents');
  for (const from of [0, 500, 1000]) await chroma.add(collection, from, 500);
  return { path, chroma, collection };
}

test('is refused while a server has it open, and saved and restored when it has stopped', async () => {
  // Who has a file open only root sees.
  expect(process.getuid?.()).toBe(0);
  using fixture = makeRun();
  const run = { ...fixture.run, docker: () => Promise.reject(new Error('Docker was asked for')) };
  const { path, chroma, collection } = await filled();
  const subject = store({ path });
  const refused = await backup(run, { stores: [subject] });
  expect(refused.stores[0]).toMatchObject({
    ok: false,
    error: {
      code: 'backup_failed',
      message: expect.stringMatching(/\(pid \d+\) has ".*" open/),
      hint: expect.stringMatching(/stop the server/),
    },
  });
  await stopContainer(chroma.id, 30);
  const made = await backedUp(run, subject);
  expect(made.metadata).toMatchObject({
    quiesce: 'none',
    counts: { collections: 1, records: 1500 },
    source: { path },
  });
  const { backups } = await verify(run, { backups: [], level: 'content' });
  expect(backups[0]).toMatchObject({ ok: true, findings: [], notChecked: [] });

  const running = await startOn(path);
  await running.add(collection, 5000, 5);
  await expect(restore(run, restoreOptions(subject))).rejects.toMatchObject({
    code: 'restore_failed',
    message: expect.stringMatching(/open; nothing was touched/),
  });
  await stopContainer(running.id, 30);
  const { counts, safetyBackup } = await restore(run, restoreOptions(subject));
  expect(counts).toEqual({ collections: 1, records: 1500 });
  expect(safetyBackup?.metadata).toMatchObject({ counts: { records: 1505 } });
  expect(readdirSync(path).filter((name) => name.includes('pkbackup'))).toEqual([]);

  // Beside, where a server takes it up with every vector.
  const beside = join(makeTempDir(), 'copy');
  await restore(run, { ...restoreOptions(subject), to: beside });
  const again = await startOn(beside);
  expect(await again.count(collection)).toBe(1500);
  expect((await again.everything(collection)).get('r321')?.map(Math.fround)).toEqual(vectorOf(321));
  await stopContainer(again.id, 30);
  rmSync(path, { recursive: true });
  const gone = await backup(run, { stores: [subject] });
  expect(gone.stores[0]).toMatchObject({ ok: false, error: { code: 'not_found' } });
  // Removed altogether, it is made again.
  await restore(run, restoreOptions(subject));
  expect(existsSync(join(path, 'chroma.sqlite3'))).toBe(true);
});

test('goes into a volume, and comes from one', async () => {
  using fixture = makeRun();
  const { run } = fixture;
  const { path, chroma, collection } = await filled();
  await stopContainer(chroma.id, 30);
  await backedUp(run, store({ path }));
  const volume = await makeVolume();
  await restore(run, { ...restoreOptions(store({ path })), to: `volume:${volume}` });
  const inVolume = await startChroma(volume);
  expect(await inVolume.count(collection)).toBe(1500);

  await inVolume.add(collection, 5000, 7);
  using second = makeRun();
  const subject = store({ container: inVolume.id });
  await backedUp(second.run, subject);
  const directory = join(makeTempDir(), 'from-volume');
  const { counts } = await restore(second.run, { ...restoreOptions(subject), to: directory });
  expect(counts).toEqual({ collections: 1, records: 1507 });
  const there = await startOn(directory);
  expect(await there.count(collection)).toBe(1507);
  await stopContainer(there.id, 30);
});
