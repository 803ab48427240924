// What is FalkorDB's own, beside the conformance suite: where its data lies, how it saves, its log, its versions.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, expect, test, vi } from 'vitest';
import { encodeEntry, endOfArchive, padding } from '../../src/archive/tar-format.ts';
import { backup } from '../../src/operations/backup.ts';
import { restore } from '../../src/operations/restore.ts';
import type { Run } from '../../src/operations/run.ts';
import { Crc64 } from '../../src/stores/falkordb/crc64.ts';
import { falkordb } from '../../src/stores/falkordb.ts';
import type { BackupFacts, Content } from '../../src/stores/store.ts';
import { image, requireTestbed } from '../../testbed/index.ts';
import { containerOf, helpersLeft, inVolume, makeContext, makeVolume, stateOf } from '../docker/bed.ts';
import { makeRun } from '../operations/run-fixture.ts';
import { backedUp, restoreOptions, storeFor, writtenBy } from './conformance.ts';
import { startContainer, stopContainer, untilHealthy } from './fixtures/containers.ts';
import {
  dataDirectory,
  fill,
  fingerprint,
  items,
  startFalkordb,
  startWriter,
} from './fixtures/falkordb-server.ts';
import { falkordb as seed } from './seeds/falkordb.ts';

beforeAll(() => requireTestbed('falkordb', 'falkordbOld'));

const dump = readFileSync(join(import.meta.dirname, 'fixtures/falkordb-4.16.3.rdb'));

function contentOf(file: Buffer): Content {
  const entry = { path: Buffer.from('dump.rdb'), size: file.length, mode: 0o644, uid: 0, gid: 0, mtime: 0 };
  return {
    async *tar() {
      yield Buffer.concat([
        encodeEntry({ ...entry, type: 'file' }),
        file,
        padding(file.length),
        endOfArchive,
      ]);
    },
  };
}

function sealed(body: Buffer): Buffer {
  const crc = new Crc64();
  crc.update(body);
  return Buffer.concat([body, crc.digest()]);
}

const facts = (more: Partial<BackupFacts> = {}): BackupFacts => ({
  kind: 'falkordb',
  store: 'subject',
  source: {},
  counts: {},
  ...more,
});

test('a client that reads and writes during a hot backup sees no error and no long pause', async () => {
  using fixture = makeRun();
  const server = await startFalkordb();
  await fill(server, 5);
  const writer = await startWriter(server);
  await writtenBy(writer, 10);
  for (let round = 0; round < 3; round += 1) {
    const made = await backedUp(fixture.run, storeFor(seed, { container: server.name }));
    expect(made.metadata).toMatchObject({
      quiesce: 'none',
      downtime_ms: 0,
      entries: 1,
      store_version: '4.16.3 (redis 8.2.3)',
    });
  }
  await writer.stop();
  expect(writer.troubles()).toEqual([]);
  expect(writer.longestMs()).toBeLessThan(1000);
});

test('a save that was under way before is not taken for ours', async () => {
  using fixture = makeRun();
  const server = await startFalkordb();
  await fill(server, 1);
  await server.ask('CONFIG', 'SET', 'rdb-key-save-delay', '300000');
  await server.ask('BGSAVE');
  await server.ask('SET', 'after the save began', 'yes');
  setTimeout(() => void server.ask('CONFIG', 'SET', 'rdb-key-save-delay', '0'), 500);
  const store = storeFor(seed, { container: server.name });
  await backedUp(fixture.run, store);
  await server.ask('FLUSHALL');
  await restore(fixture.run, restoreOptions(store));
  expect(await server.ask('GET', 'after the save began')).toBe('yes');
});

