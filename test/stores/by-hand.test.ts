// The pages in docs/stores promise that a backup can be restored without pkbackup. Their commands are run as they stand
// there, with the names of the examples replaced.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { makeTempDir } from '../archive/gather.ts';
import { describeTree, makeHostileTree } from '../archive/hostile-tree.ts';

const root = join(import.meta.dirname, '../..');

/** The commands under "Restore by hand". */
function commandsOf(kind: string): string {
  const page = readFileSync(join(root, 'docs/stores', `${kind}.md`), 'utf8');
  return /## Restore by hand[\s\S]*?```sh\n([\s\S]*?)```/.exec(page)?.[1] ?? '';
}

function backUp(directory: string, store: string, config: string): void {
  writeFileSync(join(directory, 'pkbackup.yaml'), `repository: ./backups\nstores:\n  ${store}: ${config}\n`);
  execFileSync(process.execPath, [join(root, 'bin/pkbackup.js'), 'backup', '--quiet'], { cwd: directory });
}

function runByHand(directory: string, kind: string): void {
  const name = readdirSync(join(directory, 'backups')).find((each) => each.endsWith('.tar.gz')) ?? '';
  const commands = commandsOf(kind)
    .replaceAll(/\w+-backup-20261120-020000\.tar\.gz/g, name)
    .replaceAll('/srv/app', join(directory, 'app'));
  expect(commands).toContain(`sha256sum -c ${name}.sha256`);
  execFileSync('sh', ['-ec', commands], { cwd: directory, stdio: ['ignore', 'ignore', 'inherit'] });
}

describe.skipIf(process.platform === 'win32')('by hand', () => {
  it('brings back an SQLite database, without the log of the one that was there', () => {
    const directory = makeTempDir();
    const path = join(directory, 'app/data/events.db');
    mkdirSync(join(directory, 'app/data'), { recursive: true });
    const database = new DatabaseSync(path);
    database.exec('PRAGMA journal_mode = wal; CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)');
    backUp(directory, 'events', '{ kind: sqlite, path: ./app/data/events.db }');
    database.exec('INSERT INTO t VALUES (3)');
    runByHand(directory, 'sqlite');
    database.close();
    expect(readdirSync(join(directory, 'app/data'))).toEqual(['before', 'events.db']);
    const restored = new DatabaseSync(path);
    expect(restored.prepare('SELECT count(*) AS n FROM t').get()).toEqual({ n: 2 });
    restored.close();
  });

  it('brings back a directory, entry by entry', () => {
    const directory = makeTempDir();
    mkdirSync(join(directory, 'app'));
    makeHostileTree(join(directory, 'app/memory'));
    const before = describeTree(join(directory, 'app/memory'));
    backUp(directory, 'memory', '{ kind: directory, path: ./app/memory }');
    rmSync(join(directory, 'app/memory/deep'), { recursive: true });
    runByHand(directory, 'directory');
    expect(describeTree(join(directory, 'app/memory'))).toEqual(before);
  });
});
