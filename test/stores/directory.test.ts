import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { scanTar } from '../../src/archive/tar-scan.ts';
import { directory } from '../../src/stores/directory.ts';
import type { BackupFacts } from '../../src/stores/store.ts';
import { gather, inChunks, makeTar, makeTempDir } from '../archive/gather.ts';
import { describeTree, isRoot, makeHostileTree } from '../archive/hostile-tree.ts';
import { contentOf, makeBackup, makeContext, restoreFully } from './host-run.ts';

const facts = { kind: 'directory', store: 'tested', source: {}, counts: {} } as const;

function put(root: string, files: Record<string, string>): void {
  for (const [name, content] of Object.entries(files)) {
    fs.mkdirSync(dirname(join(root, name)), { recursive: true });
    fs.writeFileSync(join(root, name), content);
  }
}

/** Names of files and directories below `root`, with content. */
function contentsOf(root: string): Record<string, string> {
  const names = fs.readdirSync(root, { recursive: true, encoding: 'utf8' }).sort();
  return Object.fromEntries(
    names
      .filter((name) => fs.statSync(join(root, name)).isFile())
      .map((name) => [name, fs.readFileSync(join(root, name), 'utf8')]),
  );
}

async function namesIn(tar: Buffer): Promise<string[]> {
  const names: string[] = [];
  for await (const piece of scanTar(inChunks(tar))) {
    if (piece.type === 'entry') names.push(piece.entry.path.toString());
  }
  return names;
}

describe('directory: look', () => {
  it('counts what is there, without what is left out', async () => {
    const path = makeTempDir();
    put(path, { a: '1', 'd/b': '22', 'logs/x': '333', 'c.tmp': '4444' });
    const look = await directory.look({ path, exclude: ['logs/', '*.tmp'] }, makeContext());
    expect(look).toMatchObject({ counts: { files: 2, directories: 1 }, estimatedBytes: 3, isEmpty: false });
  });

  it('says what is wrong with the path in one line', async () => {
    const path = makeTempDir();
    put(path, { file: '' });
    const at = (name: string) => directory.look({ path: join(path, name) }, makeContext());
    await expect(at('nowhere')).rejects.toMatchObject({
      code: 'not_found',
      message: `"${path}/nowhere" is not there`,
    });
    await expect(at('file')).rejects.toMatchObject({
      code: 'not_found',
      message: `"${path}/file" is a file, expected a directory`,
    });
  });

  it('finds an empty directory empty, and one with everything left out', async () => {
    const path = makeTempDir();
    expect((await directory.look({ path }, makeContext())).isEmpty).toBe(true);
    put(path, { 'a.tmp': '' });
    expect((await directory.look({ path, exclude: ['*.tmp'] }, makeContext())).isEmpty).toBe(true);
  });

  it('refuses patterns that mean something else than people think', () => {
    const parse = (exclude: string[]) => directory.schema.safeParse({ path: '/x', exclude });
    expect(parse(['*.tmp', 'logs/', '/top', 'a/**/b']).success).toBe(true);
    for (const pattern of ['!keep', '../other', '', '/']) expect(parse([pattern]).success).toBe(false);
    expect(directory.schema.safeParse({ path: '/x', excludes: [] }).success).toBe(false);
  });
});

describe('directory: patterns', () => {
  const files = {
    'logs/one': '',
    'deep/logs/two': '',
    'deep/logs.txt': '',
    'x.tmp': '',
    'deep/y.tmp': '',
    '.hidden/z': '',
    '.hidden/.w.tmp': '',
    'data/a.json': '',
    'data/sub/b.json': '',
    'deep/data/c.json': '',
    logsfile: '',
  };
  const cases: [string, { include?: string[]; exclude?: string[] }, string[]][] = [
    ['a directory anywhere', { exclude: ['logs/'] }, ['logs/one', 'deep/logs/two']],
    ['a name anywhere', { exclude: ['*.tmp'] }, ['x.tmp', 'deep/y.tmp', '.hidden/.w.tmp']],
    ['a path from the top', { exclude: ['/logs'] }, ['logs/one']],
    ['a path with a slash in it', { exclude: ['deep/logs/'] }, ['deep/logs/two']],
    ['one level only', { exclude: ['data/*.json'] }, ['data/a.json']],
    ['every level', { exclude: ['data/**/*.json'] }, ['data/a.json', 'data/sub/b.json']],
    ['hidden names', { exclude: ['.hidden/'] }, ['.hidden/z', '.hidden/.w.tmp']],
    ['what a star does not cross', { exclude: ['*/y.tmp'] }, ['deep/y.tmp']],
  ];

  it.each(cases)('leave out %s', async (_what, patterns, left) => {
    const path = makeTempDir();
    put(path, files);
    const { tar } = await makeBackup(directory, { path, ...patterns });
    const saved = (await namesIn(tar)).filter((name) => !name.endsWith('/')).map((name) => name.slice(2));
    expect(saved.sort()).toEqual(
      Object.keys(files)
        .filter((name) => !left.includes(name))
        .sort(),
    );
  });

  it('save only what is included, with the directories around it, less what is excluded', async () => {
    const path = makeTempDir();
    put(path, files);
    const { tar, facts } = await makeBackup(directory, { path, include: ['data/'], exclude: ['b.*'] });
    expect(await namesIn(tar)).toEqual([
      './',
      './data/',
      './data/a.json',
      './data/sub/',
      './deep/',
      './deep/data/',
      './deep/data/c.json',
    ]);
    expect(facts.counts).toEqual({ files: 2, directories: 4 });
  });
});

