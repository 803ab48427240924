import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { connectDocker } from '../../src/docker/index.ts';
import { bytesFrom, container, fakeEngine, json, limits, type Script } from './fake-engine.ts';

const answers: [string, Script, object][] = [
  [
    '500',
    (_request, response) => json(response, { message: 'disk on fire' }, 500),
    { code: 'failed', message: 'stop container "c1": disk on fire', hint: expect.stringContaining('log') },
  ],
  [
    '409',
    (_request, response) => json(response, { message: 'is being removed' }, 409),
    { code: 'failed', message: 'stop container "c1": is being removed' },
  ],
  [
    '404',
    (_request, response) => json(response, { message: 'No such container: c1' }, 404),
    { code: 'not_found' },
  ],
  [
    'a connection that is closed at once',
    (request) => void request.socket.destroy(),
    { code: 'docker_unreachable', message: expect.stringContaining('broke the connection off') },
  ],
  [
    'a body that is cut',
    (_request, response) => {
      response.writeHead(500, { 'Content-Length': 100 });
      response.write('{"mess', () => response.destroy());
    },
    { code: 'docker_unreachable' },
  ],
  [
    'something that is not HTTP',
    (request) => void request.socket.end('hello\r\n'),
    { code: 'docker_unreachable' },
  ],
];

test.each(answers)('to a call, %s is a clear error', async (_what, script, expected) => {
  await using engine = await fakeEngine(script);
  await expect(engine.docker.stop({ id: 'c1', name: 'c1' }, 1, { deadlineMs: 2000 })).rejects.toMatchObject(
    expected,
  );
});

test('304 is no error: it is stopped, or started, already', async () => {
  await using engine = await fakeEngine((request, response) => {
    if (request.method === 'GET') return json(response, container('c1', { Status: 'exited', ExitCode: 3 }));
    response.writeHead(304).end();
  });
  expect(await engine.docker.stop({ id: 'c1', name: 'c1' }, 1)).toBe(3);
  await engine.docker.start({ id: 'c1', name: 'c1' });
});

test('a pause that the kernel did not bring about in time is tried again, for a while', async () => {
  const message = 'Cannot pause container c1: OCI runtime pause failed: unable to freeze: unknown';
  let failures = 5;
  await using engine = await fakeEngine((_request, response) => {
    failures -= 1;
    if (failures >= 0) return json(response, { message }, 500);
    response.writeHead(204).end();
  });
  await engine.docker.pause({ id: 'c1', name: 'c1' });
  expect(engine.requests).toHaveLength(6);
  failures = Number.POSITIVE_INFINITY;
  const paused = engine.docker.pause({ id: 'c1', name: 'c1' }, { freezeMs: 100 });
  await expect(paused).rejects.toMatchObject({ code: 'failed' });
  expect(engine.requests.length).toBeGreaterThan(7);
});

test('an Engine that does not answer, or stops in the middle of an answer, ends in an error in time', async () => {
  await using silent = await fakeEngine(() => undefined);
  const startedMs = performance.now();
  await expect(silent.docker.containers()).rejects.toMatchObject({
    code: 'docker_unreachable',
    message: 'list containers: Docker did not answer within 0.4 s',
  });
  await using stuck = await fakeEngine((_request, response) => void response.writeHead(200).write('[{"Id":'));
  await expect(stuck.docker.containers()).rejects.toMatchObject({ code: 'docker_unreachable' });
  await using refusing = await fakeEngine(
    (_request, response) => void response.writeHead(500).write('{"mes'),
  );
  await expect(refusing.docker.containers()).rejects.toMatchObject({ code: 'docker_unreachable' });
  expect(performance.now() - startedMs).toBeLessThan(5000);
  await sleep(100);
  expect([silent, stuck, refusing].map((engine) => engine.openConnections())).toEqual([0, 0, 0]);
});

test('an abort ends a call at once, with what was given to it', async () => {
  await using engine = await fakeEngine(() => undefined);
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 50);
  await expect(
    engine.docker.containers({ signal: controller.signal, deadlineMs: 10_000 }),
  ).rejects.toMatchObject({ code: 'interrupted' });
  await expect(engine.docker.containers({ signal: AbortSignal.abort() })).rejects.toMatchObject({
    code: 'interrupted',
  });
});

test('a tar from a container that stands still, or is broken off, is an error and lets go', async () => {
  await using stuck = await fakeEngine(
    (_request, response) => void response.writeHead(200).write(Buffer.alloc(1000)),
  );
  await expect(bytesFrom(stuck.docker.readArchive('c1', '/data'))).rejects.toMatchObject({
    message: expect.stringContaining('did not answer within 0.3 s'),
  });
  await using broken = await fakeEngine((_request, response) => {
    response.writeHead(200);
    response.write(Buffer.alloc(1000), () => setTimeout(() => response.destroy(), 20));
  });
  await expect(bytesFrom(broken.docker.readArchive('c1', '/data'))).rejects.toMatchObject({
    message: expect.stringContaining('broke the connection off'),
  });
  await sleep(50);
  expect([stuck.openConnections(), broken.openConnections()]).toEqual([0, 0]);
});

test('a slow reader of a tar is not taken for an Engine that stands still', async () => {
  await using engine = await fakeEngine((_request, response) => void response.end(Buffer.alloc(200_000)));
  let size = 0;
  for await (const chunk of engine.docker.readArchive('c1', '/data')) {
    size += chunk.length;
    await sleep(limits.idleMs * 1.5);
  }
  expect(size).toBe(200_000);
}, 30_000);

let openSources = 0;

