import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findBackups, type Metadata, openRepository, type Repository } from '../../src/repository/index.ts';

let directory: string;
let repository: Repository;
beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), 'pkbackup-repository-')), 'backups');
  repository = openRepository(directory);
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const { signal } = new AbortController();
const at = new Date('2026-11-20T02:00:00.123Z');

function metadataOf(archiveName: string, more: Partial<Metadata> = {}): Metadata {
  return {
    schema_version: 1,
    backup_file: archiveName,
    created_at: at.toISOString(),
    store: 'rows',
    kind: 'sqlite',
    source: {},
    size_bytes: 5,
    sha256: 'a'.repeat(64),
    counts: {},
    checks: [],
    ...more,
  };
}

async function publish(store = 'rows', pinnedAt = at, more: Partial<Metadata> = {}): Promise<string> {
  await using publication = await repository.begin(store, pinnedAt, 'gzip');
  await publication.file.write(Buffer.from('bytes'));
  await publication.commit(
    metadataOf(publication.archiveName, { store, created_at: pinnedAt.toISOString(), ...more }),
  );
  return publication.stem;
}

test('a published backup is listed, with a checksum file that names it, private to its owner', async () => {
  const stem = await publish();
  expect(stem).toBe('rows-backup-20261120-020000');
  const { backups, leftovers } = await repository.list();
  expect(backups.map((backup) => backup.stem)).toEqual([stem]);
  expect(leftovers).toEqual([]);
  const sidecar = readFileSync(join(directory, `${stem}.tar.gz.sha256`), 'utf8');
  expect(sidecar).toBe(`${'a'.repeat(64)}  ${stem}.tar.gz\n`);
  if (process.platform !== 'win32') {
    expect(statSync(join(directory, `${stem}.tar.gz`)).mode & 0o777).toBe(0o600);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
  }
});

test('two backups of one second get two names', async () => {
  expect([await publish(), await publish(), await publish()]).toEqual([
    'rows-backup-20261120-020000',
    'rows-backup-20261120-020001',
    'rows-backup-20261120-020002',
  ]);
});

test('what is given up leaves nothing, and what is not finished is no backup', async () => {
  {
    await using publication = await repository.begin('rows', at, 'gzip');
    await publication.file.write(Buffer.from('bytes'));
    const { backups, leftovers } = await repository.list();
    expect(backups).toEqual([]);
    expect(leftovers).toEqual([
      {
        name: '.rows-backup-20261120-020000.tar.gz.partial',
        reason: 'it was never finished',
        state: 'unfinished',
      },
    ]);
  }
  expect(readdirSync(directory)).toEqual([]);
});

test('an archive shorter than its metadata says is not published, and leaves nothing', async () => {
  const failing = async () => {
    await using publication = await repository.begin('rows', at, 'gzip');
    await publication.commit(metadataOf(publication.archiveName));
  };
  await expect(failing()).rejects.toThrow('expected 5 bytes, found 0');
  expect(readdirSync(directory)).toEqual([]);
});

test('an archive without metadata, of another length or with broken metadata is said and not listed', async () => {
  const good = await publish();
  const bad = await publish();
  const broken = await publish();
  writeFileSync(join(directory, `${bad}.tar.gz`), 'longer than it was');
  writeFileSync(join(directory, `${broken}.metadata.json`), '{ "schema_version": 1');
  writeFileSync(join(directory, 'other-backup-20250101-000000.tar.gz'), 'x');
  writeFileSync(join(directory, 'notes.txt'), 'not ours');
  const { backups, leftovers } = await repository.list();
  expect(backups.map((backup) => backup.stem)).toEqual([good]);
  expect(leftovers.map(({ reason }) => reason)).toEqual([
    'it has 18 bytes, its metadata says 5',
    `the metadata "${broken}.metadata.json" is not JSON`,
    'it has no metadata',
  ]);
});

test('metadata with a BOM, CRLF and unknown fields is read, and the unknown fields are kept', async () => {
  const stem = await publish();
  const path = join(directory, `${stem}.metadata.json`);
  const text = JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), size_human: '5B' }, null, 2);
  writeFileSync(path, `\uFEFF${text.replaceAll('\n', '\r\n')}`);
  const [backup] = (await repository.list()).backups;
  await repository.recordCheck(backup!, { at: 'now', level: 'archive', ok: true }, signal);
  const again = JSON.parse(readFileSync(path, 'utf8'));
  expect(again.size_human).toBe('5B');
  expect(again.checks).toEqual([{ at: 'now', level: 'archive', ok: true }]);
});

test('metadata that points outside the repository is not followed', async () => {
  const stem = await publish();
  const outside = join(directory, '..', 'outside.tar.gz');
  writeFileSync(outside, 'bytes');
  writeFileSync(join(directory, `${stem}.metadata.json`), JSON.stringify(metadataOf('../outside.tar.gz')));
  const { backups, leftovers } = await repository.list();
  expect(backups).toEqual([]);
  expect(leftovers[0]?.reason).toContain('names the archive of another backup');
  rmSync(outside);
});

test('a directory that cannot be read is an error, one that is missing is empty', async () => {
  expect(await repository.list()).toEqual({ directory, backups: [], leftovers: [], old: [] });
  writeFileSync(directory, 'a file');
  await expect(repository.list()).rejects.toThrow('cannot be read');
});

