// FalkorDB without Docker: a server of this host with the tools of this host, by its URL, its address and its socket; and
// between it and servers in containers, both ways.
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { execa } from 'execa';
import { beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import type { ConfiguredStore } from '../../src/config/types.ts';
import { backup } from '../../src/operations/backup.ts';
import { drill } from '../../src/operations/drill.ts';
import { restore } from '../../src/operations/restore.ts';
import { verify } from '../../src/operations/verify.ts';
import { storeOf } from '../../src/stores/index.ts';
import { image, requireTestbed } from '../../testbed/index.ts';
import { makeTempDir } from '../archive/gather.ts';
import { docker, makeVolume } from '../docker/bed.ts';
import { makeRun, type RunFixture } from '../operations/run-fixture.ts';
import { backedUp, restoreOptions, writtenBy } from './conformance.ts';
import { type HostFalkordb, password, startHostFalkordb } from './fixtures/falkordb-host.ts';
import { fill, fingerprint, items, startFalkordb, startWriter } from './fixtures/falkordb-server.ts';
import { freePort } from './fixtures/postgres-host.ts';

beforeAll(() => requireTestbed('falkordb'));

async function startHost(options: Parameters<typeof startHostFalkordb>[0] = {}): Promise<HostFalkordb> {
  const host = await startHostFalkordb(options);
  onTestFinished(() => host[Symbol.asyncDispose]());
  return host;
}

const store = (
  target: object,
  { stop, start }: { stop?: readonly string[]; start?: readonly string[] } = {},
  name = 'subject',
): ConfiguredStore => ({
  name,
  kind: 'falkordb',
  target: storeOf('falkordb').schema.parse(target),
  ...(start && { server: { ...(stop && { stop: command(stop) }), start: command(start) } }),
});

const command = (argv: readonly string[]) => ({ argv, cwd: '/', deadlineMs: 60_000 });

const byAddress = ({ port, tools }: HostFalkordb, more: object = {}) => ({
  host: '127.0.0.1',
  port,
  tools,
  ...more,
});

const url = ({ port }: HostFalkordb, word = password) =>
  `redis://default:${encodeURIComponent(word)}@127.0.0.1:${port}`;

/** Nothing of the test bed's: no Docker is asked for. */
function withoutDocker(run: RunFixture['run'], more: Record<string, string> = {}): RunFixture['run'] {
  return {
    ...run,
    docker: () => Promise.reject(new Error('Docker was asked for')),
    environment: { ...run.environment, ...more },
  };
}

test.each([
  ['by its URL', () => ({ url_env: 'GRAPH_URL' })],
  ['by its address', ({ port }: HostFalkordb) => ({ host: '127.0.0.1', port, password_env: 'GRAPH_WORD' })],
  ['by its socket', ({ socket }: HostFalkordb) => ({ host: socket, password_env: 'GRAPH_WORD' })],
])('a server of this host is saved %s while it is written to, without Docker', async (_how, reached) => {
  using fixture = makeRun();
  const host = await startHost({ hasPassword: true });
  const run = withoutDocker(fixture.run, { GRAPH_URL: url(host), GRAPH_WORD: password });
  await fill(host, 1);
  const writer = await startWriter(host);
  await writtenBy(writer, 10);
  const acknowledged = writer.acknowledged();
  const made = await backedUp(run, store({ ...reached(host), tools: host.tools }));
  await writer.stop();
  expect(writer.troubles()).toEqual([]);
  expect(made.metadata).toMatchObject({
    quiesce: 'none',
    downtime_ms: 0,
    entries: 1,
    store_version: '4.16.3 (redis 8.2.3)',
    counts: { graphs: 3, other_keys: 3 },
    source: { path: join(host.data, 'dump.rdb'), append_only: false },
  });
  expect(made.metadata.counts.nodes).toBeGreaterThanOrEqual(1857 + acknowledged);
  const check = async (PATH: string) => {
    const environment = { ...run.environment, PATH };
    const { backups } = await verify({ ...run, environment }, { backups: [], level: 'content' });
    return backups[0];
  };
  expect(await check(host.tools)).toMatchObject({ ok: true, findings: [], notChecked: [] });
  expect(await check(makeTempDir())).toMatchObject({
    ok: true,
    notChecked: [expect.stringMatching(/redis-check-rdb has not read the dump: there is none on the PATH/)],
  });
  const said = JSON.stringify([fixture.events, (await run.repository.list()).backups]);
  for (const secret of [password, encodeURIComponent(password)]) expect(said).not.toContain(secret);
});

test.each(['', '--appendonly yes'])(
  'a directory gets what a server can be started on, with the settings "%s"',
  async (args) => {
    using fixture = makeRun();
    const host = await startHost({ args });
    const run = withoutDocker(fixture.run);
    await fill(host, 1);
    const before = await fingerprint(host);
    const subject = store(byAddress(host));
    await backedUp(run, subject);
    const parent = makeTempDir();
    chmodSync(parent, 0o755);
    const data = join(parent, 'new', 'data');
    const result = await restore(run, { ...restoreOptions(subject), to: data });
    expect(result).toMatchObject({ counts: { graphs: 2, other_keys: 3 }, safetyBackup: undefined });
    const log = args === '' ? [] : ['appendonlydir'];
    expect(readdirSync(data)).toEqual([...log, 'dump.rdb']);
    const other = await startHost({ args, data });
    expect(await fingerprint(other)).toBe(before);
    await expect(restore(run, { ...restoreOptions(subject), to: data })).rejects.toMatchObject({
      code: 'restore_failed',
      message: expect.stringMatching(/is not empty; nothing was touched/),
    });
    expect(await fingerprint(other)).toBe(before);
  },
);

test('a data directory that is not that of the server is refused', async () => {
  using fixture = makeRun();
  const run = withoutDocker(fixture.run);
  const [host, other] = [await startHost(), await startHost()];
  await fill(host, 1);
  await other.ask('SET', 'only', 'here');
  await other.ask('SAVE');
  const failing = async (more: object) => {
    const { stores } = await backup(run, { stores: [store(byAddress(host, more))] });
    return stores[0];
  };
  expect(await failing({ data_path: other.data })).toMatchObject({
    ok: false,
    error: {
      code: 'backup_failed',
      message: expect.stringMatching(
        /has saved its data, and ".*dump\.rdb" is older: .* writes somewhere else/,
      ),
      hint: expect.stringMatching(/set data_path/),
    },
  });
  expect(await failing({ data_path: '/nowhere/at/all' })).toMatchObject({
    ok: false,
    error: { code: 'config', message: expect.stringMatching(/by data_path, is not there/) },
  });
  expect(await failing({ port: await freePort() })).toMatchObject({
    ok: false,
    error: { message: expect.stringMatching(/cannot be reached: Connection refused/) },
  });
  const link = join(makeTempDir(), 'mounted');
  symlinkSync(host.data, link);
  expect(await failing({ data_path: link })).toMatchObject({ ok: true });
  expect((await run.repository.list()).backups).toHaveLength(1);
});

const present = ({ data }: HostFalkordb, name: string) => {
  const { uid, gid, mode } = statSync(join(data, name));
  return { uid, gid, mode: mode.toString(8) };
};

/** Of ours nothing is left, where the data lies or beside it. */
function expectTidy({ data }: HostFalkordb, run: RunFixture['run']): void {
  expect([...readdirSync(data), ...readdirSync(join(data, '..'))].join()).not.toContain('pkbackup');
  const journal = join(run.repository.directory, '.pkbackup', 'journal');
  expect(existsSync(journal) ? readdirSync(journal) : []).toEqual([]);
}

test.each([
  ['', true],
  ['--appendonly yes --dbfilename graph.rdb', true],
  ['--save ""', false],
])('with the settings "%s" it is restored under a writer, and back again', async (args, hasStop) => {
  using fixture = makeRun();
  const host = await startHost({ args, hasPassword: true });
  const run = withoutDocker(fixture.run, { GRAPH_WORD: password });
  await fill(host, 1);
  writeFileSync(join(host.data, 'users.acl'), 'user keeper on');
  const before = await fingerprint(host);
  const { stop, start } = host;
  const target = byAddress(host, { password_env: 'GRAPH_WORD' });
  const subject = store(target, hasStop ? { stop, start } : { start });
  await backedUp(run, subject);
  await host.ask('FLUSHALL');
  await host.query('later', 'CREATE (:Later)');
  await host.ask('SAVE');
  const name = args.includes('graph.rdb') ? 'graph.rdb' : 'dump.rdb';
  const was = present(host, name);
  const writer = await startWriter(host);
  await writtenBy(writer, 20);

  let whenStopped = 0;
  const emit: typeof run.emit = (event) => {
    if (event.type === 'held') whenStopped = writer.acknowledged();
    run.emit(event);
  };
  const result = await restore({ ...run, emit }, restoreOptions(subject));
  await writtenBy(writer, whenStopped + 5);
  await writer.stop();
  expect(result.counts.nodes).toBeGreaterThanOrEqual(1860);
  expect(result.downtimeMs).toBeGreaterThan(0);
  expect(await fingerprint(host)).toBe(before);
  expect(present(host, name)).toEqual(was);
  expect(readFileSync(join(host.data, 'users.acl'), 'utf8')).toBe('user keeper on');
  expectTidy(host, run);
  // Nothing that was acknowledged before the stop is lost.
  expect(result.safetyBackup?.metadata.counts.graphs).toBe(2);
  await restore(run, { ...restoreOptions(subject), backup: 'subject@pre-restore' });
  expect(await host.ask('GRAPH.LIST')).toEqual(expect.arrayContaining(['later', 'written']));
  const found = await items(host);
  expect(found).toHaveLength(Math.max(...found));
  expect(Math.max(...found)).toBeGreaterThanOrEqual(whenStopped);
  // It loads the same at a start that has nothing to do with us.
  await execa(stop[0] ?? '');
  await execa(start[0] ?? '');
  await vi.waitFor(async () => expect(await items(host)).toHaveLength(found.length), 20_000);
});

test('a server that runs and that nobody can start again is refused, with what to do', async () => {
  using fixture = makeRun();
  const host = await startHost();
  const run = withoutDocker(fixture.run);
  await fill(host, 1);
  const subject = store(byAddress(host));
  await backedUp(run, subject);
  await host.ask('SET', 'plain', 'changed');
  await expect(restore(run, restoreOptions(subject))).rejects.toMatchObject({
    code: 'restore_failed',
    message: expect.stringMatching(/nothing says how to stop it; the present data was not touched/),
    hint: expect.stringMatching(/set stop and start of "subject".*or restore elsewhere with --to/),
  });
  expect(await host.ask('GET', 'plain')).toBe('changed');
  expectTidy(host, run);
});

test('a server that ends because of its dump is restored where data_path says where that is', async () => {
  using fixture = makeRun();
  const host = await startHost();
  const run = withoutDocker(fixture.run);
  await fill(host, 1);
  const before = await fingerprint(host);
  const { stop, start } = host;
  const subject = store(byAddress(host, { data_path: host.data }), { stop, start });
  await backedUp(run, subject);
  await execa(stop[0] ?? '');
  truncateSync(join(host.data, 'dump.rdb'), 5000);
  await expect(restore(run, restoreOptions(store(byAddress(host), { stop, start })))).rejects.toMatchObject({
    hint: expect.stringMatching(/set data_path/),
  });
  await restore(run, restoreOptions(subject));
  expect(fixture.events).toContainEqual(
    expect.objectContaining({ message: expect.stringMatching(/nothing has loaded the restored data yet/) }),
  );
  await execa(start[0] ?? '');
  await vi.waitFor(async () => expect(await fingerprint(host)).toBe(before), 20_000);
});

test('from a container to this host and back, into a server and into a volume', async () => {
  using fixture = makeRun();
  const [host, server] = [await startHost({ args: '--appendonly yes' }), await startFalkordb()];
  const { run } = fixture;
  await fill(server, 1);
  const before = await fingerprint(server);
  const { stop, start } = host;
  const inside = store({ container: server.name }, {}, 'inside');
  const outside = store(byAddress(host), { stop, start }, 'outside');
  const stores = [inside, outside];
  await backedUp(run, inside);
  await restore(run, { ...restoreOptions(outside), stores, backup: 'inside@latest', store: 'outside' });
  expect(await fingerprint(host)).toBe(before);

  await host.query('more', 'CREATE (:More)');
  const changed = await fingerprint(host);
  await backedUp(run, outside);
  await restore(run, { ...restoreOptions(inside), stores, backup: 'outside@latest', store: 'inside' });
  expect(await fingerprint(server)).toBe(changed);
  const volume = await makeVolume();
  await restore(run, {
    ...restoreOptions(outside),
    stores,
    backup: 'outside@latest',
    to: `volume:${volume}`,
  });
  expect(await fingerprint(await startFalkordb({ volume, redisArgs: '--appendonly yes' }))).toBe(changed);

  await expect(drill(run, { backups: ['outside@latest'], stores })).resolves.toMatchObject({
    drills: [{ ok: false, error: { code: 'not_found', hint: 'name one with --image' } }],
  });
  const { drills } = await drill(run, { backups: ['outside@latest'], stores, image: image.falkordb });
  expect(drills).toMatchObject([{ ok: true, findings: [] }]);
});

test('the commands of the page restore it by hand', async () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/stores/falkordb.md'), 'utf8');
  const commands = /Without Docker, as root:\n\n```sh\n([\s\S]*?)```/.exec(page)?.[1] ?? '';
  using fixture = makeRun();
  const host = await startHost();
  await fill(host, 1);
  const before = await fingerprint(host);
  const { path } = await backedUp(withoutDocker(fixture.run), store(byAddress(host)));
  await host.ask('FLUSHALL');
  const replaced = commands
    .replace('redis-cli', `${join(host.tools, 'redis-cli')} -p ${host.port}`)
    .replace('systemctl stop falkordb', host.stop[0] ?? '')
    .replace('systemctl start falkordb', host.start[0] ?? '')
    .replaceAll('/var/lib/falkordb', host.data)
    .replace(/graph-backup-\S+\.tar\.gz/, path);
  await execa('sh', ['-ec', replaced], { cwd: fixture.directory });
  await vi.waitFor(async () => expect(await fingerprint(host)).toBe(before), 20_000);
});

