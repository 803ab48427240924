// What is known of a Neo4j on this host without asking it; the rest needs a real one (test/slow/neo4j-host.test.ts).
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { scanTar } from '../../src/archive/tar-scan.ts';
import { isLocked } from '../../src/stores/file-locks.ts';
import { loadOnHost } from '../../src/stores/neo4j/host-admin.ts';
import { dataDirectoryOf, hostServerOf, isRunning, serverOnHost } from '../../src/stores/neo4j/on-host.ts';
import { reowned } from '../../src/stores/neo4j/reown.ts';
import { gather, makeTar } from '../archive/gather.ts';
import { contentOf } from './host-run.ts';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'pkbackup-home-'));
  for (const name of ['conf', 'run', 'data', 'data/databases', 'elsewhere']) mkdirSync(join(home, name));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const configure = (...lines: string[]) => writeFileSync(join(home, 'conf', 'neo4j.conf'), lines.join('\n'));
const { signal } = new AbortController();

test('where the data lies is said by the store, by neo4j.conf, or by nobody', async () => {
  expect(await dataDirectoryOf({ home })).toBe(join(home, 'data'));
  configure('#server.directories.data=no', 'server.directories.data=elsewhere');
  expect(await dataDirectoryOf({ home })).toBe(join(home, 'elsewhere'));
  configure(`server.directories.data=${home}/data`);
  expect(await dataDirectoryOf({ home })).toBe(join(home, 'data'));
  symlinkSync(join(home, 'elsewhere'), join(home, 'link'));
  expect(await dataDirectoryOf({ home, data_path: join(home, 'link') })).toBe(join(home, 'elsewhere'));
});

test('it is asked at the port of its settings', async () => {
  const context = { environment: {}, signal };
  expect((await serverOnHost({ home }, context)).tools.address).toBe('bolt://localhost:7687');
  configure('server.bolt.listen_address=127.0.0.1:7700');
  expect((await serverOnHost({ home }, context)).tools.address).toBe('bolt://localhost:7700');
  const address = 'bolt://other:7701';
  expect((await serverOnHost({ home, address }, context)).tools.address).toBe(address);
});

test('it runs where its process is there, which a place beside has nothing to do with', async () => {
  expect(hostServerOf({ container: 'graph' }, { environment: {} })).toBeUndefined();
  expect(await isRunning({ home })).toBe(false);
  // Another program may have its number by now.
  const pid = join(home, 'run', 'neo4j.pid');
  writeFileSync(pid, '1');
  expect(await isRunning({ home })).toBe(false);
  if (process.platform === 'linux') {
    using lock = lockOn(join(home, 'data', 'databases', 'store_lock'));
    expect(await isRunning({ home })).toBe(true);
    expect(await isRunning({ home, data_path: join(home, 'elsewhere') })).toBe(false);
    expect(await isLocked(lock.path)).toBe(true);
  }
  expect(await isRunning({ home })).toBe(false);
});

/** SQLite takes the very locks that Java takes. */
function lockOn(path: string): Disposable & { readonly path: string } {
  const database = new DatabaseSync(path);
  database.exec('CREATE TABLE t (x); BEGIN EXCLUSIVE; INSERT INTO t VALUES (1)');
  return { path, [Symbol.dispose]: () => database.close() };
}

test('everything of an archive is given to another owner, and nothing else changes', async () => {
  const pieces = [
    { path: './' },
    { path: './a', data: Buffer.alloc(700, 1) },
    { path: './empty', data: Buffer.alloc(0) },
  ];
  const tar = await gather(reowned(contentOf(makeTar(pieces)).tar(), { uid: 112, gid: 113 }));
  const seen: string[] = [];
  let bytes = 0;
  for await (const piece of scanTar(contentOf(tar).tar())) {
    if (piece.type === 'data') bytes += piece.bytes.length;
    else seen.push(`${piece.entry.path} ${piece.entry.uid}:${piece.entry.gid} ${piece.entry.size}`);
  }
  expect(seen).toEqual(['./ 112:113 0', './a 112:113 700', './empty 112:113 0']);
  expect(bytes).toBe(700);
});

test.each(['--help.dump', 'x/y.dump', 'a b.dump'])('"%s" of an archive becomes no argument', async (path) => {
  const admin = { target: { home }, environment: {}, signal, owner: { uid: 0, gid: 0 } };
  const content = contentOf(makeTar([{ path, data: Buffer.from('DZV1') }])).tar();
  await expect(loadOnHost(admin, join(home, 'elsewhere'), content)).rejects.toMatchObject({
    code: 'bad_backup',
  });
});
