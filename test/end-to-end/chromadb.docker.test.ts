// ChromaDB through the published program: 3 collections, 20,000 vectors, a client that writes all the time; the volume is
// deleted and comes back as it was at the stop.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { makeDirectory, pkbackup } from '../cli/program.ts';
import {
  makeVolume,
  removeContainer,
  removeVolume,
  stateOf,
  uniqueName,
  volumeNamed,
} from '../docker/bed.ts';
import { type Chroma, startChroma, vectorOf } from '../stores/chroma-client.ts';

const perCollection = [8000, 7000, 5000];
const batch = 500;

async function fill(chroma: Chroma): Promise<string[]> {
  const ids: string[] = [];
  for (const [index, count] of perCollection.entries()) {
    const id = await chroma.createCollection(`collection-${index}`);
    for (let from = 0; from < count; from += batch) await chroma.add(id, from, batch);
    ids.push(id);
  }
  return ids;
}

/** Adds records until it is stopped; a server that is down is waited for. */
function startWriter(chroma: Chroma, collection: string, first: number) {
  const state = { acknowledged: first - 1, isRunning: true, refused: 0 };
  const loop = (async () => {
    for (let next = first; state.isRunning; ) {
      try {
        await chroma.add(collection, next, 1);
        state.acknowledged = next;
        next += 1;
      } catch {
        state.refused += 1;
        await sleep(50);
      }
    }
  })();
  const stop = () => {
    state.isRunning = false;
    return loop;
  };
  return { state, stop };
}

test('3 collections and 20,000 vectors come back from a deleted volume, with a writer during the backup', {
  timeout: 600_000,
}, async () => {
  const volume = await makeVolume();
  const name = uniqueName('chroma');
  const chroma = await startChroma(volume, { name });
  const collections = await fill(chroma);
  const written = collections[0] ?? '';
  const cwd = makeDirectory({
    'pkbackup.yaml': `stores:\n  vectors: { kind: chromadb, container: ${name}, volume: ${volume} }\n`,
  });
  const env = { DOCKER_HOST: process.env.DOCKER_HOST ?? '' };
  const run = async (...args: string[]) => {
    const ran = await pkbackup(args, { cwd, env });
    expect(ran.exitCode, `${args.join(' ')}: ${ran.stderr}`).toBe(0);
    return ran;
  };

  const writer = startWriter(chroma, written, perCollection[0] ?? 0);
  await sleep(500);
  const acknowledgedBefore = writer.state.acknowledged;
  const { stdout } = await run('backup', '--json');
  const made = JSON.parse(stdout);
  await writer.stop();
  expect(writer.state.acknowledged).toBeGreaterThan(acknowledgedBefore);
  expect(writer.state.refused).toBeGreaterThan(0);
  const counts = made.stores[0].backup.counts ?? made.stores[0].counts;
  expect(counts.collections).toBe(3);
  expect(counts.records).toBeGreaterThan(20_000);
  await run('verify', '--level', 'content');

  const before = await Promise.all(collections.map((id) => chroma.everything(id)));
  await removeContainer(chroma.id);
  await removeVolume(volume);
  const restored = await run('restore', 'vectors@latest', '--yes');
  volumeNamed(volume);
  expect(restored.stderr).not.toContain('warning');

  const again = await startChroma(volume, { name });
  const found = await Promise.all(collections.map((id) => again.everything(id)));
  expect(found.map((records) => records.size).reduce((sum, size) => sum + size)).toBe(counts.records);
  expect(found[1]).toEqual(before[1]);
  expect(found[2]).toEqual(before[2]);
  const total = found[0]?.size ?? 0;
  expect(total).toBeGreaterThan(acknowledgedBefore);
  for (let n = 0; n < total; n += 1) expect(found[0]?.get(`r${n}`)).toEqual(before[0]?.get(`r${n}`));
  for (const n of [0, 1234, 4999]) {
    for (const id of collections) expect(await again.nearest(id, vectorOf(n))).toBe(`r${n}`);
  }
  expect((await stateOf(again.id)).status).toBe('running');
  expect(await again.count(collections[2] ?? '')).toBe(perCollection[2]);
});
