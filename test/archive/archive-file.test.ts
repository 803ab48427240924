import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readArchive } from '../../src/archive/read-archive.ts';
import { encodeEntry, endOfArchive, padding } from '../../src/archive/tar-format.ts';
import { type ArchiveOptions, writeArchive } from '../../src/archive/write-archive.ts';
import type { Compression } from '../../src/words.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pkbackup-archive-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const { signal } = new AbortController();

interface File {
  name: string;
  data: Buffer;
}

const mixed: File[] = [
  { name: 'empty', data: Buffer.alloc(0) },
  ...Array.from({ length: 300 }, (_, index) => ({ name: `small/${index}`, data: randomBytes(index * 7) })),
  { name: 'large-random', data: randomBytes(3_333_333) },
  { name: 'large-text', data: Buffer.from('all work and no play '.repeat(200_000)) },
  { name: 'exactly-one-member', data: randomBytes(1 << 20) },
  { name: 'last', data: Buffer.from('end') },
];

/** More than fits into the memory of a spool. */
const many: File[] = Array.from({ length: 60 }, (_, index) => ({
  name: `many/${index}`,
  data: randomBytes(1_000_000 + index),
}));

function* tarOf(files: readonly File[]): Generator<Buffer> {
  for (const { name, data } of files) {
    const entry = { type: 'file', size: data.length, mode: 0o644, uid: 0, gid: 0, mtime: 1 } as const;
    yield Buffer.concat([encodeEntry({ path: Buffer.from(name), ...entry }), data, padding(data.length)]);
  }
  yield endOfArchive;
}

async function* slowly(chunks: Iterable<Buffer>): AsyncGenerator<Buffer> {
  yield* chunks;
}

async function write(files: readonly File[], options: Partial<ArchiveOptions> = {}) {
  const path = join(directory, `archive-${randomBytes(4).toString('hex')}`);
  const file = await open(path, 'wx');
  try {
    const summary = await writeArchive(slowly(tarOf(files)), file, {
      compression: 'gzip',
      signal,
      ...options,
    });
    return { path, summary };
  } finally {
    await file.close();
  }
}

async function read(path: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of readArchive(path, { signal })) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const commands = { gzip: ['gzip', ['-dc']], zstd: ['zstd', ['-dc']] } as const;

describe.each(['gzip', 'zstd'] as Compression[])('with %s', (compression) => {
  test('what comes out is what went in, and the summary says what it is', async () => {
    const { path, summary } = await write(mixed, { compression });
    const bytes = readFileSync(path);
    const tar = Buffer.concat([...tarOf(mixed)]);
    expect((await read(path)).equals(tar)).toBe(true);
    expect(summary).toEqual({
      sizeBytes: bytes.length,
      rawSizeBytes: tar.length,
      entries: mixed.length,
      contentBytes: mixed.reduce((sum, { data }) => sum + data.length, 0),
      sha256: createHash('sha256').update(bytes).digest('hex'),
    });
  });

  test('the usual command decompresses it to the same tar', async () => {
    const { path } = await write(mixed, { compression });
    const [command, args] = commands[compression];
    const bytes = execFileSync(command, args, { input: readFileSync(path), maxBuffer: 1 << 28 });
    expect(bytes.equals(Buffer.concat([...tarOf(mixed)]))).toBe(true);
  });

  test('the same content gives the same bytes, whatever the number of threads and the chunks', async () => {
    const one = await write(mixed, { compression, threads: 1 });
    const four = await write(mixed, { compression, threads: 4 });
    expect(four.summary.sha256).toBe(one.summary.sha256);
  });

  test('a large file gives the same members, whatever lies around it', async () => {
    const large = { name: 'large', data: randomBytes(2_500_000) };
    const alone = readFileSync((await write([large], { compression })).path);
    const among = readFileSync((await write([...mixed.slice(0, 20), large, ...mixed], { compression })).path);
    const members = membersOf(alone, compression);
    expect(members.length).toBeGreaterThanOrEqual(4);
    for (const member of members.slice(1, 4)) expect(among.includes(member)).toBe(true);
  });

  test('a file at the front changes only the members near it', async () => {
    const many = Array.from({ length: 2000 }, (_, index) => ({ name: `f${index}`, data: randomBytes(4000) }));
    const before = membersOf(readFileSync((await write(many, { compression })).path), compression);
    const after = readFileSync(
      (await write([{ name: 'new', data: randomBytes(50_000) }, ...many], { compression })).path,
    );
    const same = before.filter((member) => after.includes(member));
    expect(same.length).toBeGreaterThan(before.length * 0.7);
  });

  test('an archive cut at the border of a member is refused', async () => {
    const { path } = await write(mixed, { compression });
    const lengths = membersOf(readFileSync(path), compression).map((member) => member.length);
    truncateSync(
      path,
      lengths.slice(0, -1).reduce((sum, length) => sum + length, 0),
    );
    const { scanTar } = await import('../../src/archive/tar-scan.ts');
    const scanAll = async () => {
      for await (const _ of scanTar(readArchive(path, { signal })));
    };
    await expect(scanAll()).rejects.toThrow('ends in the middle');
  });

  test('skipped entries leave no trace', async () => {
    const skip = (entry: { path: Buffer }) => entry.path.toString().startsWith('large');
    const { path, summary } = await write(mixed, { compression, skip });
    const kept = mixed.filter(({ name }) => !name.startsWith('large'));
    expect((await read(path)).equals(Buffer.concat([...tarOf(kept)]))).toBe(true);
    expect(summary.entries).toBe(kept.length);
  });
});

