// Clients of a store stand still while a restore swaps its data, and run again after it has proved itself, in the order in
// which they depend on each other: also after a failure, and after a crash.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { execa } from 'execa';
import { beforeEach, expect, test, vi } from 'vitest';
import type { ConfiguredStore } from '../../src/config/types.ts';
import { connectDocker } from '../../src/docker/index.ts';
import { backup } from '../../src/operations/backup.ts';
import { type ConfirmedPlan, restore } from '../../src/operations/restore.ts';
import { prepareStep } from '../../src/stores/volume-steps.ts';
import { cleanEnvironment, makeDirectory, pkbackup, shim } from '../cli/program.ts';
import {
  containerOf,
  helpersLeft,
  inVolume,
  logsOf,
  makeContainer,
  makeVolume,
  stateOf,
  uniqueName,
} from '../docker/bed.ts';
import { untilHealthy } from '../stores/fixtures/containers.ts';
import { makeRun, type RunFixture } from './run-fixture.ts';

const liveDocker = { DOCKER_HOST: process.env.DOCKER_HOST || 'unix:///var/run/docker.sock' };
const hook = pathToFileURL(join(import.meta.dirname, '../faults/kill-at-journal.mjs')).href;
const sleeps = 'trap exit TERM; while :; do sleep 0.1; done';
const ms = 1_000_000;
/** So that a swap takes seconds. */
const many = 1500;

interface Stack {
  readonly project: string;
  readonly volume: string;
  /** Serves the volume; prints what it finds at each start, and ends on what is poisoned. */
  readonly db: string;
  /** Depends on `db`. */
  readonly api: string;
  /** Depends on `api`. */
  readonly web: string;
  /** Depends on `db`, and does not run. */
  readonly job: string;
  readonly bystander: string;
}

let stack: Stack;
beforeEach(async () => {
  stack = await startStack();
});

async function startStack(): Promise<Stack> {
  const project = uniqueName('project');
  const volume = await makeVolume();
  await inVolume(volume, 'echo saved > /v/a; echo saved > /v/b');
  const service = (name: string, dependsOn: string, script: string, more: object = {}) =>
    makeContainer({
      name: `${project}-${name}-1`,
      entrypoint: ['/bin/bash', '-c'],
      command: [script],
      labels: {
        'com.docker.compose.project': project,
        'com.docker.compose.service': name,
        'com.docker.compose.depends_on': dependsOn,
      },
      ...more,
    });
  const db = await service(
    'db',
    '',
    `sort -u /data/* | tr '\\n' ' '; echo; ! grep -q poison /data/* || exit 1; ${sleeps}`,
    {
      volumes: { [volume]: '/data' },
      more: healthCheck('sleep 0.5'),
    },
  );
  const api = await service('api', 'db:service_healthy:false', sleeps, { more: healthCheck('sleep 0.3') });
  const web = await service('web', 'api:service_started:true', sleeps);
  const job = await service('job', 'db:service_healthy:false', sleeps, { isStarted: false });
  const bystander = await service('bystander', 'cache:service_started:false', sleeps);
  for (const id of [db, api]) await untilHealthy(id);
  return { project, volume, db, api, web, job, bystander };
}

function healthCheck(script: string) {
  return { Healthcheck: { Test: ['CMD-SHELL', script], Interval: 200 * ms, Timeout: 5000 * ms } };
}

const files = (more: Partial<ConfiguredStore> = {}): ConfiguredStore => ({
  name: 'files',
  kind: 'volume',
  target: { volume: stack.volume },
  quiesce: 'stop',
  ...more,
});

async function saveThenChange(
  { run }: RunFixture,
  change = 'echo newer > /v/a; echo newer > /v/b',
): Promise<void> {
  expect((await backup(run, { stores: [{ ...files(), quiesce: 'none' }] })).stores).toMatchObject([
    { ok: true },
  ]);
  await inVolume(stack.volume, change);
}

function options(store: ConfiguredStore) {
  return { backup: `${store.name}@1`, stores: [store], safetyBackup: true, confirm: async () => true };
}

/** What it found at each of its starts. */
const foundBy = async (id: string) =>
  (await logsOf(id))
    .trim()
    .split('\n')
    .map((line) => line.trim());

