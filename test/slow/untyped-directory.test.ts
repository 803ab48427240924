// A file system that does not say what its entries are, as some of the network do not: ext2 without that feature, which only
// root can mount.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { packTree } from '../../src/archive/pack-tree.ts';
import { scanTar } from '../../src/archive/tar-scan.ts';
import { removeTree } from '../../src/stores/removal.ts';
import { makeTempDir, never } from '../archive/gather.ts';

function mountWithoutTypes(): string {
  const directory = makeTempDir();
  const [image, root] = [join(directory, 'image'), join(directory, 'mounted')];
  fs.writeFileSync(image, '');
  fs.truncateSync(image, 16 * 1024 * 1024);
  fs.mkdirSync(root);
  execFileSync('mke2fs', ['-q', '-F', '-O', '^filetype', image]);
  execFileSync('mount', ['-o', 'loop', image, root]);
  onTestFinished(() => void execFileSync('umount', [root]));
  return root;
}

test('is read, and removed, like any other', async () => {
  const root = join(mountWithoutTypes(), 'tree');
  fs.mkdirSync(join(root, 'in'), { recursive: true });
  fs.writeFileSync(join(root, 'file'), 'x');
  fs.writeFileSync(Buffer.concat([Buffer.from(`${root}/in/`), Buffer.from([0xff])]), 'y');
  fs.symlinkSync('file', join(root, 'link'));
  const names: string[] = [];
  for await (const piece of scanTar(packTree(root, { signal: never() }))) {
    if (piece.type === 'entry') names.push(`${piece.entry.type} ${piece.entry.path.toString('latin1')}`);
  }
  expect(names).toEqual([
    'directory ./',
    'file ./file',
    'symlink ./link',
    'directory ./in/',
    'file ./in/\xff',
  ]);
  await removeTree(root);
  expect(fs.existsSync(root)).toBe(false);
});