describe('directory: backup', () => {
  it('leaves out the repository in it, and tells', async () => {
    const path = makeTempDir();
    const repositoryDir = join(path, 'sub/backups');
    const scratchDir = join(repositoryDir, '.pkbackup/scratch-1');
    put(path, {
      a: '1',
      'sub/b': '2',
      'sub/backups/x.tar.gz': 'large',
      'sub/backups/.pkbackup/scratch-1/y': '',
    });
    const context = makeContext({ repositoryDir, scratchDir });
    const { tar } = await makeBackup(directory, { path }, context);
    expect(await namesIn(tar)).toEqual(['./', './a', './sub/', './sub/b']);
    expect(context.events).toContainEqual(
      expect.objectContaining({ type: 'warning', message: expect.stringContaining('lies within') }),
    );
    await expect(directory.look({ path: repositoryDir }, context)).rejects.toMatchObject({ code: 'config' });
  });

  it('says what changed while it was read', async () => {
    const path = makeTempDir();
    for (const name of ['a', 'b']) fs.writeFileSync(join(path, name), Buffer.alloc(2_000_000));
    const context = makeContext();
    const snapshot = await directory.snapshot({ path }, await directory.look({ path }, context), context);
    let count = 0;
    for await (const _ of snapshot.tar) if (count++ === 1) fs.appendFileSync(join(path, 'a'), 'x');
    expect(snapshot.notes?.()).toEqual(['1 grew while read; saved as long as it was at the start ("a")']);
  });

  it('is found sound by its watch, and another one is not', async () => {
    const path = makeTempDir();
    put(path, { a: '1', 'b/c': '2' });
    const { content, facts } = await makeBackup(directory, { path });
    const watched = async (expected: BackupFacts) => {
      const watch = directory.watch!(expected);
      for await (const piece of scanTar(content.tar())) watch.add(piece);
      return watch.report();
    };
    expect(await watched(facts)).toEqual({ findings: [], counts: { files: 2, directories: 1 } });
    const more = { ...facts, counts: { files: 3, directories: 1 } };
    expect((await watched(more)).findings).toEqual(['files: expected 3, found 2']);
  });
});