async function untilServing(id: string): Promise<void> {
  await vi.waitFor(async () => expect((await stateOf(id)).status).toBe('running'), { timeout: 60_000 });
  await untilHealthy(id);
}

const startOf = async (id: string) => Date.parse((await containerOf(id).inspect()).State.StartedAt);
const endOf = async (id: string) => Date.parse((await containerOf(id).inspect()).State.FinishedAt);

async function expectInOrder(times: Promise<number>[]): Promise<void> {
  const found = await Promise.all(times);
  expect(found).toEqual(found.toSorted((a, b) => a - b));
}

test('those that depend on the store are stopped before it, and started after it has proved itself, in order', async () => {
  using fixture = makeRun();
  await saveThenChange(fixture);
  const { project, db, api, web, job, bystander } = stack;
  const before = await stateOf(bystander);
  fixture.events.length = 0;
  const result = await restore(fixture.run, options(files({ holdDependents: true })));
  expect(result.clients.map(({ name }) => name).sort()).toEqual([`${project}-api-1`, `${project}-web-1`]);
  expect(result.clients.filter(({ problem }) => problem)).toEqual([]);
  expect(result.clientsDowntimeMs).toBeGreaterThan(result.downtimeMs);
  await expectInOrder([endOf(web), endOf(api), endOf(db), startOf(db), startOf(api), startOf(web)]);
  // Each waits until the one before serves: their health checks take that long.
  expect((await startOf(api)) - (await startOf(db))).toBeGreaterThan(500);
  expect((await startOf(web)) - (await startOf(api))).toBeGreaterThan(300);
  expect((await stateOf(job)).status).toBe('created');
  expect(await stateOf(bystander)).toEqual(before);
  const told = fixture.events.flatMap((event) =>
    event.type === 'released' ? [event.containers.map((name) => name.replace(`${project}-`, ''))] : [],
  );
  expect(told).toEqual([['db-1'], expect.arrayContaining(['api-1', 'web-1'])]);
  expect(await helpersLeft()).toEqual([]);
});

test('a client is held by its name or service where the configuration names it, and only then', async () => {
  using fixture = makeRun();
  await saveThenChange(fixture);
  const { project, api, web, bystander } = stack;
  const [beforeWeb, beforeApi] = [await stateOf(web), await stateOf(api)];
  await restore(fixture.run, options(files()));
  expect([await stateOf(web), await stateOf(api)]).toEqual([beforeWeb, beforeApi]);

  const named = files({ clients: ['api', `${project}-bystander-1`, 'gone'] });
  const result = await restore(fixture.run, options(named));
  expect(result.clients.map(({ name }) => name).sort()).toEqual([
    `${project}-api-1`,
    `${project}-bystander-1`,
  ]);
  expect(await stateOf(web)).toEqual(beforeWeb);
  for (const id of [api, bystander]) expect((await stateOf(id)).status).toBe('running');
  expect(fixture.events).toContainEqual({
    type: 'warning',
    store: 'files',
    message: 'client "gone" is not there, so it is not held',
  });
});

test('the plan says who is stopped, who is held, and for how long as before', async () => {
  using fixture = makeRun();
  await saveThenChange(fixture);
  const { project } = stack;
  const store = files({ holdDependents: true });
  const plans: ConfirmedPlan[] = [];
  const confirm = async (plan: ConfirmedPlan) => plans.push(plan) > 0;
  const first = await restore(fixture.run, { ...options(store), confirm });
  await restore(fixture.run, { ...options(store), confirm });
  expect(plans).toMatchObject([
    { stops: [`${project}-db-1`], downtime: { ms: 2000, from: 'its kind' } },
    { stops: [`${project}-db-1`], downtime: { ms: first.downtimeMs, from: 'earlier restores' } },
  ]);
  for (const { holds, freeBytes } of plans) {
    expect([...holds].sort()).toEqual([`${project}-api-1`, `${project}-web-1`]);
    expect(freeBytes).toBeGreaterThan(0);
  }
});

