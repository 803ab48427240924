import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { encodeEntry, endOfArchive, padding, type TarEntry } from '../../src/archive/tar-format.ts';
import { scanTar } from '../../src/archive/tar-scan.ts';
import { holdStill } from '../../src/quiesce/index.ts';
import { chromadb } from '../../src/stores/chromadb.ts';
import type { BackupFacts, Content, Look } from '../../src/stores/store.ts';
import {
  bytesOf,
  chromaImage,
  containerOf,
  helpersLeft,
  inVolume,
  makeContainer,
  makeContext,
  makeVolume,
  piecesOf,
  removeContainer,
  removeVolume,
  stateOf,
  uniqueName,
  volumeNamed,
} from '../docker/bed.ts';
import { type Chroma, startChroma, untilHealthy, vectorOf } from './chroma-client.ts';

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'pkbackup-chroma-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

interface Made {
  readonly tar: Buffer;
  readonly look: Look;
  readonly facts: BackupFacts;
}

/** As the operation does it. */
async function backUp(target: { container?: string; volume?: string; data_path?: string }): Promise<Made> {
  const { context } = makeContext(scratch);
  const look = await chromadb.look(target, context);
  const { emit, signal, store } = context;
  await using hold = await holdStill({
    docker: await context.docker(),
    volumes: look.volumes,
    quiesce: 'stop',
    store,
    emit,
    signal,
  });
  const snapshot = await chromadb.snapshot(target, look, context);
  const tar = await bytesOf(snapshot.tar);
  const report = await hold.release();
  await snapshot.dispose?.();
  expect(report).toMatchObject({ killed: [], consistent: true });
  const counts = snapshot.counts ?? look.counts;
  return { tar, look, facts: { kind: 'chromadb', store: store, source: look.source, counts } };
}

async function restore(target: object, made: Made, beside = false) {
  const { context, events } = makeContext(scratch);
  const restoration = await chromadb.planRestore(target, made.facts, { beside }, context);
  await restoration.stage(contentOf(made.tar));
  const { emit, signal, store } = context;
  const docker = await context.docker();
  {
    await using _hold = await holdStill({
      docker,
      volumes: restoration.plan.volumes,
      quiesce: 'stop',
      store,
      emit,
      signal,
    });
    await restoration.swap();
  }
  return { restoration, events };
}

const contentOf = (tar: Buffer): Content => ({ tar: () => piecesOf(tar) });
const check = (made: Made, tar = made.tar) =>
  chromadb.check!(contentOf(tar), made.facts, makeContext(scratch).context);

/** Rewrites the files of a tar; undefined leaves one out. */
async function edited(
  tar: Buffer,
  edit: (name: string, data: Buffer) => Buffer | undefined,
): Promise<Buffer> {
  const files: { entry: TarEntry; data: Buffer }[] = [];
  for await (const piece of scanTar(piecesOf(tar))) {
    if (piece.type === 'entry') files.push({ entry: piece.entry, data: Buffer.alloc(0) });
    else files.at(-1)!.data = Buffer.concat([files.at(-1)!.data, piece.bytes]);
  }
  const out = files.flatMap(({ entry, data }) => {
    const changed = entry.type === 'file' ? edit(entry.path.toString(), data) : data;
    if (!changed) return [];
    return [encodeEntry({ ...entry, size: changed.length }), changed, padding(changed.length)];
  });
  return Buffer.concat([...out, endOfArchive]);
}

async function seeded(volume: string): Promise<{ chroma: Chroma; name: string; collections: string[] }> {
  const name = uniqueName('chroma');
  const chroma = await startChroma(volume, { name });
  const collections = [
    await chroma.createCollection('large'),
    await chroma.createCollection('small'),
    await chroma.createCollection('none'),
  ];
  for (let from = 0; from < 2500; from += 500) await chroma.add(collections[0]!, from, 500);
  await chroma.add(collections[1]!, 0, 20);
  return { chroma, name, collections };
}