describe('directory: restore', () => {
  it.runIf(isRoot)('brings a hostile tree back entry by entry, after it was destroyed', async () => {
    const path = join(makeTempDir(), 'tree');
    makeHostileTree(path);
    const before = describeTree(path);
    const { content, facts } = await makeBackup(directory, { path });
    fs.rmSync(path, { recursive: true });
    const restoration = await directory.planRestore({ path }, facts, { beside: false }, makeContext());
    expect(restoration.plan).toMatchObject({ target: `directory "${path}"`, replaces: false });
    await restoreFully(restoration, content);
    expect(describeTree(path)).toEqual(before);
    expect(fs.readdirSync(dirname(path))).toEqual(['tree']);
  });

  it('replaces what is there, keeps the directory itself, and gives back the previous data', async () => {
    const path = join(makeTempDir(), 'memory');
    put(path, { a: 'old', 'd/only-then': 'x' });
    const { content, facts } = await makeBackup(directory, { path });
    fs.rmSync(join(path, 'd'), { recursive: true });
    put(path, { a: 'new', 'only-now': 'y' });
    const { ino } = fs.statSync(path);
    const restoration = await directory.planRestore({ path }, facts, { beside: false }, makeContext());
    expect(restoration.plan).toMatchObject({ replaces: true, presentBytes: 4 });
    const { previous, counts } = await restoreFully(restoration, content);
    expect(contentsOf(path)).toEqual({ a: 'old', 'd/only-then': 'x' });
    expect(fs.statSync(path).ino).toBe(ino);
    expect(counts).toEqual({ files: 2, directories: 1 });
    expect(await namesIn(previous ?? Buffer.alloc(0))).toEqual(['./', './a', './only-now']);
    expect(fs.readdirSync(dirname(path))).toEqual(['memory']);
  });

  it('leaves what the patterns leave out at the top where it is', async () => {
    const path = join(makeTempDir(), 'memory');
    put(path, { a: 'old', 'logs/l': 'log', 'data/d': 'old' });
    const target = { path, exclude: ['logs/'] };
    const { content, facts } = await makeBackup(directory, target);
    put(path, { a: 'new', 'logs/l': 'newer log', 'data/d': 'new' });
    const restoration = await directory.planRestore(target, facts, { beside: false }, makeContext());
    await restoreFully(restoration, content);
    expect(contentsOf(path)).toEqual({ a: 'old', 'logs/l': 'newer log', 'data/d': 'old' });
  });

  it('leaves the repository in it where it is, and is refused where it would move it', async () => {
    const path = join(makeTempDir(), 'memory');
    put(path, { a: 'old', 'sub/b': 'old' });
    const { content, facts } = await makeBackup(directory, { path });
    put(path, { a: 'new', 'backups/x.tar.gz': 'precious', 'sub/backups/x.tar.gz': 'precious' });
    const plan = (repository: string) => {
      const context = makeContext({ repositoryDir: join(path, repository) });
      return directory.planRestore({ path }, facts, { beside: false }, context);
    };
    await expect(plan('sub/backups')).rejects.toThrow(/the repository ".*" lies in what would be replaced/);
    const restoration = await plan('backups');
    expect(restoration.plan).toMatchObject({ presentCounts: { files: 3 } });
    const { previous } = await restoreFully(restoration, content);
    expect(contentsOf(path)).toEqual({ a: 'old', 'sub/b': 'old', 'backups/x.tar.gz': 'precious' });
    expect(await namesIn(previous ?? Buffer.alloc(0))).not.toContain('./backups/');
  });

  it('is refused where the backup has something under the name of the repository', async () => {
    const path = join(makeTempDir(), 'memory');
    put(path, { 'backups/old': 'old' });
    const { content, facts } = await makeBackup(directory, { path });
    const context = makeContext({ repositoryDir: join(path, 'backups') });
    const restoration = await directory.planRestore({ path }, facts, { beside: false }, context);
    await expect(restoration.stage(content)).rejects.toThrow(/lies in what would be replaced/);
    await restoration.rollback();
    expect(contentsOf(path)).toEqual({ 'backups/old': 'old' });
  });

  it('leaves everything else where only some things are included', async () => {
    const path = join(makeTempDir(), 'memory');
    put(path, { 'other/x': 'x', 'data/d': 'old', 'mixed/data/m': 'old' });
    const target = { path, include: ['data/'] };
    const { content, facts } = await makeBackup(directory, target);
    put(path, { 'other/x': 'changed', 'data/d': 'new', 'mixed/data/m': 'new' });
    const restoration = await directory.planRestore(target, facts, { beside: false }, makeContext());
    await restoreFully(restoration, content);
    expect(contentsOf(path)).toEqual({ 'other/x': 'changed', 'data/d': 'old', 'mixed/data/m': 'old' });
  });

  it('is undone by rollback at every step, attributes of the directory included', async () => {
    const path = join(makeTempDir(), 'memory');
    put(path, { a: 'old', 'd/b': 'old' });
    const { content, facts } = await makeBackup(directory, { path });
    put(path, { a: 'new', c: 'new' });
    fs.chmodSync(path, 0o711);
    fs.utimesSync(path, 1_600_000_000, 1_600_000_000);
    const before = describeTree(path);
    for (const steps of [0, 1, 2, 3]) {
      const restoration = await directory.planRestore({ path }, facts, { beside: false }, makeContext());
      if (steps > 0) await restoration.stage(content);
      if (steps > 1) await restoration.swap();
      if (steps > 2) await restoration.swap();
      expect(contentsOf(path).a).toBe(steps > 1 ? 'old' : 'new');
      await restoration.rollback();
      await restoration.rollback();
      expect(describeTree(path)).toEqual(before);
      expect(fs.readdirSync(dirname(path))).toEqual(['memory']);
    }
  });

  it('refuses a place beside that holds something, and touches nothing', async () => {
    const path = makeTempDir();
    put(path, { mine: '1' });
    const plan = directory.planRestore({ path }, facts, { beside: true }, makeContext());
    await expect(plan).rejects.toMatchObject({
      code: 'restore_failed',
      message: `"${path}" is not empty; nothing was touched`,
    });
    expect(fs.readdirSync(path)).toEqual(['mine']);
  });

  it('restores beside into a place whose parents are missing, and takes them back', async () => {
    const root = makeTempDir();
    const path = join(root, 'new/place');
    const content = contentOf(
      makeTar([
        { path: './', mode: 0o750 },
        { path: './a', data: '1' },
      ]),
    );
    const plan = () => directory.planRestore({ path }, facts, { beside: true }, makeContext());
    const undone = await plan();
    await undone.stage(content);
    await undone.swap();
    await undone.rollback();
    expect(fs.readdirSync(root)).toEqual([]);
    await restoreFully(await plan(), content);
    expect(contentsOf(path)).toEqual({ a: '1' });
    expect(fs.statSync(path).mode & 0o777).toBe(0o750);
  });

  it('leaves the directory as it is where the archive says nothing of it', async () => {
    const path = join(makeTempDir(), 'memory');
    put(path, { a: 'new' });
    fs.chmodSync(path, 0o751);
    const restoration = await directory.planRestore({ path }, facts, { beside: false }, makeContext());
    await restoreFully(restoration, contentOf(makeTar([{ path: 'a', data: 'old' }])));
    expect(fs.statSync(path).mode & 0o777).toBe(0o751);
    expect(contentsOf(path)).toEqual({ a: 'old' });
  });

  it('refuses a hostile or cut archive, and leaves the present data', async () => {
    const root = makeTempDir();
    const path = join(root, 'memory');
    put(path, { a: 'present' });
    const tars = [
      makeTar([{ path: '../../evil', data: 'x' }]),
      makeTar([{ path: './a', data: 'x' }]).subarray(0, 700),
    ];
    for (const tar of tars) {
      const restoration = await directory.planRestore({ path }, facts, { beside: false }, makeContext());
      await expect(restoration.stage(contentOf(tar))).rejects.toMatchObject({ code: 'bad_backup' });
      await restoration.rollback();
      expect(contentsOf(root)).toEqual({ 'memory/a': 'present' });
    }
  });

  it('refuses an archive that lacks what the metadata counts', async () => {
    const path = join(makeTempDir(), 'memory');
    const counted = { ...facts, counts: { files: 2, directories: 0 } };
    const restoration = await directory.planRestore({ path }, counted, { beside: false }, makeContext());
    const stage = restoration.stage(contentOf(makeTar([{ path: './a' }])));
    await expect(stage).rejects.toThrow('files: expected 2, found 1');
  });

  it.runIf(isRoot && process.platform === 'linux')('restores into a mount point from within', async () => {
    const root = makeTempDir();
    const path = join(root, 'mounted');
    put(root, { 'source/a': 'new', 'source/b/c': 'new' });
    fs.mkdirSync(path);
    // A bind mount has the device of the directory around it; renaming across it fails all the same.
    execFileSync('mount', ['--bind', join(root, 'source'), path]);
    try {
      const content = contentOf(makeTar([{ path: './' }, { path: './a', data: 'old' }]));
      const undone = await directory.planRestore({ path }, facts, { beside: false }, makeContext());
      await undone.stage(content);
      const during = await makeBackup(directory, { path });
      expect(await namesIn(during.tar)).toEqual(['./', './a', './b/', './b/c']);
      await undone.swap();
      await undone.rollback();
      expect(contentsOf(path)).toEqual({ a: 'new', 'b/c': 'new' });
      const restoration = await directory.planRestore({ path }, facts, { beside: false }, makeContext());
      await restoreFully(restoration, content);
      expect(contentsOf(path)).toEqual({ a: 'old' });
      expect(fs.readdirSync(path)).toEqual(['a']);
    } finally {
      execFileSync('umount', [path]);
    }
  });

  it.runIf(process.platform === 'linux')(
    'warns of a process that goes on with the files that are replaced',
    async () => {
      const path = join(makeTempDir(), 'memory');
      put(path, { a: 'present' });
      const { spawn } = await import('node:child_process');
      const file = fs.openSync(join(path, 'a'), 'r');
      const reader = spawn('sleep', ['60'], { stdio: [file, 'ignore', 'ignore'] });
      fs.closeSync(file);
      try {
        const context = makeContext();
        const restoration = await directory.planRestore({ path }, facts, { beside: false }, context);
        await restoreFully(restoration, contentOf(makeTar([{ path: './a', data: 'old' }])));
        const warnings = context.events
          .filter((event) => event.type === 'warning')
          .map((event) => event.message);
        expect(warnings.join()).toContain(`sleep (pid ${reader.pid}) has files open`);
      } finally {
        reader.kill();
      }
    },
  );

  it('gathers nothing from a snapshot that is stopped', async () => {
    const path = makeTempDir();
    fs.writeFileSync(join(path, 'large'), Buffer.alloc(5_000_000));
    const context = makeContext();
    const snapshot = await directory.snapshot({ path }, await directory.look({ path }, context), context);
    context.controller.abort(new Error('stopped'));
    await expect(gather(snapshot.tar)).rejects.toThrow('stopped');
  });
});