test('where somebody cannot be stopped safely, the present data is not touched', async () => {
  using fixture = makeRun();
  await saveThenChange(fixture);
  const before = await stateOf(stack.db);
  const name = uniqueName('transient');
  const transient = await makeContainer({ name, hostConfig: { AutoRemove: true } });
  const failure = restore(fixture.run, options(files({ clients: [name] })));
  await expect(failure).rejects.toMatchObject({
    code: 'restore_failed',
    message: expect.stringMatching(/was started with --rm.*; the present data was not touched$/),
  });
  expect(await stateOf(stack.db)).toEqual(before);
  await containerOf(transient).remove({ force: true });
});

test('where the restored data is bad, the clients see the previous data only, and all run again', async () => {
  using fixture = makeRun();
  await inVolume(stack.volume, 'echo poison > /v/a; echo poison > /v/b');
  await saveThenChange(fixture);
  const { db, api, web } = stack;
  const failure = restore(fixture.run, options(files({ holdDependents: true })));
  await expect(failure).rejects.toMatchObject({
    code: 'restore_failed',
    message: expect.stringMatching(
      /ended with exit code 1; the previous data is back in place, and "[^"]+" serves again$/,
    ),
  });
  for (const id of [db, api, web]) expect((await stateOf(id)).status).toBe('running');
  await expectInOrder([startOf(db), startOf(api), startOf(web)]);
  expect((await foundBy(db)).at(-1)).toBe('newer');
});

test('a client that does not serve again is told, and the restore is done', async () => {
  using fixture = makeRun();
  const { project, db } = stack;
  const fragile = await makeContainer({
    name: `${project}-fragile-1`,
    entrypoint: ['/bin/bash', '-c'],
    command: [`test ! -e /ran || exit 3; touch /ran; ${sleeps}`],
  });
  await saveThenChange(fixture);
  const result = await restore(fixture.run, options(files({ clients: [`${project}-fragile-1`] })));
  expect(result.clients).toEqual([
    { name: `${project}-fragile-1`, problem: expect.stringContaining('ended with exit code 3') },
  ]);
  expect((await stateOf(db)).status).toBe('running');
  expect((await stateOf(fragile)).status).toBe('exited');
  expect(await inVolume(stack.volume, 'cat /v/a')).toBe('saved\n');
  expect(readdirSync(join(fixture.run.repository.directory, '.pkbackup', 'journal'))).toEqual([]);
});

test('a store that is never stopped has its clients held all the same', async () => {
  using fixture = makeRun();
  const data = join(fixture.directory, 'data');
  mkdirSync(data);
  const database = new DatabaseSync(join(data, 'events.db'));
  database.exec("CREATE TABLE events (text); INSERT INTO events VALUES ('saved')");
  const store: ConfiguredStore = {
    name: 'events',
    kind: 'sqlite',
    target: { path: join(data, 'events.db') },
  };
  await backup(fixture.run, { stores: [store] });
  database.exec("UPDATE events SET text = 'newer'");
  database.close();
  const name = uniqueName('app');
  const app = await makeContainer({
    name,
    entrypoint: ['/bin/bash', '-c'],
    command: [`exec 9<>/data/events.db; ${sleeps}`],
    volumes: { [data]: '/data' },
  });
  await expect(restore(fixture.run, options(store))).rejects.toMatchObject({
    message: expect.stringContaining('is open in'),
  });
  const before = await stateOf(app);
  const result = await restore(fixture.run, options({ ...store, clients: [name] }));
  expect(result.clients).toEqual([{ name }]);
  const after = await stateOf(app);
  expect(after.status).toBe('running');
  expect(after.startedAt).not.toBe(before.startedAt);
  const restored = new DatabaseSync(join(data, 'events.db'));
  expect(restored.prepare('SELECT text FROM events').all()).toEqual([{ text: 'saved' }]);
  restored.close();
});

