// Who is held for one moment, where several instances of one stack run side by side.
import { beforeAll, expect, it } from 'vitest';
import { writersOf } from '../../src/operations/writers.ts';
import type { Look } from '../../src/stores/store.ts';
import { requireTestbed } from '../../testbed/index.ts';
import { makeContainer, stateOf, uniqueName } from '../docker/bed.ts';
import { makeRun } from './run-fixture.ts';

beforeAll(() => requireTestbed('chromadb'));

const service = uniqueName('app');
const makeApp = (project: string) =>
  makeContainer({
    labels: { 'com.docker.compose.project': project, 'com.docker.compose.service': service },
  });
const statusOf = async (id: string) => (await stateOf(id)).status;
const readyIn = (project?: string) => {
  const source = project === undefined ? {} : { compose_project: project };
  return { look: { source, counts: {}, volumes: [], isEmpty: false } satisfies Look, isHeld: false };
};

it('a service is all of its containers in the project of the stores, and none of another instance', async () => {
  using fixture = makeRun();
  const [work, home] = [uniqueName('work'), uniqueName('home')];
  const ours = [await makeApp(work), await makeApp(work)];
  const other = await makeApp(home);
  const writers = writersOf(fixture.run, { containers: [service], quiesce: 'pause' });
  const held = await writers.hold([readyIn(work)]);
  expect(await Promise.all([...ours, other].map(statusOf))).toEqual(['paused', 'paused', 'running']);
  await held.release();
  expect(await Promise.all(ours.map(statusOf))).toEqual(['running', 'running']);
  await expect(writers.hold([readyIn()])).rejects.toMatchObject({ code: 'ambiguous' });
  expect(await Promise.all([...ours, other].map(statusOf))).toEqual(['running', 'running', 'running']);
});
