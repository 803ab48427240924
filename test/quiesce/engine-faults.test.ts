import type { ServerResponse } from 'node:http';
import { expect, test } from 'vitest';
import { holdStill } from '../../src/quiesce/index.ts';
import { container, type FakeEngine, fakeEngine, json, type Script } from '../docker/fake-engine.ts';

/** A container that answers as it is told to, and remembers what it was asked to do. */
function scripted(
  verbs: Record<string, (response: ServerResponse, state: { Status: string }) => void>,
): Script {
  const state = { Status: 'running' };
  return (_request, response, path) => {
    if (path === '/containers/json')
      return json(response, [{ Id: 'c1', Names: ['/c1'], Mounts: [{ Type: 'volume', Name: 'data' }] }]);
    if (path === '/containers/c1/json') return json(response, container('c1', { ...state }));
    const verb = path.split('/').at(-1) ?? '';
    const answer = verbs[verb];
    if (answer) return answer(response, state);
    state.Status = verb === 'stop' ? 'exited' : verb === 'pause' ? 'paused' : 'running';
    response.writeHead(204).end();
  };
}

const hold = (engine: FakeEngine, quiesce: 'stop' | 'pause' = 'stop') =>
  holdStill({
    docker: engine.docker,
    volumes: ['data'],
    quiesce,
    graceSeconds: 0,
    store: 's',
    emit: () => undefined,
    signal: new AbortController().signal,
  });

test('a pause that is refused leaves the container running', async () => {
  await using engine = await fakeEngine(
    scripted({ pause: (response) => json(response, { message: 'not supported' }, 500) }),
  );
  await expect(hold(engine, 'pause')).rejects.toMatchObject({
    message: 'pause container "c1": not supported',
  });
  expect(engine.requests).not.toContain('POST /containers/c1/unpause');
}, 30_000);

test('a stop whose answer was lost is undone', async () => {
  const script = scripted({
    stop: (response, state) => {
      state.Status = 'exited';
      response.destroy();
    },
  });
  await using engine = await fakeEngine(script);
  await expect(hold(engine)).rejects.toMatchObject({ code: 'docker_unreachable' });
  expect(engine.requests.at(-1)).toBe('POST /containers/c1/start');
}, 30_000);

test('a start that fails at first is tried again', async () => {
  let refusals = 2;
  const script = scripted({
    start: (response, state) => {
      refusals -= 1;
      if (refusals >= 0) return json(response, { message: 'port is already allocated' }, 500);
      state.Status = 'running';
      response.writeHead(204).end();
    },
  });
  await using engine = await fakeEngine(script);
  const held = await hold(engine);
  expect(await held.release()).toMatchObject({ containers: ['c1'] });
  expect(refusals).toBe(-1);
}, 30_000);

test('a start that goes on failing is told with what to type', async () => {
  await using engine = await fakeEngine(
    scripted({ start: (response) => json(response, { message: 'port is already allocated' }, 500) }),
  );
  const held = await hold(engine);
  await expect(held.release()).rejects.toMatchObject({
    message: 'not running again: "c1" (start container "c1": port is already allocated)',
    hint: 'docker start c1 (or docker unpause)',
  });
}, 60_000);