test('over TLS, where the authority is known', async () => {
  using fixture = makeRun();
  const [host, server] = [await startHost({ hasPassword: true }), await startFalkordb()];
  await fill(host, 1);
  const openssl =
    'openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout /tmp/key -out /tmp/cert 2>/dev/null && cat /tmp/key /tmp/cert';
  const { stdout } = await (await docker()).exec(server.id, { command: ['sh', '-c', openssl] });
  const pem = stdout.toString('utf8');
  const authority = join(makeTempDir(), 'authority.pem');
  writeFileSync(authority, pem);
  const gateway = createServer({ key: pem, cert: pem }, (socket) => {
    const inner = connect(host.port, '127.0.0.1');
    for (const each of [socket, inner]) each.on('error', () => undefined);
    socket.pipe(inner).pipe(socket);
  }).listen(0, '127.0.0.1');
  gateway.on('tlsClientError', () => undefined);
  await once(gateway, 'listening');
  onTestFinished(() => void gateway.close());
  const { port } = gateway.address() as AddressInfo;
  const far = `rediss://:${encodeURIComponent(password)}@localhost:${port}`;
  const subject = store({ url_env: 'FAR', tools: host.tools });
  const { stores } = await backup(withoutDocker(fixture.run, { FAR: far }), { stores: [subject] });
  expect(stores[0]).toMatchObject({
    ok: false,
    error: { message: expect.stringMatching(/certificate verify failed/) },
  });
  const run = withoutDocker(fixture.run, { FAR: `${far}?cacert=${encodeURIComponent(authority)}` });
  const { metadata } = await backedUp(run, subject);
  expect(metadata).toMatchObject({ source: { url: `rediss://localhost:${port}` }, counts: { graphs: 2 } });
});

