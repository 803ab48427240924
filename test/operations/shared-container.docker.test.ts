import { describe, expect, test } from 'vitest';
import type { ConfiguredStore } from '../../src/config/types.ts';
import { backup } from '../../src/operations/backup.ts';
import { helpersLeft, inVolume, makeContainer, makeVolume, stateOf, uniqueName } from '../docker/bed.ts';
import { makeRun } from './run-fixture.ts';

const names = ['one', 'two', 'three'];

async function containerWithVolumes() {
  const volumes = await Promise.all(names.map(() => makeVolume()));
  for (const volume of volumes) await inVolume(volume, 'head -c 2000000 /dev/urandom > /v/data');
  const id = await makeContainer({
    name: uniqueName('shared'),
    volumes: Object.fromEntries(volumes.map((volume, index) => [volume, `/data${index}`])),
  });
  const stores = volumes.map(
    (volume, index): ConfiguredStore => ({ name: names[index] ?? '', kind: 'volume', target: { volume } }),
  );
  return { id, stores };
}

describe.each(['pause', 'stop'] as const)('stores of one container, at once, with %s', (quiesce) => {
  test.each(['each for itself', 'at one moment'])('are backed up one after the other: %s', async (how) => {
    const client = uniqueName('client');
    if (how === 'at one moment') await makeContainer({ name: client });
    const clients = { containers: [client], quiesce: 'pause' } as const;
    const more = how === 'at one moment' ? { consistent: { clients, longestMs: 60_000 } } : {};
    const { id, stores } = await containerWithVolumes();
    using fixture = makeRun();
    const { run, events } = fixture;
    const held = stores.map((store) => ({ ...store, quiesce }));
    const result = await backup(run, { stores: held, parallel: 3, ...more });
    const errors = result.stores.flatMap((store) => (store.ok ? [] : [store.error.message]));
    expect(errors).toEqual([]);
    expect((await run.repository.list()).backups).toHaveLength(names.length);
    expect(await stateOf(id)).toMatchObject({ status: 'running' });
    // Never held for two: each hold ends before the next begins.
    const order = events.flatMap((event) => {
      const isHold = event.type === 'held' || event.type === 'released';
      return isHold && names.includes(event.store) ? [event.type] : [];
    });
    expect(order).toEqual(names.flatMap(() => ['held', 'released']));
    expect(await helpersLeft()).toEqual([]);
  });
});
