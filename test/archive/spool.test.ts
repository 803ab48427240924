import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { spool } from '../../src/archive/spool.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pkbackup-spool-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const { signal } = new AbortController();
const chunkBytes = 64 * 1024;

async function* numbered(count: number, pauseEvery = 0): AsyncGenerator<Buffer> {
  for (let index = 0; index < count; index += 1) {
    if (pauseEvery > 0 && index % pauseEvery === 0) await sleep(2);
    yield Buffer.alloc(chunkBytes, index % 251);
  }
}

async function collect(chunks: AsyncIterable<Buffer>, pauseEvery = 0): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) {
    all.push(Buffer.from(chunk));
    if (pauseEvery > 0 && all.length % pauseEvery === 0) await sleep(2);
  }
  return Buffer.concat(all);
}

test.each([
  ['a slow consumer', 0, 3],
  ['a slow source', 3, 0],
  ['both in turn', 7, 5],
])('with %s everything comes out in order, and no file stays', async (_, source, consumer) => {
  const options = { directory, memoryBytes: 5 * chunkBytes, onRead: () => {}, signal };
  const expected = await collect(numbered(200));
  const found = await collect(spool(numbered(200, source), options), consumer);
  expect(found.equals(expected)).toBe(true);
  expect(readdirSync(directory)).toEqual([]);
});

test('the source is let go while the consumer still holds its first chunk', async () => {
  let letGo = () => {};
  const isRead = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const options = { directory, memoryBytes: chunkBytes, signal, onRead: letGo };
  let consumed = 0;
  for await (const chunk of spool(numbered(100), options)) {
    if (consumed === 0) await isRead;
    consumed += chunk.length;
  }
  expect(consumed).toBe(100 * chunkBytes);
});

test('the file is private', async () => {
  const options = { directory, memoryBytes: 0, onRead: () => {}, signal };
  for await (const _ of spool(numbered(5), options)) {
    const [name] = readdirSync(directory);
    if (process.platform !== 'win32') expect(statSync(join(directory, name!)).mode & 0o777).toBe(0o600);
  }
});

test('a failure of the source is thrown, onRead is not called, and no file stays', async () => {
  let isRead = false;
  async function* failing(): AsyncGenerator<Buffer> {
    yield* numbered(20);
    throw new Error('the source broke');
  }
  const onRead = () => {
    isRead = true;
  };
  const options = { directory, memoryBytes: chunkBytes, signal, onRead };
  await expect(collect(spool(failing(), options))).rejects.toThrow('the source broke');
  expect(isRead).toBe(false);
  expect(readdirSync(directory)).toEqual([]);
});

test('a consumer that gives up ends the source, and no file stays', async () => {
  let ended = false;
  async function* endless(): AsyncGenerator<Buffer> {
    try {
      for (;;) {
        await sleep(1);
        yield Buffer.alloc(chunkBytes);
      }
    } finally {
      ended = true;
    }
  }
  const options = { directory, memoryBytes: chunkBytes, onRead: () => {}, signal };
  for await (const _ of spool(endless(), options)) break;
  expect(ended).toBe(true);
  expect(readdirSync(directory)).toEqual([]);
});
