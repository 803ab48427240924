// FalkorDB without Docker: a server of this host with the tools of this host, by its URL, its address and its socket; and
// between it and servers in containers, both ways.
import { chmodSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import type { ConfiguredStore } from '../../src/config/types.ts';
import { backup } from '../../src/operations/backup.ts';
import { restore } from '../../src/operations/restore.ts';
import { verify } from '../../src/operations/verify.ts';
import { storeOf } from '../../src/stores/index.ts';
import { requireTestbed } from '../../testbed/index.ts';
import { makeTempDir } from '../archive/gather.ts';
import { makeRun, type RunFixture } from '../operations/run-fixture.ts';
import { backedUp, restoreOptions, writtenBy } from './conformance.ts';
import { type HostFalkordb, password, startHostFalkordb } from './fixtures/falkordb-host.ts';
import { fill, fingerprint, items, startFalkordb, startWriter } from './fixtures/falkordb-server.ts';

beforeAll(() => requireTestbed('falkordb'));

async function startHost(options: Parameters<typeof startHostFalkordb>[0] = {}): Promise<HostFalkordb> {
  const host = await startHostFalkordb(options);
  onTestFinished(() => host[Symbol.asyncDispose]());
  return host;
}

const store = (target: object, name = 'subject'): ConfiguredStore => ({
  name,
  kind: 'falkordb',
  target: storeOf('falkordb').schema.parse(target),
});

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
  const { backups } = await verify(run, { backups: [], level: 'content' });
  expect(backups[0]).toMatchObject({ ok: true, findings: [] });
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
  const link = join(makeTempDir(), 'mounted');
  symlinkSync(host.data, link);
  expect(await failing({ data_path: link })).toMatchObject({ ok: true });
  expect((await run.repository.list()).backups).toHaveLength(1);
});