/** A start that does nothing for the first time, as a server that ends on what it finds. */
function startsAtSecond({ start, data }: HostFalkordb, what: string): string[] {
  const mark = join(data, '..', 'first');
  writeFileSync(mark, '');
  const text = `if [ -e ${mark} ]; then rm ${mark}; ${what}; fi; exec ${start[0]}`;
  return ['/bin/sh', '-c', text];
}

test.each([
  [
    'ends after its start',
    (host: HostFalkordb) => ({ stop: host.stop, start: startsAtSecond(host, 'exit 0') }),
    /does not load its data; the previous data is back in place, and the server at .* serves again/,
  ],
  [
    'cannot be stopped',
    ({ start }: HostFalkordb) => ({ stop: ['/bin/sh', '-c', 'echo busy; exit 3'], start }),
    /stop "\/bin\/sh" failed: exit code 3: busy; the previous data is back in place/,
  ],
  [
    'goes on after it was stopped',
    ({ start }: HostFalkordb) => ({ stop: ['true'], start }),
    /stop "true" has ended, but the server at .* still runs after 2 s; the previous data is back in place/,
  ],
])('a server that %s serves the previous data, and takes writes', async (_what, programs, message) => {
  using fixture = makeRun();
  const host = await startHost({ args: '--appendonly yes' });
  const run = withoutDocker(fixture.run);
  await fill(host, 1);
  const subject = { ...store(byAddress(host), programs(host)), graceSeconds: 2 };
  await backedUp(run, subject);
  await host.query('later', 'CREATE (:Later)');
  await host.ask('SET', 'plain', 'changed');
  const before = await fingerprint(host);
  await expect(restore(run, restoreOptions(subject))).rejects.toMatchObject({
    code: 'restore_failed',
    message: expect.stringMatching(message),
  });
  expect(await fingerprint(host)).toBe(before);
  await host.ask('SET', 'written', 'yes');
  expectTidy(host, run);
});

