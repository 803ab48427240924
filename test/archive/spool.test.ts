import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bytesOf, SlabPool } from '../../src/archive/slabs.ts';
import { MemberQueue } from '../../src/archive/spool.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pkbackup-spool-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const usual = 64 * 1024;
/** Too long for a slab as it is made. */
const unusual = 3 * 1024 * 1024;
const lengthOf = (index: number) => (index % 50 === 49 ? unusual : usual + index);
const contentOf = (index: number) => Buffer.alloc(lengthOf(index), index % 251);

interface Pace {
  /** Rests after so many. */
  source?: number;
  consumer?: number;
}

/** Puts numbered members and takes them again, each end at its pace. */
async function goThrough(count: number, slabs: SlabPool, queue: MemberQueue, pace: Pace = {}) {
  const fill = async () => {
    let slab = await slabs.take();
    for (let put = 0; put < count; put += 1) {
      if (pace.source && put % pace.source === 0) await sleep(2);
      const content = contentOf(put);
      const target = content.length > slab.bytes.length ? larger(content.length) : slab;
      content.copy(target.bytes);
      slab = await queue.put({ slab: target, length: content.length });
    }
    queue.end();
  };
  const filling = fill();
  filling.catch(() => {});
  let taken = 0;
  for await (const member of queue.members()) {
    expect(bytesOf(member).equals(contentOf(taken)), `member ${taken}`).toBe(true);
    if (pace.consumer && taken % pace.consumer === 0) await sleep(2);
    taken += 1;
    slabs.giveBack(member.slab);
  }
  await filling;
  expect(taken).toBe(count);
}

function larger(length: number) {
  const memory = new SharedArrayBuffer(2 * length);
  return { memory, bytes: Buffer.from(memory) };
}

test.each([
  ['a slow consumer', 0, 3],
  ['a slow source', 3, 0],
  ['both in turn', 7, 5],
])('with %s everything comes out in order, and no file stays', async (_, source, consumer) => {
  const slabs = new SlabPool(5);
  {
    await using queue = new MemberQueue(slabs, directory);
    await goThrough(300, slabs, queue, { source, consumer });
  }
  expect(readdirSync(directory)).toEqual([]);
});

test('without a directory the source waits for a slab, and there is no file', async () => {
  const slabs = new SlabPool(3);
  await using queue = new MemberQueue(slabs);
  let next = await slabs.take();
  for (let put = 0; put < 2; put += 1) next = await queue.put({ slab: next, length: usual });
  let waits = true;
  const putting = queue.put({ slab: next, length: usual }).finally(() => {
    waits = false;
  });
  const { value } = await queue.members().next();
  await sleep(5);
  expect(waits).toBe(true);
  slabs.giveBack(value!.slab);
  expect(await putting).toBe(value!.slab);
  expect(readdirSync(directory)).toEqual([]);
});

/** One member in memory, the others in the file. */
async function spilled(count: number) {
  const slabs = new SlabPool(2);
  const queue = new MemberQueue(slabs, directory);
  let slab = await slabs.take();
  for (let index = 0; index < count; index += 1) {
    slab.bytes.fill(index % 251, 0, usual);
    slab = await queue.put({ slab, length: usual });
  }
  const [name] = readdirSync(directory);
  return { slabs, queue, slab, path: join(directory, name!) };
}

test('with one the source does not wait, also where nobody takes anything', async () => {
  const { slabs, queue } = await spilled(200);
  await using _ = queue;
  queue.end();
  let taken = 0;
  for await (const member of queue.members()) {
    expect(bytesOf(member).equals(Buffer.alloc(usual, taken % 251)), `member ${taken}`).toBe(true);
    taken += 1;
    slabs.giveBack(member.slab);
  }
  expect(taken).toBe(200);
});

test('the file is private, and emptied when the consumer has caught up', async () => {
  const { slabs, queue, slab, path } = await spilled(5);
  await using _ = queue;
  const { mode, size } = statSync(path);
  if (process.platform !== 'win32') expect(mode & 0o777).toBe(0o600);
  expect(size).toBe(4 * usual);
  const members = queue.members();
  for (let taken = 0; taken < 5; taken += 1) {
    const { value } = await members.next();
    slabs.giveBack(value!.slab);
  }
  let next = slab;
  for (let index = 0; index < 3; index += 1) next = await queue.put({ slab: next, length: usual });
  expect(statSync(path).size).toBe(2 * usual);
});

test('a file that was cut is an error, never a shorter member', async () => {
  const { slabs, queue, path } = await spilled(3);
  await using _ = queue;
  truncateSync(path, 1.5 * usual);
  const takeAll = async () => {
    for await (const { slab } of queue.members()) slabs.giveBack(slab);
  };
  await expect(takeAll()).rejects.toThrow('has become shorter');
});

test('a failure is thrown at both ends, also to those who wait', async () => {
  const slabs = new SlabPool(1);
  await using queue = new MemberQueue(slabs);
  const putting = queue.put({ slab: await slabs.take(), length: usual });
  queue.fail(new Error('the source broke'));
  await expect(putting).rejects.toThrow('the source broke');
  await expect(queue.members().next()).rejects.toThrow('the source broke');
  await expect(slabs.take()).rejects.toThrow('the source broke');
});