test('a server that is written to all the time comes back with everything that was acknowledged before the stop', async () => {
  const volume = await makeVolume();
  const { chroma, name, collections } = await seeded(volume);
  const [large, small] = collections as [string, string];
  let acknowledged = 20;
  let stopped = false;
  const writer = (async () => {
    while (!stopped) {
      try {
        await chroma.add(small, acknowledged, 1);
        acknowledged += 1;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  })();
  await new Promise((resolve) => setTimeout(resolve, 500));
  const acknowledgedBefore = acknowledged;
  const made = await backUp({ container: name });
  stopped = true;
  await writer;
  expect(made.facts.counts).toMatchObject({ collections: 3 });
  expect(made.facts.counts.records).toBeGreaterThanOrEqual(2500 + acknowledgedBefore);
  expect(await check(made)).toEqual({ findings: [], counts: made.facts.counts, notChecked: [] });
  await untilHealthy(chroma.id);
  const before = await chroma.everything(large);

  await removeContainer(chroma.id);
  await removeVolume(volume);
  const gone = await restore({ container: name }, made);
  expect(await gone.restoration.check()).toEqual(made.facts.counts);
  expect(await gone.restoration.previous()).toBeUndefined();
  await gone.restoration.discard();

  const again = await startChroma(volume, { name });
  expect(await again.everything(large)).toEqual(before);
  expect((await again.count(large)) + (await again.count(small))).toBe(made.facts.counts.records);
  expect(await again.nearest(large, vectorOf(1234))).toBe('r1234');
  expect(await helpersLeft()).toEqual([]);
});

test('a restore over a running server is checked by the server itself, and can be rolled back', async () => {
  const volume = await makeVolume();
  const { chroma, name, collections } = await seeded(volume);
  const [large] = collections as [string];
  const made = await backUp({ container: name });
  await untilHealthy(chroma.id);
  const before = await chroma.everything(large);
  await chroma.add(large, 9000, 10);
  const { restoration, events } = await restore({ container: name }, made);
  expect(restoration.plan.presentCounts).toEqual({ collections: 3, records: 2530 });
  expect(restoration.plan.freeBytes).toBeGreaterThan(0);
  expect(await restoration.check()).toEqual(made.facts.counts);
  expect(events.filter(({ type }) => type === 'step')).toEqual([]);
  expect(await chroma.everything(large)).toEqual(before);
  const { context } = makeContext(scratch);
  {
    const { emit, signal, store } = context;
    await using _hold = await holdStill({
      docker: await context.docker(),
      volumes: [volume],
      quiesce: 'stop',
      store,
      emit,
      signal,
    });
    await restoration.rollback();
  }
  await (await context.docker()).waitUntilHealthy(chroma.id);
  expect(await chroma.count(large)).toBe(2510);
});

test('a server whose index files are gone is found out, although its counts are right', async () => {
  const volume = await makeVolume();
  const { name } = await seeded(volume);
  const made = await backUp({ container: name });
  const tar = await edited(made.tar, (path, data) =>
    path.endsWith('.bin') || path.endsWith('.pickle') ? undefined : data,
  );
  const { restoration } = await restore({ container: name }, { ...made, tar });
  await expect(restoration.check()).rejects.toMatchObject({
    code: 'restore_failed',
    message: expect.stringMatching(
      /collection "large": the server cannot give its vectors|expected 10 vectors/,
    ),
  });
});

test('content damage of every kind is found in the files', async () => {
  const volume = await makeVolume();
  const { chroma, name, collections } = await seeded(volume);
  const old = await backUp({ container: name });
  await untilHealthy(chroma.id);
  for (const from of [2500, 3500, 4500]) await chroma.add(collections[0]!, from, from === 4500 ? 500 : 1000);
  const made = await backUp({ container: name });
  expect((await check(made)).findings).toEqual([]);
  const oldFiles = new Map<string, Buffer>();
  await edited(old.tar, (path, data) => {
    oldFiles.set(path, data);
    return data;
  });
  const damaged = async (edit: (path: string, data: Buffer) => Buffer | undefined) =>
    (await check(made, await edited(made.tar, edit))).findings;
  const without = (end: string) => damaged((path, data) => (path.endsWith(end) ? undefined : data));
  const emptied = (end: string) => damaged((path, data) => (path.endsWith(end) ? Buffer.alloc(0) : data));
  const outdated = (end: RegExp) =>
    damaged((path, data) => (end.test(path) ? (oldFiles.get(path) ?? data) : data));

  expect(await without('chroma.sqlite3')).toEqual(['there is no chroma.sqlite3']);
  for (const file of [
    'header.bin',
    'data_level0.bin',
    'length.bin',
    'link_lists.bin',
    'index_metadata.pickle',
  ]) {
    expect(await without(file)).toEqual([expect.stringContaining(`${file} is missing or empty`)]);
    expect(await emptied(file)).toEqual([expect.stringContaining(`${file} is missing or empty`)]);
  }
  expect(await outdated(/\.(bin|pickle)$/)).toEqual([
    expect.stringMatching(/hold 2000 vectors, and \d+ records need one/),
  ]);
  expect(await outdated(/pickle$/)).toEqual([
    expect.stringMatching(/\d+ records are not in its index: it is of another collection or time/),
  ]);
  expect(await outdated(/data_level0\.bin$/)).toEqual([
    expect.stringContaining('data_level0.bin is too short'),
  ]);
  expect(await outdated(/sqlite3$/)).toEqual([expect.stringMatching(/expected 5020 records, found 2520/)]);
  const torn = await damaged((path, data) =>
    path.endsWith('sqlite3')
      ? Buffer.concat([data.subarray(0, data.length / 2), Buffer.alloc(data.length / 2)])
      : data,
  );
  expect(torn.length).toBeGreaterThan(0);
});

test('vectors that are in no index file and not in the queue are found', async () => {
  const volume = await makeVolume();
  const { name } = await seeded(volume);
  const { context } = makeContext(scratch);
  const made = await backUp({ container: name });
  await (await context.docker()).stop({ id: name, name }, 60);
  await inVolume(volume, 'ls /v');
  const { DatabaseSync } = await import('node:sqlite');
  const { writeFileSync, readFileSync } = await import('node:fs');
  const tar = await edited(made.tar, (path, data) => {
    if (!path.endsWith('sqlite3')) return data;
    const file = join(scratch, 'purged.sqlite3');
    writeFileSync(file, data);
    const database = new DatabaseSync(file);
    database.exec('DELETE FROM embeddings_queue');
    database.close();
    return readFileSync(file);
  });
  expect((await check(made, tar)).findings.toSorted()).toEqual([
    'collection "large": 500 vectors are neither in an index file nor in the queue',
    'collection "small": 20 vectors are neither in an index file nor in the queue',
  ]);
});

test('an old mount under a new server is refused: the data lies in the container', async () => {
  const volume = await makeVolume();
  const { id } = await startChroma(volume, { path: '/chroma/chroma' });
  const { name } = await (await makeContext().context.docker()).findContainer(id);
  await expect(chromadb.look({ container: name }, makeContext(scratch).context)).rejects.toMatchObject({
    code: 'backup_failed',
    message: `data directory "/data" of container "${name}" is not on a mount (volume "${volume}" is mounted at "/chroma/chroma")`,
  });
  await inVolume(volume, 'touch /v/chroma.sqlite3');
  await expect(chromadb.look({ container: name }, makeContext(scratch).context)).rejects.toMatchObject({
    code: 'backup_failed',
  });
});

test('a server without collections is empty, and so is a volume without a database', async () => {
  const volume = await makeVolume();
  const name = uniqueName('chroma');
  const chroma = await startChroma(volume, { name });
  const { context } = makeContext(scratch);
  expect(await chromadb.look({ container: name }, context)).toMatchObject({
    isEmpty: true,
    version: '1',
    volumes: [volume],
    source: { container: name, image: chromaImage, volume, image_digest: expect.stringMatching(/^sha256:/) },
  });
  await chroma.createCollection('one');
  expect((await chromadb.look({ container: name }, context)).isEmpty).toBe(false);
  expect((await chromadb.look({ volume }, context)).source.container).toBe(name);
  const bare = await makeVolume();
  expect((await chromadb.look({ volume: bare }, context)).isEmpty).toBe(true);
});

test('a data directory below the mount is saved and restored as itself', async () => {
  const volume = await makeVolume();
  await inVolume(volume, 'mkdir -p /v/inner && echo other > /v/other');
  const name = uniqueName('chroma');
  const chroma = await startChroma(volume, { path: '/chroma', name });
  await inVolume(volume, 'rmdir /v/inner');
  const { context } = makeContext(scratch);
  await (await context.docker()).stop({ id: chroma.id, name }, 60);
  const source = await makeVolume();
  const { name: other } = await seeded(source);
  const made = await backUp({ container: other });
  await inVolume(volume, 'mkdir /v/chroma && touch /v/chroma/chroma.sqlite3');
  const { restoration } = await restore({ container: name, data_path: '/chroma/chroma' }, made);
  expect(await restoration.check()).toEqual(made.facts.counts);
  await restoration.discard();
  expect(await inVolume(volume, 'ls -A /v')).toBe('chroma\nother\n');
  const inside = (await inVolume(volume, 'ls -A /v/chroma')).trim().split('\n');
  expect(inside.filter((name) => !/^[0-9a-f-]{36}$/.test(name))).toEqual(['chroma.sqlite3']);
});

test('data on a directory of the host is saved and restored like that on a volume', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'pkbackup-bind-'));
  const name = uniqueName('chroma');
  const chroma = await startChroma(directory, { name });
  const collection = await chroma.createCollection('one');
  await chroma.add(collection, 0, 30);
  const made = await backUp({ container: name });
  expect(made.look).toMatchObject({ volumes: [directory], source: { path: directory } });
  await untilHealthy(chroma.id);
  await chroma.add(collection, 100, 1);
  const { restoration } = await restore({ container: name }, made);
  expect(restoration.plan.target).toBe(`directory "${directory}"`);
  expect(await restoration.check()).toEqual({ collections: 1, records: 30 });
  await restoration.discard();
  expect(await chroma.count(collection)).toBe(30);

  // A repository in there is not saved with it, and stays where it is.
  await inVolume(directory, 'mkdir /v/backups && echo precious > /v/backups/x.tar.gz');
  const { context } = makeContext(scratch);
  const within = { ...context, repositoryDir: join(directory, 'backups') };
  const look = await chromadb.look({ container: name }, within);
  const { skip, dispose } = await chromadb.snapshot({ container: name }, look, within);
  await dispose?.();
  const saves = (path: string) => !skip?.({ path: Buffer.from(path), type: 'file' } as TarEntry);
  expect(['./backups/x.tar.gz', './backupsx', './chroma.sqlite3'].map(saves)).toEqual([false, true, true]);
  await expect(
    chromadb.planRestore({ container: name }, made.facts, { beside: false }, within),
  ).rejects.toThrow(/the repository ".*" lies in what would be replaced/);
  await removeContainer(chroma.id);
  await rm(directory, { recursive: true });
});