test('a failed save is a failed backup', async () => {
  using fixture = makeRun();
  const server = await startFalkordb();
  await fill(server, 1);
  await server.ask('CONFIG', 'SET', 'rdb-key-save-delay', '2000000');
  const failing = backup(fixture.run, { stores: [storeFor(seed, { container: server.name })] });
  await vi.waitFor(
    async () => expect(await server.ask('INFO', 'persistence')).toMatch(/rdb_bgsave_in_progress:1/),
    {
      timeout: 20_000,
    },
  );
  const pids = await containerOf(server.id).top();
  expect(pids.Processes.length).toBeGreaterThan(1);
  await runIn(
    server.id,
    'kill -9 $(ls /proc | grep -E "^[0-9]+$" | while read p; do grep -l [r]db-bgsave /proc/$p/cmdline 2>/dev/null; done | cut -d/ -f3)',
  );
  const { stores } = await failing;
  expect(stores[0]).toMatchObject({
    ok: false,
    error: { message: expect.stringMatching(/could not save its data/) },
  });
  expect((await fixture.run.repository.list()).backups).toEqual([]);
});

test('a server with a log, another file name and files beside it gets the backup, and keeps it', async () => {
  using fixture = makeRun();
  const server = await startFalkordb({ redisArgs: '--appendonly yes --dbfilename graph.rdb' });
  await fill(server, 1);
  const before = await fingerprint(server);
  const store = storeFor(seed, { container: server.name });
  await inVolume(
    server.volume,
    'echo "user backup on" > /v/users.acl; mkdir /v/import; echo a,b > /v/import/a.csv; chown -R 5:6 /v/import',
  );
  const made = await backedUp(fixture.run, store);
  expect(made.metadata.source.path).toBe(`${dataDirectory}/graph.rdb`);
  await server.ask('FLUSHALL');
  await server.query('later', 'CREATE (:Later)');

  await restore(fixture.run, restoreOptions(store));
  expect(await fingerprint(server)).toBe(before);
  expect(await server.ask('GRAPH.LIST')).not.toContain('later');
  await server.query('after', 'CREATE (:After)');
  await stopContainer(server.id);
  await startContainer(server.id);
  expect(await fingerprint(server)).toContain('after');
  await server.ask('GRAPH.DELETE', 'after');
  expect(await fingerprint(server)).toBe(before);
  const listing = await inVolume(
    server.volume,
    'cd /v && find users.acl import -printf "%p %U:%G\\n" | sort; cat users.acl',
  );
  expect(listing).toBe('import 5:6\nimport/a.csv 5:6\nusers.acl 0:0\nuser backup on\n');

  const again = await restore(fixture.run, { ...restoreOptions(store), backup: 'subject@pre-restore' });
  expect(again.counts).toMatchObject({ graphs: 1, nodes: 1, edges: 0 });
  expect(await server.ask('GRAPH.LIST')).toEqual(['later']);
});

test('nothing that was acknowledged is lost where the server does not see SIGTERM', async () => {
  using fixture = makeRun();
  const server = await startFalkordb({ image: image.falkordbOld, data: '/data' });
  await fill(server, 1);
  const writer = await startWriter(server);
  await writtenBy(writer, 10);
  const store = storeFor(seed, { container: server.name }, { quiesce: 'stop', graceSeconds: 2 });
  await backedUp(fixture.run, store);
  await writtenBy(writer, writer.acknowledged() + 5);
  await writer.stop();
  const found = await items(server);
  expect(Math.max(...found)).toBeGreaterThanOrEqual(writer.acknowledged());
  expect(found).toHaveLength(Math.max(...found));
  // The same once more, by the stop of a restore: what it replaces is whole in the safety backup.
  await server.ask('SET', 'just before', 'yes');
  await restore(fixture.run, restoreOptions(store));
  expect(await server.ask('GET', 'just before')).toBeNull();
  await restore(fixture.run, { ...restoreOptions(store), backup: 'subject@pre-restore' });
  expect(await server.ask('GET', 'just before')).toBe('yes');
});

test('writers go on at once after a pause, and after a restore that was called off', async () => {
  using fixture = makeRun();
  const server = await startFalkordb();
  await fill(server, 1);
  const store = storeFor(seed, { container: server.name }, { quiesce: 'pause' });
  await backedUp(fixture.run, store);
  await writesWithin(server, 1000);
  const { context } = makeContext();
  const restoration = await falkordb.planRestore(
    { container: server.name },
    facts(),
    { beside: false },
    context,
  );
  expect(restoration.plan).toMatchObject({ replaces: true, presentCounts: { graphs: expect.any(Number) } });
  await restoration.stage(contentOf(dump));
  await restoration.rollback();
  await writesWithin(server, 1000);
});

