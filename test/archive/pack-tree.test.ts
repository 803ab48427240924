import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packFiles } from '../../src/archive/pack-files.ts';
import { type PackNote, packTree } from '../../src/archive/pack-tree.ts';
import { scanTar, type TarPiece, TarScanner } from '../../src/archive/tar-scan.ts';
import { gather, inChunks, makeTempDir, never, runAsNobody } from './gather.ts';
import { describeTree, isRoot, makeHostileTree } from './hostile-tree.ts';

async function namesIn(tar: Buffer): Promise<string[]> {
  const names: string[] = [];
  for await (const piece of scanTar(inChunks(tar))) {
    if (piece.type === 'entry') names.push(piece.entry.path.toString());
  }
  return names;
}

/** A copy, because all of it is good only until the next chunk. */
function plainly(pieces: Iterable<TarPiece>): unknown[] {
  return Array.from(pieces, (piece) => {
    if (piece.type === 'data') return piece.bytes.toString('hex');
    const { pax, path, linkPath, ...rest } = piece.entry;
    return {
      ...rest,
      path: path.toString('hex'),
      linkPath: linkPath?.toString('hex'),
      pax: pax && [...pax].map(([key, value]) => [key, value.toString('hex')]),
      raw: piece.raw.toString('hex'),
    };
  });
}

