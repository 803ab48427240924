// A Neo4j outside Docker: stopped and started by programs of the user's, saved and restored on this host, and into containers.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ConfiguredStore } from '../../src/config/types.ts';
import { type RestoreOptions, restore } from '../../src/operations/restore.ts';
import { verify } from '../../src/operations/verify.ts';
import { cleanEnvironment, makeDirectory, shim } from '../cli/program.ts';
import { inVolume, makeVolume } from '../docker/bed.ts';
import { makeRun, type RunFixture } from '../operations/run-fixture.ts';
import { backedUp, restoreOptions } from '../stores/conformance.ts';
import { type HostNeo4j, startHostNeo4j } from '../stores/fixtures/neo4j-host.ts';
import {
  fill,
  fingerprint,
  loseAll,
  type Neo4j,
  password,
  startNeo4j,
} from '../stores/fixtures/neo4j-server.ts';

let server: HostNeo4j;
let filled: string;
let fixture: RunFixture;

beforeAll(async () => {
  server = await startHostNeo4j();
  await fill(server, 1);
  filled = await fingerprint(server);
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
});

beforeEach(async () => {
  fixture = makeRun();
  Object.assign(fixture.run, { environment: { ...process.env, GRAPH_PASSWORD: password } });
  return () => fixture[Symbol.dispose]();
});

const command = (argv: readonly string[]) => ({ argv, cwd: '/', deadlineMs: 60_000 });
const onHost = (method: 'volume' | 'dump'): ConfiguredStore => ({
  name: 'subject',
  kind: 'neo4j',
  target: { home: server.home, password_env: 'GRAPH_PASSWORD', method },
  server: { stop: command(server.programs.stop), start: command(server.programs.start) },
});
const inContainer = ({ name }: Neo4j): ConfiguredStore => ({
  name: 'subject',
  kind: 'neo4j',
  target: { container: name, password_env: 'GRAPH_PASSWORD' },
});

const restored = (store: ConfiguredStore, more: Partial<RestoreOptions> = {}) =>
  restore(fixture.run, { ...restoreOptions(store), ...more });

const ownersIn = (directory: string) =>
  new Set(
    (readdirSync(directory, { recursive: true }) as string[]).map(
      (name) => statSync(join(directory, name)).uid,
    ),
  );

describe.each(['volume', 'dump'] as const)('by %s', (method) => {
  it('what a backup has is there again after a restore, on this host', async () => {
    const store = onHost(method);
    const made = await backedUp(fixture.run, store);
    expect(server.isRunning()).toBe(true);
    expect(made.metadata).toMatchObject({
      quiesce: 'stop',
      store_version: '5.26.0',
      databases: ['neo4j', 'system'],
      counts: { nodes: 9286, relationships: 4286 },
      source: { path: server.data },
    });
    expect(made.metadata.downtime_ms).toBeGreaterThan(0);
    // Of dumps only where nobody has written for a while.
    if (method === 'volume') expect(made.metadata.samples?.length).toBeGreaterThan(0);
    const chosen = { backups: ['subject@latest'], level: 'content' } as const;
    expect(await verify(fixture.run, chosen)).toMatchObject({ ok: true });

    const mode = statSync(server.data).mode;
    await loseAll(server);
    const { safetyBackup } = await restored(store);
    expect(await fingerprint(server)).toBe(filled);
    expect(ownersIn(server.data)).toEqual(new Set([server.uid]));
    expect(statSync(server.data)).toMatchObject({ mode, uid: server.uid });
    expect(safetyBackup?.metadata.counts).toEqual({ nodes: 0, relationships: 0 });
    expect(readdirSync(server.home).filter((name) => name.includes('pkbackup'))).toEqual([]);

    const beside = join(fixture.directory, 'beside');
    expect(await restored(store, { to: beside })).toMatchObject({ downtimeMs: 0 });
    expect(readdirSync(beside)).toEqual(expect.arrayContaining(['databases', 'transactions']));
    expect(server.isRunning()).toBe(true);
  });
});

it('a backup of this host is restored into a container and a volume', async () => {
  await backedUp(fixture.run, onHost('volume'));
  const before = await fingerprint(server);
  const container = await startNeo4j({ hasHealthCheck: false });
  await restored(inContainer(container));
  expect(await fingerprint(container)).toBe(before);
  expect(await inVolume(container.volume, 'find /v ! -user 7474 -o ! -group 7474 | head')).toBe('');
  const volume = await makeVolume();
  await restored(onHost('volume'), { to: volume });
  expect(await inVolume(volume, 'find /v -mindepth 1 ! -user 7474 | head')).toBe('');
});

it('a backup of a container is restored on this host', async () => {
  const container = await startNeo4j({ hasHealthCheck: false });
  await container.ask('CREATE (:Extra)');
  await backedUp(fixture.run, inContainer(container));
  await restored(onHost('volume'));
  expect(await fingerprint(server)).toBe(await fingerprint(container));
  expect(await server.ask('MATCH (e:Extra) RETURN count(e)')).toEqual([[1]]);
  expect(ownersIn(server.data)).toEqual(new Set([server.uid]));
});

it('a server that runs and that nobody can stop is neither saved nor replaced', async () => {
  const { server: _, ...store } = onHost('volume');
  await expect(backedUp(fixture.run, store)).rejects.toMatchObject({
    code: 'backup_failed',
    message: expect.stringContaining('runs, and nothing says how to stop it'),
  });
  expect(server.isRunning()).toBe(true);
});

it('where the restored server does not start, the previous data is served', async () => {
  const store = onHost('volume');
  await backedUp(fixture.run, store);
  await server.ask('CREATE (:Later)');
  const before = await fingerprint(server);
  writeFileSync(join(server.home, 'fails'), '3');
  await expect(restored(store)).rejects.toMatchObject({
    code: 'restore_failed',
    message: expect.stringMatching(
      /start ".*" failed: exit code 3.*previous data is back in place, and .* serves again/,
    ),
  });
  expect(await fingerprint(server)).toBe(before);
  expect(await server.ask('MATCH (e:Later) RETURN count(e)')).toEqual([[1]]);
  expect(readdirSync(server.home).filter((name) => name.includes('pkbackup'))).toEqual([]);
});

it('a backup that is killed while the server is stopped leaves it running', async () => {
  const cwd = makeDirectory({
    'pkbackup.yaml': `stores:
  graph:
    kind: neo4j
    home: ${server.home}
    password_env: GRAPH_PASSWORD
    stop: ${JSON.stringify(server.programs.stop)}
    start: ${JSON.stringify(server.programs.start)}
`,
  });
  const child = spawn(process.execPath, [shim, 'backup'], {
    cwd,
    env: { ...cleanEnvironment(), GRAPH_PASSWORD: password },
    stdio: 'ignore',
  });
  await vi.waitUntil(() => !server.isRunning(), { timeout: 60_000, interval: 5 });
  child.kill('SIGKILL');
  await once(child, 'exit');
  await vi.waitUntil(() => server.isRunning(), { timeout: 60_000 });
  await fingerprint(server);
  await vi.waitFor(() => expect(readdirSync(join(cwd, 'backups', '.pkbackup', 'journal'))).toEqual([]), {
    timeout: 30_000,
  });
});