async function killedWhileHeld(cwd: string): Promise<number[]> {
  const env = { ...cleanEnvironment(), ...liveDocker, PKBACKUP_TEST_KILL_AT_NOTE: '3' };
  const args = ['--import', hook, shim, 'restore', 'files@1', '--yes', '--quiet'];
  const child = execa(process.execPath, args, { cwd, env, extendEnv: false, reject: false, stdin: 'ignore' });
  const watchdogs: number[] = [];
  const look = setInterval(() => {
    for (const pid of childrenOf(child.pid ?? 0)) if (!watchdogs.includes(pid)) watchdogs.push(pid);
  }, 20);
  const { signal, stderr } = await child;
  clearInterval(look);
  expect(signal, stderr).toBe('SIGKILL');
  return watchdogs;
}

function childrenOf(pid: number): number[] {
  try {
    return execFileSync('cat', [`/proc/${pid}/task/${pid}/children`], { stdio: ['ignore', 'pipe', 'ignore'] })
      .toString()
      .split(' ')
      .filter(Boolean)
      .map(Number);
  } catch {
    return [];
  }
}

async function configured(entries = 2): Promise<string> {
  const fill = (text: string) =>
    inVolume(stack.volume, `rm /v/*; for n in $(seq ${entries}); do echo ${text} > /v/e$n; done`);
  await fill('saved');
  const cwd = makeDirectory({
    'pkbackup.yaml': `stores:\n  files: { kind: volume, volume: ${stack.volume}, quiesce: none, hold_dependents: true }\n`,
  });
  const saved = await pkbackup(['backup', '--quiet'], { cwd, env: liveDocker });
  expect(saved.exitCode, saved.stderr).toBe(0);
  await fill('newer');
  return cwd;
}

test('killed while all are held, the clients run again by themselves, after the store', async () => {
  const cwd = await configured();
  const { db, api, web, job } = stack;
  await killedWhileHeld(cwd);
  for (const id of [db, api, web]) await untilServing(id);
  await expectInOrder([startOf(db), startOf(api), startOf(web)]);
  expect((await startOf(api)) - (await startOf(db))).toBeGreaterThan(500);
  const listed = await pkbackup(['list', '--quiet'], { cwd, env: liveDocker });
  expect(listed.stderr).toContain('undid the restore of');
  for (const id of [db, api, web]) expect((await stateOf(id)).status).toBe('running');
  expect((await stateOf(job)).status).toBe('created');
  expect(await inVolume(stack.volume, 'cat /v/*')).toBe('newer\nnewer\n');
});

test('after a power failure in the middle of the swap nobody is started on a mixture', async () => {
  const cwd = await configured(many);
  const { db, api, web, volume } = stack;
  for (const pid of await killedWhileHeld(cwd)) kill(pid);
  const started = [db, api, web].map(async (id) => (await stateOf(id)).status);
  expect(await Promise.all(started)).toEqual(['exited', 'exited', 'exited']);
  await breakOffSwap(cwd, volume);
  const listed = await pkbackup(['list', '--quiet'], { cwd, env: liveDocker });
  expect(listed.stderr).toContain('undid the restore of');
  for (const id of [db, api, web]) await untilHealthy(id);
  await expectInOrder([startOf(db), startOf(api), startOf(web)]);
  expect(await inVolume(volume, 'cat /v/* | sort | uniq -c')).toMatch(/^ +1500 newer\n$/);
  expect((await foundBy(db)).slice(1)).toEqual(['newer']);
  expect(readdirSync(join(cwd, 'backups', '.pkbackup', 'journal'))).toEqual([]);
});

/** The step that comes next runs, and is killed half-way. That of the dead process may be swept already by any command. */
async function breakOffSwap(cwd: string, volume: string): Promise<void> {
  const journal = join(cwd, 'backups', '.pkbackup', 'journal');
  const name = readdirSync(journal).find((each) => each.endsWith('.restore.json')) ?? '';
  const { state } = JSON.parse(readFileSync(join(journal, name), 'utf8'));
  const docker = await connectDocker(liveDocker);
  const [container] = await docker.containersOf(volume);
  const place = { source: volume, directory: '', images: [container?.imageId ?? ''] };
  const swap = await prepareStep(docker, place, 'swap', state.id);
  await containerOf(swap.id).start();
  await sleep(400);
  await containerOf(swap.id).kill();
  const there = Number(await inVolume(volume, 'ls /v | wc -l'));
  expect(there).toBeGreaterThan(0);
  expect(there).toBeLessThan(many);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}
