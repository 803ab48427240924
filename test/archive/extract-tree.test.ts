import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type ExtractNote, type ExtractOptions, extractTree } from '../../src/archive/extract-tree.ts';
import { packTree } from '../../src/archive/pack-tree.ts';
import { safePartsOf } from '../../src/archive/safe-name.ts';
import { makeFifo } from '../../src/stores/host-tools.ts';
import { gather, inChunks, makeTar, makeTempDir, never, type Piece, runAsNobody } from './gather.ts';
import { describeTree, isRoot, makeHostileTree } from './hostile-tree.ts';

const extract = (tar: Buffer, into: string, options: Partial<ExtractOptions> = {}) =>
  extractTree(inChunks(tar), into, { signal: never(), makeFifo, ...options });

describe('extractTree', () => {
  it.runIf(isRoot)('makes the same tree again, entry by entry', async () => {
    const directory = makeTempDir();
    const [from, to] = [join(directory, 'tree'), join(directory, 'again')];
    makeHostileTree(from);
    const before = describeTree(from);
    const notes: [string, ExtractNote][] = [];
    const onNote = (path: string, what: ExtractNote) => notes.push([path, what]);
    await extractTree(packTree(from, { signal: never() }), to, { signal: never(), onNote, makeFifo });
    expect(describeTree(to)).toEqual(before);
    expect(notes).toEqual([]);
  });

  it.each(['gnu', 'posix', 'ustar'])('reads what GNU tar wrote (--format=%s)', async (format) => {
    const directory = makeTempDir();
    const [from, to] = [join(directory, 'tree'), join(directory, 'again')];
    makeHostileTree(from);
    if (format === 'ustar') {
      // What that format cannot hold.
      for (const name of ['link-with-long-target', 'exactly-512', 'x'.repeat(255)])
        fs.rmSync(join(from, name));
      for (const name of ['deep', 'large.bin', 'no-permissions', 'fifo', 'set-id', 'empty']) {
        fs.chownSync(join(from, name), 5, 5);
      }
      fs.chmodSync(join(from, 'set-id'), 0o6755);
    }
    const tar = execFileSync('tar', [`--format=${format}`, '-cf', '-', '.'], { cwd: from, maxBuffer: 1e9 });
    const result = await extract(tar, to);
    const second = (tree: ReturnType<typeof describeTree>) =>
      Object.fromEntries(
        Object.entries(tree).map(([name, entry]) => [
          name,
          { ...entry, mtime: Math.floor(entry.mtime / 1e6) },
        ]),
      );
    expect(second(describeTree(to))).toEqual(second(describeTree(from)));
    expect(result.directories).toBe(4);
  });

  it('takes owners and set-id bits only where it is told to', async () => {
    const into = join(makeTempDir(), 'into');
    const notes: [string, ExtractNote][] = [];
    const tar = makeTar([{ path: './set-id', data: 'x', mode: 0o6755, uid: 4242, gid: 4242 }]);
    await extract(tar, into, { keepOwner: false, onNote: (path, what) => notes.push([path, what]) });
    const stats = fs.statSync(join(into, 'set-id'));
    expect(stats.mode & 0o7777).toBe(0o755);
    expect(stats.uid).toBe(process.getuid?.());
    expect(notes).toEqual([['set-id', 'owner']]);
  });

  it.runIf(isRoot)('makes directories that their owner may not enter, as that owner', async () => {
    const directory = makeTempDir();
    const tar = makeTar([
      { path: './', mode: 0o500 },
      { path: './closed/', mode: 0o000 },
      { path: './closed/within/', mode: 0o500, mtime: 1_500_000_000 },
      { path: './closed/within/file', data: 'x', mode: 0o400 },
    ]);
    fs.writeFileSync(join(directory, 'x.tar'), tar, { mode: 0o644 });
    runAsNobody(
      directory,
      `import { createReadStream } from 'node:fs';
       import { extractTree } from 'SRC/archive/extract-tree.ts';
       await extractTree(createReadStream('x.tar'), 'into', { signal: new AbortController().signal });`,
    );
    const made = describeTree(join(directory, 'into'));
    expect(Object.entries(made).map(([name, { mode }]) => [name, mode])).toEqual([
      ['.', '500'],
      ['closed', '0'],
      ['closed/within', '500'],
      ['closed/within/file', '400'],
    ]);
    expect(made['closed/within']?.mtime).toBe(1_500_000_000e6);
  });

  it('extracts only what it is asked for', async () => {
    const into = join(makeTempDir(), 'into');
    const tar = makeTar([{ path: './' }, { path: './a', data: 'aaa' }, { path: './b/c', data: 'ccc' }]);
    const result = await extract(tar, into, { only: (entry) => entry.path.toString() === './b/c' });
    expect(result).toEqual({ files: 1, directories: 0, bytes: 3 });
    expect(fs.readdirSync(into)).toEqual(['b']);
  });

  it('refuses a directory that holds something, and leaves it as it is', async () => {
    const into = makeTempDir();
    fs.writeFileSync(join(into, 'mine'), 'mine');
    await expect(extract(makeTar([{ path: './mine', data: 'theirs' }]), into)).rejects.toThrow(
      'is not empty',
    );
    expect(fs.readFileSync(join(into, 'mine'), 'utf8')).toBe('mine');
  });

  it('tells of extended attributes that it does not restore', async () => {
    const notes: [string, ExtractNote][] = [];
    const pax = new Map([['SCHILY.xattr.user.note', Buffer.from('x')]]);
    const into = join(makeTempDir(), 'into');
    await extract(makeTar([{ path: './a', pax }]), into, {
      onNote: (path, what) => notes.push([path, what]),
    });
    expect(notes).toEqual([['./a', 'extended-attributes']]);
  });

  it.runIf(isRoot && process.platform === 'linux')('says so when the disk is full', async () => {
    const mount = join(makeTempDir(), 'mount');
    fs.mkdirSync(mount);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', mount]);
    try {
      const tar = makeTar([{ path: './large', data: 'x'.repeat(2_000_000) }]);
      await expect(extract(tar, join(mount, 'into'))).rejects.toThrow(
        /no space is left for .*into" \(at "large"\)/,
      );
    } finally {
      execFileSync('umount', [mount]);
    }
  });

  it('gives the root its own mode and time', async () => {
    const into = join(makeTempDir(), 'into');
    await extract(makeTar([{ path: './', mode: 0o700, mtime: 1_234_567_890 }, { path: './a' }]), into);
    const stats = fs.statSync(into);
    expect([stats.mode & 0o7777, stats.mtimeMs]).toEqual([0o700, 1_234_567_890_000]);
  });
});