function membersOf(bytes: Buffer, compression: Compression): Buffer[] {
  const lengthAt = compression === 'gzip' ? 16 : 8;
  const members: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32LE(at + lengthAt);
    members.push(bytes.subarray(at, at + length));
    at += length;
  }
  return members;
}

test('archives of other tools are read: gzip, several gzips in a row, zstd, plain tar', async () => {
  const tar = Buffer.concat([...tarOf(mixed)]);
  const half = tar.length >> 1;
  const gzip = (bytes: Buffer) => execFileSync('gzip', ['-c'], { input: bytes, maxBuffer: 1 << 28 });
  const files = {
    gzip: gzip(tar),
    'two gzips': Buffer.concat([gzip(tar.subarray(0, half)), gzip(tar.subarray(half))]),
    zstd: execFileSync('zstd', ['-c'], { input: tar, maxBuffer: 1 << 28 }),
    tar,
  };
  for (const [name, bytes] of Object.entries(files)) {
    const path = join(directory, name);
    writeFileSync(path, bytes);
    expect((await read(path)).equals(tar), name).toBe(true);
  }
});

test('a gzip of another tool with bytes behind it or cut is refused', async () => {
  const gz = execFileSync('gzip', ['-c'], { input: Buffer.concat([...tarOf(mixed)]), maxBuffer: 1 << 28 });
  const path = join(directory, 'foreign.tar.gz');
  writeFileSync(path, Buffer.concat([gz, Buffer.from('rubbish')]));
  await expect(read(path)).rejects.toThrow('damaged');
  writeFileSync(path, gz.subarray(0, gz.length - 9));
  await expect(read(path)).rejects.toThrow('damaged');
});

test('what is no archive is refused with what it is', async () => {
  const path = join(directory, 'not-an-archive');
  writeFileSync(path, 'SQLite format 3\0 and so on');
  await expect(read(path)).rejects.toThrow('it is an SQLite database');
  writeFileSync(path, '');
  await expect(read(path)).rejects.toThrow('it is empty');
  writeFileSync(path, 'hello');
  await expect(read(path)).rejects.toThrow('no known kind');
  await expect(read(join(directory, 'missing'))).rejects.toThrow('cannot be read');
});

test('a member that would grow beyond every bound is refused', async () => {
  const path = join(directory, 'bomb.tar.gz');
  const { path: small } = await write([{ name: 'a', data: Buffer.from('a') }]);
  const head = readFileSync(small).subarray(0, 24);
  const bomb = execFileSync('gzip', ['-9c'], { input: Buffer.alloc(64 << 20), maxBuffer: 1 << 28 }).subarray(
    10,
  );
  head.writeUInt32LE(24 + bomb.length, 16);
  for (const claimed of [64 << 20, 1000]) {
    head.writeUInt32LE(claimed, 20);
    writeFileSync(path, Buffer.concat([head, bomb]));
    await expect(read(path)).rejects.toThrow('damaged');
  }
});

