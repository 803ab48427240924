import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { diskIn, freeBytesAt, roomFor } from '../../src/stores/free-space.ts';
import { bytesBeside } from '../../src/stores/postgres/room.ts';

const head = 'Filesystem     1024-blocks     Used Available Capacity Mounted on\n';

test.each([
  ['GNU df', `${head}/dev/vda        264000000 20000000 244000000       8% /volume\n`],
  [
    'busybox df',
    'Filesystem           1024-blocks    Used Available Capacity Mounted on\n/dev/vda 264000000 20000000 244000000 8% /volume\n',
  ],
  ['a share with a space in its name', `${head}//nas/my files 264000000 20000000 244000000 8% /volume\n`],
  [
    'a line of its own for a long name',
    `${head}/dev/mapper/${'x'.repeat(60)} 264000000 20000000 244000000 8% /v\n`,
  ],
])('%s is read', (_what, stdout) => {
  expect(diskIn({ exitCode: 0, stdout })).toEqual({
    totalBytes: 264_000_000 * 1024,
    freeBytes: 244_000_000 * 1024,
  });
});

test('what is no table, or of a command that failed, says nothing', () => {
  expect(diskIn({ exitCode: 0, stdout: head })).toBeUndefined();
  expect(diskIn({ exitCode: 127, stdout: `${head}/dev/vda 1 1 1 8% /\n` })).toBeUndefined();
});

test('a place that is not there yet has the room of what is around it', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'pkbackup-room-'));
  const { bsize, blocks } = statfsSync(directory);
  const free = await freeBytesAt(join(directory, 'not/there/yet'));
  rmSync(directory, { recursive: true });
  expect(free).toBeGreaterThan(0);
  expect(free).toBeLessThanOrEqual(bsize * blocks);
});

test('small files take more room than their bytes, and there is a margin', () => {
  const megabyte = 1024 * 1024;
  expect(roomFor({ rawSizeBytes: 100 * megabyte })).toEqual({ neededBytes: 108 * megabyte });
  expect(roomFor({ rawSizeBytes: 1000 * megabyte })).toEqual({ neededBytes: 1050 * megabyte });
  expect(roomFor({ rawSizeBytes: megabyte, entries: 1000 })).toEqual({
    neededBytes: 9 * megabyte + 4_096_000,
  });
  expect(roomFor({})).toEqual({});
});

test('a database takes what it took before, unless that was mostly empty space', () => {
  const facts = { kind: 'postgres', store: 'rows', source: {}, counts: {} } as const;
  expect(bytesBeside({ ...facts, rawSizeBytes: 100, storedBytes: 250 })).toBe(250);
  expect(bytesBeside({ ...facts, rawSizeBytes: 100, storedBytes: 5000 })).toBe(300);
  expect(bytesBeside({ ...facts, rawSizeBytes: 100 })).toBe(300);
  expect(bytesBeside(facts)).toBeUndefined();
});