test('it is restored beside into a volume that did not exist, and into none that holds anything', async () => {
  const volume = await makeVolume();
  const { name } = await seeded(volume);
  const made = await backUp({ container: name });
  const beside = volumeNamed(uniqueName('beside'));
  const target = chromadb.retarget({ container: name }, beside);
  const { restoration } = await restore(target, made, true);
  expect(await restoration.check()).toEqual(made.facts.counts);
  await restoration.discard();
  const copy = await startChroma(beside);
  expect(await copy.nearest(await idOf(copy, 'large'), vectorOf(77))).toBe('r77');
  const { context } = makeContext(scratch);
  await expect(chromadb.planRestore(target, made.facts, { beside: true }, context)).rejects.toMatchObject({
    code: 'restore_failed',
  });
  expect((await stateOf(name)).status).toBe('running');
});

async function idOf(chroma: Chroma, name: string): Promise<string> {
  const path = `/api/v2/tenants/default_tenant/databases/default_database/collections/${name}`;
  return ((await chroma.call('GET', path)) as { id: string }).id;
}

test('recognised by image, whatever the registry; other images are not', async () => {
  const { context } = makeContext();
  const id = await makeContainer({ image: chromaImage, isStarted: false });
  const container = (await (await context.docker()).container(id))!;
  const recognises = (image: string) => chromadb.recognise?.({ ...container, image }) !== undefined;
  for (const image of [
    'chromadb/chroma',
    'chromadb/chroma:1.0.15',
    'registry.example/chroma-core/chroma:latest',
    chromaImage,
    'registry.example/chromadb/chroma@sha256:00',
    'localhost:5000/chromadb/chroma:1',
  ]) {
    expect(recognises(image), image).toBe(true);
  }
  for (const image of [
    'postgres:17',
    'mychroma/ui',
    'someone/chroma-mcp',
    'falkordb/falkordb',
    'chromadb-admin:1',
  ]) {
    expect(recognises(image), image).toBe(false);
  }
  await containerOf(id).remove();
});