async function writesWithin(server: Awaited<ReturnType<typeof startFalkordb>>, ms: number): Promise<void> {
  const startedAt = performance.now();
  await server.ask('SET', 'written', 'yes');
  expect(performance.now() - startedAt).toBeLessThan(ms);
}

test('data in the layer of the container is refused, or saved with a warning where that is known', async () => {
  using fixture = makeRun();
  const { run, events } = fixture;
  const server = await startFalkordb({ data: '/data', env: ['FALKORDB_DATA_PATH=/opt/graph'] });
  await fill(server, 1);
  const refused = await backup(run, { stores: [storeFor(seed, { container: server.name })] });
  expect(refused.stores[0]).toMatchObject({
    ok: false,
    error: {
      code: 'backup_failed',
      message: expect.stringMatching(
        /data directory "\/opt\/graph".*is not on a mount.*is mounted at "\/data"/,
      ),
      hint: expect.stringMatching(/mount the volume at "\/opt\/graph"/),
    },
  });
  const store = storeFor(seed, { container: server.name, data_path: '/opt/graph' });
  const made = await backedUp(run, store);
  expect(made.metadata.counts).toMatchObject({ graphs: 2, other_keys: 3 });
  expect(events).toContainEqual(
    expect.objectContaining({ type: 'warning', message: expect.stringMatching(/is lost when container/) }),
  );
  await expect(restore(run, restoreOptions(store))).rejects.toMatchObject({
    code: 'restore_failed',
    message: expect.stringMatching(/is not on a mount/),
  });
  const volume = await makeVolume();
  await restore(run, { ...restoreOptions(store), to: volume });
  expect(await fingerprint(await startFalkordb({ volume }))).toBe(await fingerprint(server));
});

test('a server that ends at every start because of its dump is brought back', async () => {
  using fixture = makeRun();
  const server = await startFalkordb();
  await containerOf(server.id).update({ RestartPolicy: { Name: 'always' } });
  await fill(server, 1);
  const before = await fingerprint(server);
  const store = storeFor(seed, { container: server.name });
  await backedUp(fixture.run, store);
  await stopContainer(server.id);
  await inVolume(server.volume, 'truncate -s -1000 /v/dump.rdb');
  await containerOf(server.id).start();
  await vi.waitFor(async () => expect((await stateOf(server.id)).status).toBe('restarting'), {
    timeout: 20_000,
  });

  await restore(fixture.run, restoreOptions(store));
  expect(await fingerprint(server)).toBe(before);
});

test('a restore into another server that is empty leaves the first one alone; one with data is refused', async () => {
  using fixture = makeRun();
  const [server, other] = await Promise.all([
    startFalkordb(),
    startFalkordb({ redisArgs: '--appendonly yes' }),
  ]);
  await fill(server, 1);
  const before = await fingerprint(server);
  const { startedAt } = await stateOf(server.id);
  const store = storeFor(seed, { container: server.name });
  await backedUp(fixture.run, store);
  await restore(fixture.run, { ...restoreOptions(store), to: other.name });
  expect(await fingerprint(other)).toBe(before);
  expect((await stateOf(server.id)).startedAt).toBe(startedAt);
  await expect(restore(fixture.run, { ...restoreOptions(store), to: other.name })).rejects.toMatchObject({
    code: 'restore_failed',
    message: expect.stringMatching(/holds \d+ keys; nothing was restored/),
  });
  expect((await fixture.run.repository.list()).backups).toHaveLength(1);
});