test('an abort ends reading and writing', async () => {
  const stop = new AbortController();
  async function* endless(): AsyncGenerator<Buffer> {
    const data = Buffer.alloc(1 << 20);
    const size = 1 << 30;
    yield encodeEntry({ path: Buffer.from('a'), type: 'file', size, mode: 0, uid: 0, gid: 0, mtime: 0 });
    for (let count = 0; ; count += 1) {
      if (count === 20) stop.abort();
      yield data;
    }
  }
  const file = await open(join(directory, 'aborted'), 'wx');
  const written = writeArchive(endless(), file, { compression: 'gzip', signal: stop.signal });
  await expect(written).rejects.toThrow('abort');
  await file.close();
});

test('who is held still is let go when its last byte is read, and that is before all is written', async () => {
  let release = () => {};
  const isRead = new Promise<void>((resolve) => {
    release = resolve;
  });
  const written: string[] = [];
  const { path } = await write(many, {
    threads: 1,
    spool: {
      directory,
      onRead: () => {
        written.push('read');
        release();
      },
    },
    onProgress: () => written.push('written'),
  });
  await isRead;
  expect(written.lastIndexOf('written')).toBeGreaterThan(written.indexOf('read'));
  expect((await read(path)).equals(Buffer.concat([...tarOf(many)]))).toBe(true);
  expect(readdirSync(directory)).toEqual([basename(path)]);
});

test.each([
  [
    'a source',
    async function* () {
      yield* tarOf(many);
      throw new Error('it is gone');
    },
    () => {},
  ],
  [
    'who is to let go',
    () => slowly(tarOf(many)),
    () => {
      throw new Error('it is gone');
    },
  ],
])('%s that fails is an error, and no spool file stays', async (_, source, onRead) => {
  const file = await open(join(directory, 'failing'), 'wx');
  try {
    const spool = { directory, onRead };
    const options = { compression: 'gzip', threads: 1, signal, spool } as const;
    await expect(writeArchive(source(), file, options)).rejects.toThrow('it is gone');
  } finally {
    await file.close();
  }
  expect(readdirSync(directory)).toEqual(['failing']);
});

test('a disk that fails ends the source', async () => {
  let hasEnded = false;
  const source = async function* () {
    try {
      yield* tarOf(many);
    } finally {
      hasEnded = true;
    }
  };
  const file = await open(join(directory, 'read-only'), 'w+');
  await file.close();
  const readOnly = await open(join(directory, 'read-only'), 'r');
  try {
    const written = writeArchive(source(), readOnly, { compression: 'gzip', signal });
    await expect(written).rejects.toThrow('EBADF');
  } finally {
    await readOnly.close();
  }
  expect(hasEnded).toBe(true);
});

test('headers that are longer than any slab go through', async () => {
  const name = Buffer.alloc(900_000, 'a');
  const entry = { type: 'file', size: 3, mode: 0o644, uid: 0, gid: 0, mtime: 1 } as const;
  const header = encodeEntry({ path: name, ...entry });
  const tar = Buffer.concat([
    ...[header, Buffer.from('one'), padding(3), header, Buffer.from('two'), padding(3)],
    endOfArchive,
  ]);
  const path = join(directory, 'long-names');
  const file = await open(path, 'wx');
  try {
    await writeArchive(slowly([tar]), file, { compression: 'gzip', signal });
  } finally {
    await file.close();
  }
  expect((await read(path)).equals(tar)).toBe(true);
});

test('what is random is stored and not compressed, and what only looks so at a glance is', async () => {
  const random = randomBytes(3 << 20);
  const stored = await write([{ name: 'random', data: random }]);
  expect(stored.summary.sizeBytes).toBeGreaterThan(random.length);
  // Every byte as often as every other, so that counting bytes says random, and yet all of it is one line again and again.
  const line = randomBytes(1024);
  const again = await write([{ name: 'again', data: Buffer.alloc(3 << 20, line) }]);
  expect(again.summary.sizeBytes).toBeLessThan(random.length / 10);
  for (const { path } of [stored, again]) execFileSync('gzip', ['-t', path]);
});

test('a source that fails half-way leaves no thread behind', async () => {
  const failing = async function* () {
    yield* tarOf(mixed);
    throw new Error('the source is gone');
  };
  const file = await open(join(directory, 'failing'), 'wx');
  const threads = () => readdirSync('/proc/self/task').length;
  const before = threads();
  try {
    const written = writeArchive(failing(), file, { compression: 'gzip', threads: 4, signal });
    await expect(written).rejects.toThrow('the source is gone');
    await expect.poll(threads).toBeLessThanOrEqual(before);
  } finally {
    await file.close();
  }
});
