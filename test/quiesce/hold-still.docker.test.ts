import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Event } from '../../src/events.ts';
import { type HoldOptions, holdStill } from '../../src/quiesce/index.ts';
import { containerOf, docker, makeContainer, makeVolume, stateOf, uniqueName } from '../docker/bed.ts';

async function hold(volume: string, options: Partial<HoldOptions> = {}) {
  const events: Event[] = [];
  const held = await holdStill({
    docker: await docker(),
    volumes: [volume],
    quiesce: 'stop',
    store: 'under-test',
    emit: (event) => events.push(event),
    signal: new AbortController().signal,
    ...options,
  });
  return { held, events };
}

/** Ignores SIGTERM. */
const stubborn = { entrypoint: ['/bin/bash', '-c'], command: ['trap "" TERM; while :; do sleep 0.2; done'] };

async function user(
  volume: string,
  options: Parameters<typeof makeContainer>[0] = {},
): Promise<{ id: string; name: string }> {
  const name = uniqueName('user');
  return { id: await makeContainer({ name, volumes: { [volume]: '/data' }, ...options }), name };
}

test('everyone who mounts the volume is stopped, whatever it is called, and only those who ran are started again', async () => {
  const volume = await makeVolume();
  const first = await user(volume);
  const second = await user(volume);
  const ended = await user(volume);
  await containerOf(ended.id).stop({ t: 1 });
  const created = await user(volume, { isStarted: false });
  const stranger = await user(await makeVolume());
  const strangerBefore = await stateOf(stranger.id);
  const { held, events } = await hold(volume);
  expect([...held.containers].toSorted()).toEqual([first.name, second.name].toSorted());
  for (const { id } of [first, second]) expect((await stateOf(id)).status).toBe('exited');
  await sleep(300);
  const report = await held.release();
  expect(report).toMatchObject({ killed: [], consistent: true });
  expect(report.downtimeMs).toBeGreaterThanOrEqual(300);
  for (const { id } of [first, second]) expect((await stateOf(id)).status).toBe('running');
  expect((await stateOf(ended.id)).status).toBe('exited');
  expect((await stateOf(created.id)).status).toBe('created');
  expect(await stateOf(stranger.id)).toEqual(strangerBefore);
  expect(events.map(({ type }) => type)).toEqual(['held', 'released']);
  expect(await held.release()).toBe(report);
});

test('a pause is a pause, and who was paused before stays paused', async () => {
  const volume = await makeVolume();
  const running = await user(volume);
  const paused = await user(volume);
  await containerOf(paused.id).pause();
  const before = await stateOf(running.id);
  const { held } = await hold(volume, { quiesce: 'pause' });
  expect(held.containers).toEqual([running.name]);
  expect((await stateOf(running.id)).status).toBe('paused');
  expect(await held.release()).toMatchObject({ consistent: true });
  expect(await stateOf(running.id)).toEqual(before);
  expect((await stateOf(paused.id)).status).toBe('paused');
});

test('a container that came back by itself, or a newcomer, makes the copy inconsistent', async () => {
  const volume = await makeVolume();
  const { id } = await user(volume);
  const first = await hold(volume);
  await containerOf(id).start();
  expect(await first.held.release()).toMatchObject({ consistent: false });
  const second = await hold(volume);
  await containerOf(id).start();
  await containerOf(id).stop({ t: 1 });
  expect(await second.held.release()).toMatchObject({ consistent: false });
  const third = await hold(volume);
  await user(volume);
  expect(await third.held.release()).toMatchObject({ consistent: false });
  const fourth = await hold(volume, { quiesce: 'pause' });
  await containerOf(id).unpause();
  expect(await fourth.held.release()).toMatchObject({ consistent: false });
  expect((await stateOf(id)).status).toBe('running');
});

test('a server that had to be killed is reported', async () => {
  const volume = await makeVolume();
  const { name, id } = await user(volume, stubborn);
  const { held, events } = await hold(volume, { graceSeconds: 1 });
  expect(await held.release()).toMatchObject({ killed: [name], consistent: true });
  expect(events).toContainEqual(
    expect.objectContaining({
      type: 'warning',
      message: `container "${name}" was killed: it did not stop within 1 s`,
    }),
  );
  expect((await stateOf(id)).status).toBe('running');
});

