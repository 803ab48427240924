import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { bytesFrom, type FakeEngine, fakeEngine, frame, json, type Script } from './fake-engine.ts';

type Body = (response: ServerResponse) => void;

/** An exec whose output is `body` and whose exit code is `exitCode`. */
const execScript =
  (body: Body, inspect: object = { Running: false, ExitCode: 0 }): Script =>
  (_request, response, path) => {
    if (path.endsWith('/exec')) return json(response, { Id: 'e1' }, 201);
    if (path === '/exec/e1/json') return json(response, inspect);
    response.writeHead(200, { 'Content-Type': 'application/vnd.docker.raw-stream' });
    body(response);
  };

const dump = ({ docker }: FakeEngine) => bytesFrom(docker.execStream('c1', { command: ['dump'] }));

test('whole frames are split by stream, in pieces of any size', async () => {
  const bytes = Buffer.concat([frame(1, 'one '), frame(2, 'complaint'), frame(1, ''), frame(1, 'two')]);
  await using engine = await fakeEngine(
    execScript(async (response) => {
      for (const byte of bytes) {
        response.write(Buffer.from([byte]));
        await sleep(1);
      }
      response.end();
    }),
  );
  const { stdout, stderr, exitCode } = await engine.docker.exec('c1', { command: ['x'] });
  expect({ stdout: stdout.toString(), stderr, exitCode }).toEqual({
    stdout: 'one two',
    stderr: 'complaint',
    exitCode: 0,
  });
});

test.each<[string, Buffer, RegExp]>([
  [
    'cut in the middle of a frame',
    Buffer.concat([frame(1, 'whole'), frame(1, 'cut').subarray(0, 9)]),
    /cut in the middle of a frame/,
  ],
  [
    'cut in the middle of a header',
    Buffer.concat([frame(1, 'whole'), frame(1, '').subarray(0, 5)]),
    /cut in the middle of a frame/,
  ],
  ['that are no frames', Buffer.from('plain text that was never framed'), /holds a frame that is none/],
  ['of an unknown stream', frame(4, 'x'), /holds a frame that is none/],
  [
    'with an error of the Engine',
    Buffer.concat([frame(1, 'some'), frame(3, 'log driver failed')]),
    /error of Docker: log driver failed/,
  ],
])('output %s is an error, although the exit code is 0', async (_what, bytes, message) => {
  await using engine = await fakeEngine(execScript((response) => response.end(bytes)));
  await expect(dump(engine)).rejects.toMatchObject({
    code: 'failed',
    message: expect.stringMatching(message),
  });
});

test('an output that ends while the command still runs is cut, and so is one of a broken connection', async () => {
  await using running = await fakeEngine(
    execScript((response) => response.end(frame(1, 'some')), { Running: true, ExitCode: 0 }),
  );
  await expect(dump(running)).rejects.toMatchObject({
    message: expect.stringContaining('ended before the command did'),
  });
  await using broken = await fakeEngine(
    execScript((response) => {
      response.write(frame(1, 'some'), () => setTimeout(() => response.destroy(), 20));
    }),
  );
  await expect(dump(broken)).rejects.toMatchObject({
    code: expect.stringMatching(/docker_unreachable|failed/),
  });
}, 30_000);

test('an exit code that is not 0 is an error with the end of stderr', async () => {
  const script = execScript(
    (response) => response.end(Buffer.concat([frame(1, 'half'), frame(2, 'disk\nfull\n')])),
    { Running: false, ExitCode: 137 },
  );
  await using engine = await fakeEngine(script);
  await expect(dump(engine)).rejects.toMatchObject({
    message: 'run "dump" in container "c1": exit code 137: disk / full',
  });
});

test('a slow reader holds the command back instead of filling the memory', async () => {
  let written = 0;
  await using engine = await fakeEngine(
    execScript(async (response) => {
      const part = frame(1, 'x'.repeat(65_536));
      for (let count = 0; count < 1000 && !response.destroyed; count += 1) {
        written += part.length;
        if (!response.write(part))
          await new Promise((resolve) => response.once('drain', resolve).once('close', resolve));
      }
      response.end();
    }),
  );
  const stream = engine.docker.execStream('c1', { command: ['dump'] });
  await stream.next();
  await sleep(300);
  expect(written).toBeLessThan(8_000_000);
  await stream.return(undefined);
  await sleep(100);
  expect(engine.openConnections()).toBe(0);
});