async function* endless(): AsyncGenerator<Buffer> {
  openSources += 1;
  try {
    for (;;) {
      yield Buffer.alloc(65_536);
      await sleep(1);
    }
  } finally {
    openSources -= 1;
  }
}

test('writing a tar ends in an error when the Engine stands still, refuses, or goes away', async () => {
  await using stuck = await fakeEngine(() => undefined);
  await expect(stuck.docker.writeArchive('c1', '/', endless())).rejects.toMatchObject({
    message: expect.stringContaining('did not answer'),
  });
  // As Go's server does, the connection stays open for a while, so that the answer is not lost.
  await using refusing = await fakeEngine((request, response) => {
    request.resume();
    const body = JSON.stringify({ message: 'read-only' });
    response.writeHead(500, { 'Content-Length': body.length }).write(body);
  });
  await expect(refusing.docker.writeArchive('c1', '/', endless())).rejects.toMatchObject({
    message: expect.stringContaining('read-only'),
  });
  await using gone = await fakeEngine((request) => void setTimeout(() => request.socket.destroy(), 50));
  await expect(gone.docker.writeArchive('c1', '/', endless())).rejects.toMatchObject({
    code: 'docker_unreachable',
  });
  await sleep(100);
  expect([refusing, gone].map((engine) => engine.openConnections())).toEqual([0, 0]);
  expect(openSources).toBe(0);
}, 30_000);

test('the error of the source of a tar is the one that is told, also when the Engine was content before it', async () => {
  const source = async function* () {
    yield Buffer.alloc(10);
    await sleep(100);
    throw new Error('damaged near its end');
  };
  await using patient = await fakeEngine((request, response) => {
    request.resume().on('end', () => response.end());
  });
  await expect(patient.docker.writeArchive('c1', '/', source())).rejects.toThrow(/^damaged near its end$/);
  await using early = await fakeEngine((_request, response) => void response.end());
  await expect(early.docker.writeArchive('c1', '/', source())).rejects.toThrow(/^damaged near its end$/);
});

test('what is written arrives whole, though each chunk is another by the time that the next one is asked for', async () => {
  const arrived = createHash('sha256');
  await using engine = await fakeEngine(async (request, response) => {
    for await (const bytes of request) {
      arrived.update(bytes);
      // Slower than the source, so that everything which may wait does.
      if (Math.random() < 0.02) await sleep(5);
    }
    response.end();
  });
  const sent = createHash('sha256');
  let bytes = 0;
  const source = async function* () {
    const memory = randomBytes(1_500_000);
    for (const length of [1, 511, 1_500_000, 524_288, 3, 700_001, ...Array(40).fill(1_000_003)]) {
      memory.writeUInt32LE(bytes, 0);
      const chunk = memory.subarray(0, length);
      sent.update(chunk);
      bytes += length;
      yield chunk;
      memory.fill(0, 0, 4096);
    }
  };
  await engine.docker.writeArchive('c1', '/', source());
  expect(arrived.digest('hex')).toBe(sent.digest('hex'));
});

test('an abort while a tar is written lets go of the connection', async () => {
  await using engine = await fakeEngine((request) => void request.resume());
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 100);
  await expect(
    engine.docker.writeArchive('c1', '/', endless(), { signal: controller.signal }),
  ).rejects.toMatchObject({ code: 'interrupted' });
  await sleep(50);
  expect(engine.openConnections()).toBe(0);
});

test('no Docker at all is told with what to do', async () => {
  await expect(connectDocker({ DOCKER_HOST: 'unix:///nonexistent/docker.sock' })).rejects.toMatchObject({
    code: 'docker_unreachable',
    message: expect.stringContaining('unix:///nonexistent/docker.sock (from DOCKER_HOST)'),
    hint: 'start Docker, or correct DOCKER_HOST',
  });
  await expect(connectDocker({ DOCKER_HOST: 'ftp://x' })).rejects.toMatchObject({
    message: 'DOCKER_HOST "ftp://x" is not an address of Docker',
  });
  await using engine = await fakeEngine(() => undefined);
  await expect(connectDocker(engine.environment, limits)).resolves.toMatchObject({ version: '99.0' });
});

test('a helper that is interrupted while it is made is removed, and not before the Engine has made it', async () => {
  const made = new Set<string>();
  await using engine = await fakeEngine(async (request, response, path) => {
    if (request.method === 'DELETE') {
      made.delete(path.split('/').at(-1) ?? '');
      return void response.writeHead(204).end();
    }
    // As the real one does, it goes on whether anybody waits for the answer or not.
    await sleep(150);
    made.add(new URL(request.url ?? '', 'http://engine').searchParams.get('name') ?? '');
    json(response, { Id: 'a'.repeat(64) }, 201);
  });
  const stop = new AbortController();
  const making = engine.docker.createHelper({ image: 'any', mounts: [], signal: stop.signal });
  setTimeout(() => stop.abort(), 50);
  await expect(making).rejects.toMatchObject({ code: 'interrupted' });
  await sleep(200);
  expect([...made]).toEqual([]);
  expect(engine.requests.map((line) => line.split(' ')[0])).toEqual(['POST', 'DELETE']);
});

test('a container that ends again and again is not waited for until the deadline', async () => {
  let starts = 0;
  await using engine = await fakeEngine((_request, response) => {
    starts += 1;
    const state = { Status: 'restarting', ExitCode: 3, StartedAt: `2026-11-20T10:00:${starts}Z` };
    json(response, container('c1', state));
  });
  await expect(engine.docker.waitUntilHealthy('c1', { deadlineMs: 60_000 })).rejects.toMatchObject({
    code: 'unhealthy',
    message: expect.stringMatching(/ends again and again \(exit code 3\)/),
  });
  expect(starts).toBe(8);
});
