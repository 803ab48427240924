import fs from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { countTree } from '../../src/stores/count-tree.ts';
import { makeTempDir, never } from '../archive/gather.ts';

function fill(directory: string, files: number, bytes: number, mode = 0o644): void {
  fs.mkdirSync(directory, { recursive: true });
  for (let at = 0; at < files; at += 1)
    fs.writeFileSync(join(directory, `${at}`), Buffer.alloc(bytes), { mode });
}

test('counts files, directories and bytes, and what somebody may execute', async () => {
  const root = makeTempDir();
  fill(join(root, 'a/b'), 3, 1000);
  fill(join(root, 'bin'), 2, 10, 0o700);
  fs.symlinkSync('/usr', join(root, 'link'));
  expect(await countTree(root, () => false, never())).toEqual({
    counts: { files: 6, directories: 3 },
    bytes: 3020,
    programs: 2,
  });
});

test('what is left out is not counted, nor are directories that only stand around something', async () => {
  const root = makeTempDir();
  fill(join(root, 'around/kept'), 2, 5);
  fill(join(root, 'left/out'), 9, 5);
  const skip = (path: string) => (path === 'left' ? true : path === 'around' && 'descend');
  const { counts, bytes } = await countTree(root, skip, never());
  expect([counts, bytes]).toEqual([{ files: 2, directories: 1 }, 10]);
});

test.skipIf(process.platform !== 'linux')(
  'a program by whose name the Engine cannot be asked counts as many',
  async () => {
    const root = makeTempDir();
    fs.writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0xff])]), '', { mode: 0o755 });
    expect((await countTree(root, () => false, never())).programs).toBe(Number.POSITIVE_INFINITY);
  },
);

test('stops when it is told to', async () => {
  const root = makeTempDir();
  fill(root, 20, 0);
  const stopped = new AbortController();
  const seen: string[] = [];
  const skip = (path: string) => {
    seen.push(path);
    stopped.abort(new Error('enough'));
    for (const start = performance.now(); performance.now() - start < 15; );
    return false;
  };
  await expect(countTree(root, skip, stopped.signal)).rejects.toThrow('enough');
  expect(seen).toHaveLength(1);
});
