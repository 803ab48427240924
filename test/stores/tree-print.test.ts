// The fingerprints by which a restore knows that what has arrived is what was sent.
import fs from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { packTree } from '../../src/archive/pack-tree.ts';
import { encodeEntry, endOfArchive, padding } from '../../src/archive/tar-format.ts';
import { scanTar, type TarPiece } from '../../src/archive/tar-scan.ts';
import { printTree } from '../../src/stores/print-tree.ts';
import { printTar } from '../../src/stores/tree-print.ts';
import { makeTempDir, never } from '../archive/gather.ts';
import { isRoot, makeHostileTree } from '../archive/hostile-tree.ts';

function hostileTree(): string {
  const root = join(makeTempDir(), 'tree');
  makeHostileTree(root);
  // Whoever comes first, by whatever order, has the symlink, and the other one a link.
  for (const name of ['a', 'm', 'z']) fs.mkdirSync(join(root, name));
  if (process.platform !== 'linux') return root;
  fs.symlinkSync('leads somewhere', join(root, 'm/first'));
  fs.linkSync(join(root, 'm/first'), join(root, 'a/second'));
  fs.linkSync(join(root, 'm/first'), join(root, 'z/third'));
  fs.linkSync(join(root, 'fifo'), join(root, 'a/fifo-too'));
  return root;
}

const sentOf = (root: string) => printTar(packTree(root, { signal: never() }));

/** The same entries the other way round, as another reader may give them. */
async function* reversed(tar: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const all: { entry: TarPiece & { type: 'entry' }; data: Buffer[] }[] = [];
  for await (const piece of scanTar(tar)) {
    if (piece.type === 'entry') all.push({ entry: { ...piece, raw: Buffer.from(piece.raw) }, data: [] });
    else all.at(-1)?.data.push(Buffer.from(piece.bytes));
  }
  const isLink = ({ entry }: (typeof all)[number]) => entry.entry.type === 'link';
  // Not the links: what they lead to comes before them in any tar.
  for (const { entry, data } of [...all.filter((one) => !isLink(one)).toReversed(), ...all.filter(isLink)]) {
    yield encodeEntry(entry.entry);
    yield* data;
    yield padding(entry.entry.size);
  }
  yield endOfArchive;
}

test.runIf(process.platform !== 'win32')('of a tree is that of its tar, in any order', async () => {
  const root = hostileTree();
  const tree = await printTree(root, never());
  const sent = await sentOf(root);
  expect(tree.differences(sent)).toEqual([]);
  expect([tree.entries, tree.bytes]).toEqual([sent.entries, sent.bytes]);
  expect(tree.entries).toBeGreaterThan(20);
  expect(tree.differences(await printTar(reversed(packTree(root, { signal: never() }))))).toEqual([]);
});

const changes: [string, (root: string) => void, string[]][] = [
  ['one bit of a large file', (root) => flip(join(root, 'large.bin'), 2_000_000), ['contents']],
  ['one bit of a small file', (root) => flip(join(root, 'exactly-512'), 100), ['contents']],
  ['a file that ends early', (root) => fs.truncateSync(join(root, 'large.bin'), 3_000_000), ['contents']],
  [
    'an empty file that is missing',
    (root) => fs.rmSync(join(root, 'zero')),
    ['names', 'contents', 'attributes'],
  ],
  ['a name', (root) => fs.renameSync(join(root, 'zero'), join(root, 'null')), ['names', 'attributes']],
  ['where a symlink leads', relink, ['names']],
  ['a hard link that is a file of its own', unlinked, ['contents']],
];

function flip(path: string, at: number): void {
  const { mtime, atime } = fs.statSync(path);
  const bytes = fs.readFileSync(path);
  bytes[at] = bytes[at]! ^ 1;
  fs.writeFileSync(path, bytes);
  fs.utimesSync(path, atime, mtime);
}

function relink(root: string): void {
  const path = join(root, 'absolute-link');
  const { mtime, atime } = fs.lstatSync(path);
  fs.rmSync(path);
  fs.symlinkSync('/nowhere/else', path);
  fs.lutimesSync(path, atime, mtime);
}

function unlinked(root: string): void {
  const path = join(root, 'deep/second-name');
  fs.copyFileSync(path, join(root, 'copy'));
  fs.rmSync(path);
  fs.renameSync(join(root, 'copy'), path);
}

test.runIf(process.platform !== 'win32').each(changes)('differs by %s', async (_what, change, expected) => {
  const root = hostileTree();
  const sent = await sentOf(root);
  change(root);
  const differences: string[] = sent.differences(await printTree(root, never()));
  // The directory around it and the file itself have other times then.
  expect(differences.filter((what) => what !== 'attributes')).toEqual(
    expected.filter((what) => what !== 'attributes'),
  );
});

test.runIf(process.platform !== 'win32')('differs by a mode, an owner, a time', async () => {
  const root = hostileTree();
  const sent = await sentOf(root);
  const differing = async () => sent.differences(await printTree(root, never()));
  const path = join(root, 'exactly-512');
  const { mode, atime, mtime, uid, gid } = fs.statSync(path);
  fs.chmodSync(path, 0o600);
  expect(await differing()).toEqual(['attributes']);
  fs.chmodSync(path, mode & 0o7777);
  fs.utimesSync(path, atime, new Date(mtime.getTime() - 10_000));
  expect(await differing()).toEqual(['attributes']);
  fs.utimesSync(path, atime, mtime);
  expect(await differing()).toEqual([]);
  if (!isRoot) return;
  fs.chownSync(path, uid + 1, gid);
  expect(await differing()).toEqual(['attributes']);
});

test('stops when it is told to', async () => {
  const root = join(makeTempDir(), 'tree');
  fs.mkdirSync(root);
  for (let count = 0; count < 40; count += 1)
    fs.writeFileSync(join(root, `${count}`), Buffer.alloc(4_000_000));
  await expect(printTree(root, AbortSignal.abort(new Error('stop')))).rejects.toThrow('stop');
});