describe('packTree', () => {
  it('gives a tar from which GNU tar makes the same tree, entry by entry', async () => {
    const directory = makeTempDir();
    makeHostileTree(join(directory, 'tree'));
    const before = describeTree(join(directory, 'tree'));
    fs.writeFileSync(
      join(directory, 'tree.tar'),
      await gather(packTree(join(directory, 'tree'), { signal: never() })),
    );
    fs.mkdirSync(join(directory, 'again'));
    execFileSync('tar', ['-xpf', '../tree.tar'], { cwd: join(directory, 'again') });
    expect(describeTree(join(directory, 'again'))).toEqual(before);
  });

  it('gives the same bytes for the same tree', async () => {
    const root = join(makeTempDir(), 'tree');
    makeHostileTree(root);
    const first = await gather(packTree(root, { signal: never() }));
    expect(first.equals(await gather(packTree(root, { signal: never() })))).toBe(true);
  });

  it('tells those who scan it what is in each chunk, as they would find it themselves', async () => {
    const root = join(makeTempDir(), 'tree');
    makeHostileTree(root);
    // Many of them come without a file between them, so that a chunk is full before it is asked for.
    for (const at of Array(700).keys())
      fs.mkdirSync(join(root, 'many', `${'d'.repeat(200)}-${at}`), { recursive: true });
    fs.mkdirSync(join(root, ...Array(250).fill('deep')), { recursive: true });
    fs.writeFileSync(join(root, ...Array(250).fill('deep'), 'file'), 'x');
    const skip = (path: string, isDirectory: boolean) => isDirectory && path.startsWith('deep') && 'descend';
    const paxOf = async (name: Buffer) => new Map([['SCHILY.xattr.security.capability', name]]);
    const [told, found] = [new TarScanner(), new TarScanner()];
    let spared = 0;
    for await (const chunk of packTree(root, { signal: never(), skip, paxOf })) {
      const pieces = told.scan(chunk);
      if (Array.isArray(pieces)) spared += 1;
      expect(plainly(pieces)).toEqual(plainly(found.scan(Buffer.from(chunk))));
    }
    told.end();
    found.end();
    expect(spared).toBeGreaterThan(5);
  });

  it('sorts names by their bytes, files before directories, the root first', async () => {
    const root = makeTempDir();
    for (const name of ['b', 'B', 'a/z', 'a/b', 'c']) {
      fs.mkdirSync(join(root, name, '..'), { recursive: true });
      fs.writeFileSync(join(root, name), name);
    }
    const names = await namesIn(await gather(packTree(root, { signal: never() })));
    expect(names).toEqual(['./', './B', './b', './c', './a/', './a/b', './a/z']);
  });

  it('leaves out what is skipped, and directories that only stand around it', async () => {
    const root = makeTempDir();
    for (const name of ['logs/one', 'keep/data/file', 'keep/other', 'empty/deep/nothing.tmp']) {
      fs.mkdirSync(join(root, name, '..'), { recursive: true });
      fs.writeFileSync(join(root, name), name);
    }
    const seen: string[] = [];
    const skip = (path: string, isDirectory: boolean) => {
      seen.push(path);
      if (path === 'logs') return true;
      if (isDirectory) return path === 'keep/data' ? false : 'descend';
      return path !== 'keep/data/file';
    };
    const names = await namesIn(await gather(packTree(root, { signal: never(), skip })));
    expect(names).toEqual(['./', './keep/', './keep/data/', './keep/data/file']);
    expect(seen).not.toContain('logs/one');
  });

  it('fills up a file that becomes shorter, cuts one that grows, and tells', async () => {
    const root = makeTempDir();
    const large = 4 * 1024 * 1024;
    for (const name of ['grows', 'shrinks']) fs.writeFileSync(join(root, name), Buffer.alloc(large, 1));
    const notes: [string, PackNote][] = [];
    const chunks: Buffer[] = [];
    const onChanged = (path: string, what: PackNote) => notes.push([path, what]);
    for await (const chunk of packTree(root, { signal: never(), onChanged })) {
      if (chunks.length === 2) fs.appendFileSync(join(root, 'grows'), 'more');
      if (chunks.length === 7) fs.truncateSync(join(root, 'shrinks'), 2 * 1024 * 1024 + 5);
      chunks.push(Buffer.from(chunk));
    }
    expect(notes).toEqual([
      ['grows', 'grown'],
      ['shrinks', 'shrunk'],
    ]);
    const sizes = new Map<string, number>();
    for await (const piece of scanTar(inChunks(Buffer.concat(chunks)))) {
      if (piece.type === 'entry') sizes.set(piece.entry.path.toString(), piece.entry.size);
    }
    expect(sizes.get('./grows')).toBe(large);
    expect(sizes.get('./shrinks')).toBe(large);
  });

  it('tells of a large file and of a directory that vanish after they were seen', async () => {
    const root = makeTempDir();
    for (const name of ['a-large', 'b-large']) fs.writeFileSync(join(root, name), Buffer.alloc(1024 * 1024));
    fs.mkdirSync(join(root, 'directory'));
    const notes: [string, PackNote][] = [];
    const onChanged = (path: string, what: PackNote) => notes.push([path, what]);
    let count = 0;
    for await (const _ of packTree(root, { signal: never(), onChanged })) {
      if (count++ > 0) continue;
      fs.rmSync(join(root, 'b-large'));
      fs.rmdirSync(join(root, 'directory'));
    }
    expect(notes).toEqual([
      ['b-large', 'vanished'],
      ['directory/', 'vanished'],
    ]);
  });

  it('leaves out sockets and tells', async () => {
    const root = makeTempDir();
    const server = createServer().listen(join(root, 'socket'));
    await new Promise((resolve) => server.once('listening', resolve));
    const notes: [string, PackNote][] = [];
    const onChanged = (path: string, what: PackNote) => notes.push([path, what]);
    const names = await namesIn(await gather(packTree(root, { signal: never(), onChanged })));
    server.close();
    expect(names).toEqual(['./']);
    expect(notes).toEqual([['socket', 'socket']]);
  });

  it.runIf(isRoot)('names the file that it may not read', async () => {
    const root = makeTempDir();
    fs.writeFileSync(join(root, 'secret'), 'x', { mode: 0o600 });
    const said = runAsNobody(
      root,
      `import { packTree } from 'SRC/archive/pack-tree.ts';
       try {
         for await (const _ of packTree('.', { signal: new AbortController().signal }));
       } catch (error) {
         console.log(error.code, error.message);
       }`,
    );
    expect(said).toBe('backup_failed "./secret" cannot be read: permission denied\n');
  });

  it('names a directory that is not there', async () => {
    const root = join(makeTempDir(), 'nowhere');
    await expect(gather(packTree(root, { signal: never() }))).rejects.toThrow(`"${root}" cannot be read`);
  });

  it('stops when it is told to', async () => {
    const root = makeTempDir();
    fs.writeFileSync(join(root, 'large'), Buffer.alloc(8 * 1024 * 1024));
    const controller = new AbortController();
    const read = async () => {
      for await (const _ of packTree(root, { signal: controller.signal }))
        controller.abort(new Error('enough'));
    };
    await expect(read()).rejects.toThrow('enough');
  });
});

describe('packFiles', () => {
  it('gives the files under their names, with the attributes said', async () => {
    const directory = makeTempDir();
    fs.writeFileSync(join(directory, 'copy'), 'content');
    const attributes = { mode: 0o640, uid: 12, gid: 34, mtime: 1_600_000_000 };
    const tar = await gather(
      packFiles([{ name: 'events.db', path: join(directory, 'copy'), attributes }], { signal: never() }),
    );
    fs.writeFileSync(join(directory, 'x.tar'), tar);
    const listing = execFileSync('tar', [
      '-tvf',
      join(directory, 'x.tar'),
      '--utc',
      '--numeric-owner',
    ]).toString();
    expect(listing).toMatch(/^-rw-r----- 12\/34 +7 2020-09-13 12:26 events\.db\n$/);
  });

  it('refuses a file that changes meanwhile', async () => {
    const path = join(makeTempDir(), 'copy');
    fs.writeFileSync(path, Buffer.alloc(3 * 1024 * 1024));
    const read = async () => {
      for await (const _ of packFiles([{ name: 'copy', path }], { signal: never() }))
        fs.appendFileSync(path, 'x');
    };
    await expect(read()).rejects.toThrow('has grown while it was read');
  });
});