test('a backup that is damaged after it was proved, and a directory of another server, change nothing', async () => {
  using fixture = makeRun();
  const [host, other] = [await startHost(), await startHost()];
  const run = withoutDocker(fixture.run);
  await fill(host, 1);
  await fill(other, 1);
  await other.ask('SAVE');
  const { stop, start } = host;
  const subject = store(byAddress(host), { stop, start });
  const made = await backedUp(run, subject);
  await host.ask('SET', 'plain', 'changed');
  const before = [
    await fingerprint(host),
    await fingerprint(other),
    readFileSync(join(other.data, 'dump.rdb')),
  ];
  const elsewhere = store(byAddress(host, { data_path: other.data }), { stop, start });
  await expect(restore(run, restoreOptions(elsewhere))).rejects.toMatchObject({
    message: expect.stringMatching(/the server writes somewhere else; the present data was not touched/),
  });
  const damage = async () => {
    const bytes = readFileSync(made.path);
    writeFileSync(made.path, bytes.fill(0x55, bytes.length >> 1, (bytes.length >> 1) + 4000));
    return true;
  };
  await expect(restore(run, { ...restoreOptions(subject), confirm: damage })).rejects.toMatchObject({
    message: expect.stringMatching(/the present data was not touched/),
  });
  const after = [
    await fingerprint(host),
    await fingerprint(other),
    readFileSync(join(other.data, 'dump.rdb')),
  ];
  expect(after).toEqual(before);
  await host.ask('SET', 'written', 'yes');
  for (const each of [host, other]) expectTidy(each, run);
});