test('a dump of a newer version is refused before anything is touched', async () => {
  const server = await startFalkordb();
  await fill(server, 1);
  const before = await fingerprint(server);
  const { context } = makeContext();
  const plan = (more: Partial<BackupFacts>) =>
    falkordb.planRestore({ container: server.name }, facts(more), { beside: false }, context);
  await expect(plan({ storeVersion: '4.18.7 (redis 8.2.2)' })).rejects.toMatchObject({
    code: 'restore_failed',
    message: expect.stringMatching(
      /made by FalkorDB 4\.18\.7 \(redis 8\.2\.2\), and the server is FalkorDB 4\.16\.3 \(redis 8\.2\.3\)/,
    ),
  });
  const newer = Buffer.from(dump.subarray(0, -8));
  newer.write('REDIS0099', 0, 'latin1');
  const restoration = await plan({});
  await expect(restoration.stage(contentOf(sealed(newer)))).rejects.toMatchObject({ code: 'restore_failed' });
  await restoration.rollback();
  expect(await inVolume(server.volume, 'ls -A /v')).not.toContain('pkbackup');
  expect(await fingerprint(server)).toBe(before);
});

test('what the server cannot load is taken back, and the previous data serves again', async () => {
  const server = await startFalkordb({ redisArgs: '--appendonly yes' });
  await fill(server, 1);
  const before = await fingerprint(server);
  const { context } = makeContext();
  const restoration = await falkordb.planRestore(
    { container: server.name },
    facts(),
    { beside: false },
    context,
  );
  // The name of the module in the type of a graph: the checksum is right, but no server has such a module.
  const strange = Buffer.from(dump.subarray(0, -8));
  const id = strange.indexOf(Buffer.from([0x82, 0xb6, 0xa9, 0x85, 0xd6, 0xad, 0x68, 0x12]));
  strange[id] = 0x9a;
  await restoration.stage(contentOf(sealed(strange)));
  await stopContainer(server.id);
  await restoration.swap();
  await containerOf(server.id).start();
  await expect(restoration.check()).rejects.toMatchObject({
    code: 'unhealthy',
    message: expect.stringMatching(/does not load the restored data/),
  });
  await restoration.rollback();
  await startContainer(server.id);
  expect(await fingerprint(server)).toBe(before);
  expect(await inVolume(server.volume, 'ls -A /v')).not.toContain('pkbackup');
  expect(await helpersLeft()).toEqual([]);
});

test('the password that the container itself was given is enough', async () => {
  using fixture = makeRun();
  const server = await startFalkordb({ hasPassword: true });
  await server.ask('SET', 'plain', 'value');
  await backedUp(fixture.run, storeFor(seed, { container: server.name }));
  await server.ask('CONFIG', 'SET', 'requirepass', 'changed-later');
  const { stores } = await backup(fixture.run, { stores: [storeFor(seed, { container: server.name })] });
  expect(stores[0]).toMatchObject({
    ok: false,
    error: { code: 'config', hint: expect.stringMatching(/password_env/) },
  });
});

test('the commands of the page restore it by hand, with a log and without', async () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/stores/falkordb.md'), 'utf8');
  const commands = /## Restore by hand[\s\S]*?```sh\n([\s\S]*?)```/.exec(page)?.[1] ?? '';
  for (const redisArgs of ['', '--appendonly yes']) {
    using fixture = makeRun();
    const server = await startFalkordb({ redisArgs });
    await fill(server, 1);
    const before = await fingerprint(server);
    const { stem } = await backedUp(fixture.run, storeFor(seed, { container: server.name }));
    await server.ask('FLUSHALL');
    const replaced = commands
      .replaceAll('graph-backup-20261120-020000', stem)
      .replaceAll('pk-mcp-falkordb', server.name)
      .replaceAll('falkordb/falkordb:v4.16.3', image.falkordb);
    execFileSync('sh', ['-ec', replaced], { cwd: fixture.directory, stdio: ['ignore', 'ignore', 'inherit'] });
    await untilHealthy(server.id);
    expect(await fingerprint(server)).toBe(before);
  }
});

test('a password is tolerated where the server has none', async () => {
  using fixture = makeRun();
  const server = await startFalkordb();
  await server.ask('SET', 'plain', 'value');
  const run: Run = { ...fixture.run, environment: { PASSWORD: 'not-needed' } };
  await backedUp(run, storeFor(seed, { container: server.name, password_env: 'PASSWORD' }));
});

async function runIn(id: string, script: string): Promise<void> {
  const exec = await containerOf(id).exec({ Cmd: ['sh', '-c', script], User: '0:0' });
  await exec.start({ Detach: true });
  await sleep(300);
}