test('a backup is found by stem, file name, path, rank, set, and the newest safety backup by its own name', async () => {
  const oldest = await publish('rows', at, { set_id: 'set-1' });
  const middle = await publish('rows', new Date(at.getTime() + 60_000));
  const safety = await publish('rows', new Date(at.getTime() + 90_000), { safety: true });
  const newest = await publish('rows', new Date(at.getTime() + 120_000));
  const listing = await repository.list();
  const find = async (reference: string) =>
    (await findBackups(reference, listing)).map((found) => ('stem' in found ? found.stem : found.path));
  expect(await find('rows@latest')).toEqual([newest]);
  expect(await find('rows@1')).toEqual([newest]);
  expect(await find('rows@2')).toEqual([middle]);
  expect(await find('rows@3')).toEqual([oldest]);
  expect(await find('rows@pre-restore')).toEqual([safety]);
  expect(await find('set-1')).toEqual([oldest]);
  expect(await find(`${middle}.tar.gz`)).toEqual([middle]);
  expect(await find(join(directory, `${middle}.tar.gz`))).toEqual([middle]);
  await expect(find('rows@4')).rejects.toThrow('the store has 3');
  await expect(find('nothing')).rejects.toThrow('there are backups of rows');
});

test('what a crash left of writing a journal goes, unless a living run has the store', async () => {
  const journal = join(directory, '.pkbackup', 'journal');
  await repository.journal.write('rows-1795193012669-b406d3b1.restore.json', '{}');
  const partial = (store: string) => `.${store}-1795193012670-03fdba7e.restore.json.402da17a.partial`;
  for (const store of ['rows', 'held-2']) writeFileSync(join(journal, partial(store)), '{ "type"');
  await using _lock = await repository.lock('held-2', { command: 'restore', signal });
  expect(await repository.heal({ signal, dryRun: true })).toHaveLength(1);
  const healed = await repository.heal({ signal });
  expect(healed.map(({ message }) => message)).toEqual([
    `removed "${partial('rows')}", which was never finished`,
  ]);
  expect(readdirSync(journal).sort()).toEqual([
    partial('held-2'),
    'rows-1795193012669-b406d3b1.restore.json',
  ]);
});

test('what is thrown away is not listed, can be brought back as it was, and goes for good only from the trash', async () => {
  const stem = await publish('rows', at, { pinned: 'why' });
  const read = () => JSON.parse(readFileSync(join(directory, `${stem}.metadata.json`), 'utf8'));
  const before = read();
  const [backup] = (await repository.list()).backups;
  await repository.trash.add(backup!, new Date('2026-11-21T00:00:00Z'));
  expect(await repository.list()).toMatchObject({ backups: [], leftovers: [] });
  expect(readdirSync(directory)).toEqual(['.trash']);
  const [trashed] = await repository.trash.list();
  expect(trashed).toMatchObject({ stem, store: 'rows', trashedAt: new Date('2026-11-21T00:00:00Z') });
  await repository.trash.bringBack(trashed!);
  expect(read()).toEqual(before);
  expect(readdirSync(join(directory, '.trash'))).toEqual([]);
  await repository.trash.add((await repository.list()).backups[0]!, at);
  await repository.trash.remove((await repository.trash.list())[0]!);
  expect(readdirSync(join(directory, '.trash'))).toEqual([]);
  await expect(repository.trash.bringBack(trashed!)).rejects.toThrow('is not in the trash');
});

test('a name that is in the trash is not given to a new backup', async () => {
  const stem = await publish();
  await repository.trash.add((await repository.list()).backups[0]!, at);
  expect(await publish()).not.toBe(stem);
});

test('a lock is refused to a second holder, who is told who has it, and free again afterwards', async () => {
  {
    await using _lock = await repository.lock('rows', { command: 'pkbackup backup rows', signal });
    const second = repository.lock('rows', { command: 'x', signal });
    await expect(second).rejects.toThrow(`process ${process.pid} on`);
    await expect(repository.lock('rows', { command: 'x', signal, waitMs: 300 })).rejects.toThrow(
      'holds the lock',
    );
    await using _other = await repository.lock('graph', { command: 'x', signal });
  }
  await using _again = await repository.lock('rows', { command: 'x', signal });
});

test('a lock dies with its process, even a killed one', async () => {
  const code = `
    import { openRepository } from ${JSON.stringify(join(import.meta.dirname, '../../src/repository/index.ts'))};
    const lock = await openRepository(${JSON.stringify(directory)}).lock('rows', { command: 'child', signal: new AbortController().signal });
    process.stdout.write('held');
    setInterval(() => lock, 1000);
  `;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  await expect(repository.lock('rows', { command: 'x', signal })).rejects.toThrow(`process ${child.pid}`);
  child.kill('SIGKILL');
  await once(child, 'exit');
  await using _lock = await repository.lock('rows', { command: 'x', signal });
});

test('a scratch directory is private and goes away', async () => {
  let path = '';
  {
    await using scratch = await repository.makeScratch();
    path = scratch.path;
    writeFileSync(join(path, 'file'), 'x');
    if (process.platform !== 'win32') expect(statSync(path).mode & 0o777).toBe(0o700);
  }
  expect(existsSync(path)).toBe(false);
});
