// A restore is done when what was held serves again, not when it was started; and a rollback leaves it running.
import { expect, test } from 'vitest';
import type { ConfiguredStore } from '../../src/config/types.ts';
import { backup } from '../../src/operations/backup.ts';
import { restore } from '../../src/operations/restore.ts';
import { helpersLeft, inVolume, makeContainer, makeVolume, stateOf } from '../docker/bed.ts';
import { makeRun } from './run-fixture.ts';

test('a server that ends on the restored data is a failed restore: the previous data is back, and the server runs', async () => {
  using fixture = makeRun();
  const volume = await makeVolume();
  await inVolume(volume, 'echo poison > /v/poison');
  const store: ConfiguredStore = { name: 'files', kind: 'volume', target: { volume }, quiesce: 'stop' };
  const made = await backup(fixture.run, { stores: [store] });
  expect(made.stores[0]?.ok).toBe(true);
  await inVolume(volume, 'rm /v/poison; echo good > /v/good');
  const server = await makeContainer({
    entrypoint: ['/bin/bash', '-c'],
    command: ['test -e /data/poison && exit 1; trap exit TERM; while :; do sleep 0.1; done'],
    volumes: { [volume]: '/data' },
  });
  const failure = await restore(fixture.run, {
    backup: 'files@1',
    stores: [store],
    safetyBackup: true,
    confirm: async () => true,
  }).catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: 'restore_failed' });
  expect((failure as Error).message).toMatch(
    /ended with exit code 1; the previous data is back in place, and ".*" serves again$/,
  );
  expect((await stateOf(server)).status).toBe('running');
  expect(await inVolume(volume, 'ls -A /v')).toBe('good\n');
  expect(await helpersLeft()).toEqual([]);
});
