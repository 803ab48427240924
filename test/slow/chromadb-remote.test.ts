// 100,000 vectors in 5 collections through the API, from each line of servers to 1.x, with both servers killed in the middle; what
// it took, and how much memory, is printed.
import { expect, test } from 'vitest';
import { restore } from '../../src/operations/restore.ts';
import { verify } from '../../src/operations/verify.ts';
import { requireTestbed } from '../../testbed/index.ts';
import { makeRun } from '../operations/run-fixture.ts';
import { backedUp, restoreOptions, storeFor } from '../stores/conformance.ts';
import {
  addRecords,
  everyRecord,
  expectSameRecords,
  killAndStart,
  listCollections,
  makeCollection,
  startRemote,
} from '../stores/fixtures/remote-chroma.ts';

const where = { database: 'default_database' };
const perCollection = 20_000;
const shapes = [
  { name: 'one', dimension: 8, metadata: '{"hnsw:space":"cosine"}' },
  { name: 'two', dimension: 16, metadata: '{"hnsw:space":"ip"}' },
  { name: 'three', dimension: 32, metadata: '{"hnsw:space":"l2","hnsw:M":24}' },
  { name: 'four', dimension: 64, metadata: '{"one":1.0}' },
  { name: 'five', dimension: 128, metadata: '{"big":9007199254740993}' },
];

test.each(['chromadb06', 'chromadb'] as const)(
  '100,000 vectors of %s come to 1.x as they were',
  async (server) => {
    await requireTestbed('chromadb', 'chromadb06');
    const source = await startRemote(server);
    for (const { name, dimension, metadata } of shapes) {
      const id = await makeCollection(source, where, name, { metadata });
      await addRecords(source, where, id, { from: 0, count: perCollection, dimension });
    }
    using fixture = makeRun();
    let killed: Promise<void> | undefined;
    const runWith = (said: string, kill: () => Promise<void>) => ({
      ...fixture.run,
      emit: (event: Parameters<typeof fixture.run.emit>[0]) => {
        fixture.events.push(event);
        if (event.type === 'step' && event.message === said) killed = kill();
      },
    });
    const store = storeFor({ kind: 'chromadb', start: () => Promise.reject() }, { url: source.url });
    const before = process.memoryUsage().rss;
    let startedMs = performance.now();
    const made = await backedUp(
      runWith('reading collection "three"', () => killAndStart(source)),
      store,
    );
    await killed;
    console.info(
      `${server}: saved in ${Math.round(performance.now() - startedMs)} ms, ${made.metadata.size_bytes} bytes`,
    );
    expect(made.metadata.counts).toEqual({ collections: 5, records: 5 * perCollection });
    expect(made.metadata.notes).toBeUndefined();
    const { backups } = await verify(fixture.run, { backups: [], level: 'content' });
    expect(backups[0]).toMatchObject({ ok: true, findings: [], notChecked: [] });

    const target = await startRemote('chromadb');
    startedMs = performance.now();
    killed = undefined;
    const writing = runWith('writing collection "three"', () => killAndStart(target));
    await restore(writing, { ...restoreOptions(store), to: target.url });
    await killed;
    expect(killed).toBeDefined();
    const grownBytes = process.memoryUsage().rss - before;
    console.info(
      `${server}: restored in ${Math.round(performance.now() - startedMs)} ms, memory +${grownBytes} bytes`,
    );
    const there = new Map((await listCollections(target, where)).map((one) => [one.name, one]));
    for (const { id, name, text } of await listCollections(source, where)) {
      const copy = there.get(name);
      if (!copy) throw new Error(`${name} is not there`);
      expectSameRecords(await everyRecord(target, where, copy.id), await everyRecord(source, where, id));
      expect(JSON.parse(copy.text).metadata).toEqual(JSON.parse(text).metadata);
      if (server === 'chromadb') expect(copy.text).toBe(text);
    }
  },
);