describe('extractTree, given a hostile archive', () => {
  const outside = 'pkbackup-outside';
  const cases: [string, Piece[], RegExp][] = [
    ['an absolute name', [{ path: '/tmp/x', data: 'x' }], /"\/tmp\/x", which is absolute/],
    ['a name that goes up', [{ path: `./a/../../${outside}`, data: 'x' }], /goes up with "\.\."/],
    ['only "..", as a directory', [{ path: '../' }], /goes up/],
    ['an empty name', [{ path: '', data: 'x' }], /is empty/],
    [
      'a character device',
      [{ path: './tty', type: 'character-device', devMajor: 5 }],
      /"\.\/tty", which is a device/,
    ],
    ['a block device', [{ path: './sda', type: 'block-device', devMajor: 8 }], /is a device/],
    [
      'a file through a symlink that leaves the root',
      [
        { path: './out', type: 'symlink', linkPath: '..' },
        { path: `./out/${outside}`, data: 'x' },
      ],
      /holds "out(\/pkbackup-outside)?" twice/,
    ],
    [
      'a file through a symlink that stays inside',
      [{ path: './d/' }, { path: './l', type: 'symlink', linkPath: 'd' }, { path: './l/x', data: 'x' }],
      /twice/,
    ],
    [
      'a directory in the place of a symlink',
      [{ path: './l', type: 'symlink', linkPath: '..' }, { path: './l/' }],
      /twice/,
    ],
    [
      'a file in the place of a symlink',
      [
        { path: './l', type: 'symlink', linkPath: `../${outside}` },
        { path: './l', data: 'x' },
      ],
      /"l" twice/,
    ],
    [
      'a hard link to an absolute name',
      [{ path: './l', type: 'link', linkPath: '/etc/passwd' }],
      /is absolute/,
    ],
    ['a hard link that goes up', [{ path: './l', type: 'link', linkPath: '../victim' }], /goes up/],
    [
      'a hard link to nothing',
      [{ path: './l', type: 'link', linkPath: './none' }],
      /no file that came before/,
    ],
    [
      'a hard link to a directory',
      [{ path: './d/' }, { path: './l', type: 'link', linkPath: './d' }],
      /no file that came/,
    ],
    [
      'a hard link through a symlink',
      [
        { path: './up', type: 'symlink', linkPath: '..' },
        { path: './l', type: 'link', linkPath: './up/victim' },
      ],
      /no file that came before/,
    ],
    [
      'a file twice',
      [
        { path: './a', data: '1' },
        { path: 'a', data: '2' },
      ],
      /"a" twice/,
    ],
    ['a directory twice', [{ path: './d/' }, { path: './d/' }], /"d" twice/],
    [
      'a fifo in the place of a file',
      [
        { path: './a', data: '1' },
        { path: './a', type: 'fifo' },
      ],
      /"a" twice/,
    ],
    [
      'something in a file',
      [
        { path: './a', data: '1' },
        { path: './a/b', data: '2' },
      ],
      /twice/,
    ],
    ['a root that is a file', [{ path: './.', data: 'x' }], /is not a directory/],
    ['a root that is a link', [{ path: '.', type: 'symlink', linkPath: '/tmp' }], /is not a directory/],
    ['more than it should', [{ path: './a', data: 'x'.repeat(2000) }], /more than the 1000 bytes/],
  ];

  it.each(cases)('refuses %s', async (_what, pieces, message) => {
    const directory = makeTempDir();
    fs.writeFileSync(join(directory, 'victim'), 'victim');
    const refusal = extract(makeTar(pieces), join(directory, 'into'), { limitBytes: 1000 });
    await expect(refusal).rejects.toThrow(message);
    await expect(refusal).rejects.toMatchObject({ code: 'bad_backup' });
    expect(fs.readdirSync(directory).sort()).toEqual(['into', 'victim']);
    expect(fs.statSync(join(directory, 'victim')).nlink).toBe(1);
  });

  it('refuses a tar that was cut anywhere, and closes what it had open', async () => {
    const from = makeTempDir();
    fs.writeFileSync(join(from, 'a'), Buffer.alloc(100_000, 1));
    fs.writeFileSync(join(from, 'b'), 'b');
    const tar = await gather(packTree(from, { signal: never() }));
    const directory = makeTempDir();
    for (const length of [
      0,
      100,
      512,
      1024,
      1600,
      60_000,
      tar.length - 1024,
      tar.length - 512,
      tar.length - 1,
    ]) {
      const cut = extract(tar.subarray(0, length), join(directory, `cut-${length}`));
      await expect(cut).rejects.toMatchObject({ code: 'bad_backup' });
    }
    const open = fs.readdirSync('/proc/self/fd').map((fd) => {
      try {
        return fs.readlinkSync(`/proc/self/fd/${fd}`);
      } catch {
        return '';
      }
    });
    expect(open.filter((path) => path.startsWith(directory))).toEqual([]);
  });
});

describe('safePartsOf', () => {
  it('drops what says nothing', () => {
    expect(safePartsOf(Buffer.from('./a//./b/'))).toEqual(['a', 'b']);
    expect(safePartsOf(Buffer.from('./'))).toEqual([]);
  });

  it.each(['a\\b', 'C:x', 'stream:x', 'nul', 'COM1.txt', 'ends.', 'ends ', 'a?', 'tab\there'])(
    'refuses "%s" on Windows',
    (name) => {
      expect(() => safePartsOf(Buffer.from(`./d/${name}`), 'win32')).toThrow(/the archive holds the name/);
      expect(safePartsOf(Buffer.from(`./d/${name}`), 'linux')).toHaveLength(2);
    },
  );
});
