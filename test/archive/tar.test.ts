import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { extract } from 'tar-stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { encodeEntry, endOfArchive, padding, type TarEntry } from '../../src/archive/tar-format.ts';
import { scanTar, type TarPiece } from '../../src/archive/tar-scan.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'pkbackup-tar-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const plain: TarEntry = {
  path: Buffer.from('./a.txt'),
  type: 'file',
  size: 5,
  mode: 0o640,
  uid: 999,
  gid: 7474,
  mtime: 1_700_000_000,
};

function tarOf(files: { entry: TarEntry; data?: Buffer }[]): Buffer {
  const parts = files.flatMap(({ entry, data = Buffer.alloc(0) }) => [
    encodeEntry(entry),
    data,
    padding(entry.size),
  ]);
  return Buffer.concat([...parts, endOfArchive]);
}

async function* inChunks(bytes: Buffer, chunkBytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
}

async function scan(bytes: Buffer, chunkBytes = 1 << 20) {
  const found: { entry: TarEntry; raw: Buffer; data: Buffer[] }[] = [];
  for await (const piece of scanTar(inChunks(bytes, chunkBytes)) as AsyncGenerator<TarPiece>) {
    if (piece.type === 'entry') found.push({ entry: piece.entry, raw: piece.raw, data: [] });
    else found.at(-1)?.data.push(piece.bytes);
  }
  return found.map(({ data, ...rest }) => ({ ...rest, data: Buffer.concat(data) }));
}

const hard: TarEntry[] = [
  { ...plain, path: Buffer.from(`./${'long/'.repeat(60)}name`) },
  { ...plain, path: Buffer.from(`./${'x'.repeat(255)}`) },
  { ...plain, path: Buffer.from([0x2e, 0x2f, 0xff, 0xfe, 0x80]) },
  { ...plain, path: Buffer.concat([Buffer.from('./'), Buffer.alloc(240, 0xfa)]) },
  { ...plain, path: Buffer.from('./naïve – 名前\nline') },
  { ...plain, mode: 0, uid: 4_000_000_000, gid: 3_000_000 },
  { ...plain, mtime: -86_400.5 },
  { ...plain, mtime: 5_000_000_000.123456 },
  { ...plain, mode: 0o6755 },
  { ...plain, pax: new Map([['SCHILY.xattr.user.note', Buffer.from([1, 0, 0xff, 10])]]) },
];

test.each(hard.map((entry, index) => [index, entry] as const))(
  'hard entry %i comes back as it was',
  async (_, entry) => {
    const [found, ...others] = await scan(tarOf([{ entry, data: Buffer.from('hello') }]), 100);
    expect(others).toEqual([]);
    expect(found?.data.toString()).toBe('hello');
    expect({ ...found?.entry, mtime: found?.entry.mtime.toFixed(6) }).toEqual({
      ...entry,
      mtime: entry.mtime.toFixed(6),
    });
  },
);

test('links, devices, fifos and directories come back as they were', async () => {
  const none = { ...plain, size: 0 };
  const entries: TarEntry[] = [
    { ...none, type: 'directory', path: Buffer.from('./') },
    { ...none, type: 'symlink', linkPath: Buffer.from(`/${'far/'.repeat(50)}away`) },
    { ...none, type: 'link', linkPath: Buffer.from('./a.txt') },
    { ...none, type: 'fifo' },
    { ...none, type: 'character-device', devMajor: 1, devMinor: 3 },
  ];
  const found = await scan(tarOf(entries.map((entry) => ({ entry }))));
  expect(found.map(({ entry }) => entry)).toEqual(entries);
});

test('GNU tar reads what we write, names and sizes and owners', async () => {
  const files = hard.slice(0, 8).map((entry, index) => ({
    entry: { ...entry, size: index },
    data: Buffer.alloc(index, 65),
  }));
  const file = join(directory, 'ours.tar');
  writeFileSync(file, tarOf(files));
  const names = execFileSync('tar', ['--quoting-style=literal', '--show-transformed', '-tf', file]);
  for (const { entry } of files) expect(names.includes(entry.path)).toBe(true);
  const listed = execFileSync('tar', ['--numeric-owner', '-tvf', file]).toString();
  expect(listed).toContain('4000000000/3000000');
  expect(listed).toContain('1969-12-31');
});

test('tar-stream reads what we write', async () => {
  const names: string[] = [];
  const reader = extract();
  reader.on('entry', (header, stream, next) => {
    names.push(header.name);
    stream.on('end', () => next());
    stream.resume();
  });
  const ended = new Promise<void>((resolve) => reader.on('finish', () => resolve()));
  reader.end(tarOf([hard[0]!, hard[4]!].map((entry) => ({ entry, data: Buffer.from('hello') }))));
  await ended;
  expect(names).toEqual([hard[0]!.path.toString(), hard[4]!.path.toString()]);
});

test('any way of cutting the stream into chunks gives the same pieces', async () => {
  const bytes = tarOf(hard.map((entry) => ({ entry, data: Buffer.from('hello') })));
  const expected = await scan(bytes);
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 5000 }), async (chunkBytes) => {
      expect(await scan(bytes, chunkBytes)).toEqual(expected);
    }),
    { numRuns: 15 },
  );
});

test('the raw headers, data and padding give the same tar again', async () => {
  const bytes = tarOf(hard.map((entry) => ({ entry, data: Buffer.from('hello') })));
  const found = await scan(bytes, 777);
  const again = found.flatMap(({ entry, raw, data }) => [raw, data, padding(entry.size)]);
  expect(Buffer.concat([...again, endOfArchive]).equals(bytes)).toBe(true);
});

test('a tar that is cut anywhere is refused', async () => {
  const bytes = tarOf(hard.map((entry) => ({ entry, data: Buffer.from('hello') })));
  for (let length = 0; length < bytes.length; length += 97) {
    await expect(scan(bytes.subarray(0, length)), `cut at ${length}`).rejects.toThrow('not whole');
  }
  await expect(scan(bytes.subarray(0, bytes.length - 1))).rejects.toThrow('not whole');
});

test('data behind the end, a wrong checksum and an unknown type are refused', async () => {
  const bytes = tarOf([{ entry: plain, data: Buffer.from('hello') }]);
  await expect(scan(Buffer.concat([bytes, encodeEntry(plain)]))).rejects.toThrow('after its end');
  const flipped = Buffer.from(bytes);
  flipped[3] = 0x7a;
  await expect(scan(flipped)).rejects.toThrow('wrong checksum');
  await expect(scan(Buffer.alloc(2048, 1))).rejects.toThrow('wrong checksum');
});

test('a tar made by GNU tar in each of its formats is read', async () => {
  const name = 'n'.repeat(150);
  writeFileSync(join(directory, name), 'content');
  for (const format of ['gnu', 'pax', 'oldgnu']) {
    const bytes = execFileSync('tar', [`--format=${format}`, '-cf', '-', '-C', directory, name]);
    const [found] = await scan(bytes, 300);
    expect(found?.entry.path.toString()).toBe(name);
    expect(found?.data.toString()).toBe('content');
  }
});
