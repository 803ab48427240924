// A step of a restore that was broken off in the middle (by a Docker Engine that was killed, by whoever removes containers)
// leaves data that is half swapped: nobody is started on it before that is put right.
import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import type { HoldPhase } from '../../src/quiesce/guard.ts';
import { heal } from '../../src/quiesce/heal.ts';
import { planHold } from '../../src/quiesce/index.ts';
import {
  chromaImage,
  containerOf,
  docker,
  helpersLeft,
  makeContainer,
  makeVolume,
  stateOf,
} from '../docker/bed.ts';

test('nobody is let go on data that is half swapped', async () => {
  const volume = await makeVolume();
  const id = await makeContainer({ volumes: { [volume]: '/data' } });
  const real = await docker();
  const restoreId = randomBytes(4).toString('hex');
  const wish = { volumes: [volume], mode: 'stop', graceSeconds: 1, restoreId } as const;
  const plan = await planHold(real, wish, new AbortController().signal);
  await containerOf(id).stop({ t: 1 });
  const step = await real.prepareRun({
    image: chromaImage,
    mounts: [{ source: volume, target: '/volume', isReadOnly: false }],
    command: ['/bin/sh', '-c', 'exit 137'],
    restoreId,
  });
  await step.run();

  const phases = new Map<string, HoldPhase>([[id, 'held']]);
  expect(await heal(real, plan, phases, { patienceMs: 500 })).toMatchObject([
    { result: 'failed', error: { message: expect.stringMatching(/was broken off \(exit code 137\)/) } },
  ]);
  expect((await stateOf(id)).status).toBe('exited');

  // As whoever undoes the restore does first.
  await real.clearHelpers(restoreId, { waits: false });
  expect(await heal(real, plan, phases, { patienceMs: 500 })).toMatchObject([{ result: 'started' }]);
  expect(await helpersLeft()).toEqual([]);
});