test('nothing is touched where one of them cannot be stopped safely', async () => {
  const volume = await makeVolume();
  const plain = await user(volume);
  const before = await stateOf(plain.id);
  const transient = await user(volume, { hostConfig: { AutoRemove: true } });
  await expect(hold(volume)).rejects.toMatchObject({
    message: expect.stringContaining('was started with --rm'),
  });
  await containerOf(transient.id).remove({ force: true });
  const paused = await user(volume);
  await containerOf(paused.id).pause();
  await expect(hold(volume)).rejects.toMatchObject({ message: expect.stringContaining('is paused') });
  expect(await stateOf(plain.id)).toEqual(before);
  await containerOf(paused.id).unpause();
});

test('an abort while a server is still stopping waits for it and starts it again', async () => {
  const volume = await makeVolume();
  const { id } = await user(volume, stubborn);
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 300);
  await expect(hold(volume, { signal: controller.signal, graceSeconds: 2 })).rejects.toMatchObject({
    code: 'interrupted',
  });
  expect((await stateOf(id)).status).toBe('running');
  await sleep(3000);
  expect((await stateOf(id)).status).toBe('running');
});

test('when one of several cannot be stopped, the others run again', async () => {
  const volume = await makeVolume();
  const first = await user(volume);
  const second = await user(volume);
  const real = await docker();
  const refusing = {
    ...real,
    stop: async (container: { id: string; name: string }, grace: number) => {
      if (container.id === second.id) throw new Error('no');
      return real.stop(container, grace);
    },
  };
  await expect(hold(volume, { docker: refusing, graceSeconds: 1 })).rejects.toThrow('no');
  for (const { id } of [first, second]) expect((await stateOf(id)).status).toBe('running');
});

test('disposing lets go, also when nobody released', async () => {
  const volume = await makeVolume();
  const { id } = await user(volume);
  {
    const { held } = await hold(volume);
    await using _held = held;
  }
  expect((await stateOf(id)).status).toBe('running');
});

test('who depends on another is stopped before it and started after it', async () => {
  const volume = await makeVolume();
  const project = uniqueName('project');
  const labels = (service: string, dependsOn = '') => ({
    'com.docker.compose.project': project,
    'com.docker.compose.service': service,
    'com.docker.compose.depends_on': dependsOn,
  });
  const database = await user(volume, { labels: labels('db') });
  const server = await user(volume, { labels: labels('server', 'db:service_started:false') });
  const worker = await user(volume, {
    labels: labels('worker', 'server:service_healthy:false,db:service_started:true'),
  });
  const { held } = await hold(volume);
  const ends = await Promise.all(
    [worker, server, database].map(async ({ id }) =>
      Date.parse((await containerOf(id).inspect()).State.FinishedAt),
    ),
  );
  expect(ends).toEqual(ends.toSorted((a, b) => a - b));
  await held.release();
  const starts = await Promise.all(
    [database, server, worker].map(async ({ id }) => Date.parse((await stateOf(id)).startedAt)),
  );
  expect(starts).toEqual(starts.toSorted((a, b) => a - b));
});

test('a container that compose made anew meanwhile is started by its project and service', async () => {
  const volume = await makeVolume();
  const labels = { 'com.docker.compose.project': uniqueName('project'), 'com.docker.compose.service': 'db' };
  const { id } = await user(volume, { labels });
  const { held } = await hold(volume);
  await containerOf(id).remove();
  const successor = await user(volume, { labels, isStarted: false });
  await held.release();
  expect((await stateOf(successor.id)).status).toBe('running');
});

test('where nobody runs on the volume there is nothing to hold', async () => {
  const volume = await makeVolume();
  const { held, events } = await hold(volume);
  expect(await held.release()).toEqual({ downtimeMs: 0, containers: [], killed: [], consistent: true });
  expect(events).toEqual([]);
});
