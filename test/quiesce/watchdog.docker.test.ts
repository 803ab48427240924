import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { recoverHelpers, recoverHolds } from '../../src/quiesce/index.ts';
import { containerOf, docker, makeContainer, makeVolume, stateOf, uniqueName } from '../docker/bed.ts';

let journals: string;
beforeAll(async () => {
  journals = await mkdtemp(join(tmpdir(), 'pkbackup-journal-'));
});
afterAll(() => rm(journals, { recursive: true, force: true }));

const program = join(import.meta.dirname, 'holder.ts');

interface Holder {
  readonly process: ChildProcess;
  /** Waits until it has said the word. */
  said(word: string): Promise<string>;
}

function startHolder(volume: string, mode: 'pause' | 'stop', grace = 60): Holder {
  const child = spawn(process.execPath, [program, volume, mode, journals, String(grace)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  return {
    process: child,
    async said(word) {
      while (!output.includes(word)) {
        if (child.exitCode !== null) throw new Error(`ended with ${child.exitCode}: ${output}`);
        await sleep(5);
      }
      return output;
    },
  };
}

async function kill(holder: Holder): Promise<void> {
  const ended = once(holder.process, 'exit');
  holder.process.kill('SIGKILL');
  await ended;
}

async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return text.split(' ').filter(Boolean).map(Number);
}

const isRunning = (pid: number) =>
  readFile(`/proc/${pid}/cmdline`).then(
    (line) => line.length > 0,
    () => false,
  );

async function msUntilRunning(id: string): Promise<number> {
  const startedMs = performance.now();
  while ((await stateOf(id)).status !== 'running') {
    if (performance.now() - startedMs > 20_000) throw new Error(`it is ${(await stateOf(id)).status}`);
    await sleep(20);
  }
  return performance.now() - startedMs;
}

async function untilNoJournal(): Promise<void> {
  for (let attempt = 0; attempt < 500; attempt += 1) {
    if ((await readdir(journals)).length === 0) return;
    await sleep(20);
  }
  throw new Error(`left: ${await readdir(journals)}`);
}

test.each(['stop', 'pause'] as const)(
  'after a kill while it is held by %s, the container runs again by itself',
  async (mode) => {
    const volume = await makeVolume();
    const id = await makeContainer({ volumes: { [volume]: '/data' } });
    const holder = startHolder(volume, mode);
    await holder.said('held');
    expect(await readdir(journals)).toHaveLength(1);
    expect((await stateOf(id)).status).toBe(mode === 'stop' ? 'exited' : 'paused');
    await kill(holder);
    expect(await msUntilRunning(id)).toBeLessThan(5000);
    await untilNoJournal();
  },
);

test('killed at any moment, it never stays down', async () => {
  const volume = await makeVolume();
  const id = await makeContainer({ volumes: { [volume]: '/data' } });
  for (let round = 0; round < 12; round += 1) {
    const holder = startHolder(volume, round % 2 === 0 ? 'stop' : 'pause');
    await holder.said('starting');
    await sleep(100 + Math.random() * 700);
    if (round % 3 === 0) holder.process.stdin?.write('release\n');
    await kill(holder);
    await sleep(400);
    expect(await msUntilRunning(id)).toBeLessThan(5000);
    await sleep(100);
    expect((await stateOf(id)).status).toBe('running');
  }
  // Killed between the journal and the watchdog, nothing was held: the next command takes the journal away.
  const healed = await recoverHolds({ journalDirectory: journals, docker });
  expect(healed.filter(({ what }) => what === 'container')).toEqual([]);
  await untilNoJournal();
});

test('killed while the server is still stopping, it is started again after it has stopped', async () => {
  const volume = await makeVolume();
  const slow = ['trap "sleep 2; exit 0" TERM; while :; do sleep 0.1; done'];
  const id = await makeContainer({
    volumes: { [volume]: '/data' },
    entrypoint: ['/bin/bash', '-c'],
    command: slow,
  });
  const before = await stateOf(id);
  const holder = startHolder(volume, 'stop', 5);
  while ((await readdir(journals)).length === 0) await sleep(10);
  while (!(await journalText()).includes('holding')) await sleep(10);
  await sleep(200);
  await kill(holder);
  await untilNoJournal();
  const after = await stateOf(id);
  expect(after.status).toBe('running');
  expect(after.startedAt).not.toBe(before.startedAt);
});

async function journalText(): Promise<string> {
  const [name] = await readdir(journals);
  return name ? readFile(join(journals, name), 'utf8') : '';
}

test('with the watchdog killed too, recover heals from the journal, and only what was held', async () => {
  const volume = await makeVolume();
  const name = uniqueName('server');
  const id = await makeContainer({ name, volumes: { [volume]: '/data' } });
  const ended = await makeContainer({ volumes: { [volume]: '/data' } });
  await containerOf(ended).stop({ t: 1 });
  const holder = startHolder(volume, 'stop');
  await holder.said('held');
  const watchdogs = await childrenOf(holder.process.pid!);
  expect(watchdogs).toHaveLength(1);
  for (const pid of watchdogs) process.kill(pid, 'SIGKILL');
  await kill(holder);
  await sleep(500);
  expect((await stateOf(id)).status).toBe('exited');
  const options = { journalDirectory: journals, docker };
  expect(await recoverHolds({ ...options, dryRun: true })).toMatchObject([
    { name, message: `would let go container "${name}"` },
  ]);
  expect((await stateOf(id)).status).toBe('exited');
  expect(await recoverHolds(options)).toMatchObject([
    {
      what: 'container',
      name,
      store: 'under-test',
      ok: true,
      message: `started container "${name}", left stopped by a run that crashed`,
    },
  ]);
  expect((await stateOf(id)).status).toBe('running');
  expect((await stateOf(ended)).status).toBe('exited');
  expect(await recoverHolds(options)).toEqual([]);
});

test('recover leaves the hold of a living process alone', async () => {
  const volume = await makeVolume();
  const id = await makeContainer({ volumes: { [volume]: '/data' } });
  const holder = startHolder(volume, 'stop');
  await holder.said('held');
  expect(await recoverHolds({ journalDirectory: journals, docker })).toEqual([]);
  expect((await stateOf(id)).status).toBe('exited');
  const ended = once(holder.process, 'exit');
  holder.process.stdin?.end('release\n');
  await ended;
  expect((await stateOf(id)).status).toBe('running');
});

test('an orderly end leaves no watchdog and no journal', async () => {
  const volume = await makeVolume();
  await makeContainer({ volumes: { [volume]: '/data' } });
  const holder = startHolder(volume, 'pause');
  await holder.said('held');
  const watchdogs = await childrenOf(holder.process.pid!);
  const ended = once(holder.process, 'exit');
  holder.process.stdin?.end('release\n');
  expect(await ended).toEqual([0, null]);
  expect(await holder.said('downtimeMs')).toContain('"consistent":true');
  expect(await readdir(journals)).toEqual([]);
  for (const pid of watchdogs) expect(await isRunning(pid)).toBe(false);
});

test('an interrupt while it is being stopped leaves everything running and nothing behind', async () => {
  const volume = await makeVolume();
  const id = await makeContainer({ volumes: { [volume]: '/data' } });
  for (const afterMs of [150, 250, 350, 500]) {
    const holder = startHolder(volume, 'stop');
    await holder.said('starting');
    await sleep(afterMs);
    const ended = once(holder.process, 'exit');
    holder.process.stdin?.end('release\n');
    holder.process.kill('SIGINT');
    await ended;
    expect((await stateOf(id)).status).toBe('running');
    expect(await readdir(journals)).toEqual([]);
  }
});

test('a signal that ends process groups does not end the watchdog before pkbackup', async () => {
  const volume = await makeVolume();
  const id = await makeContainer({ volumes: { [volume]: '/data' } });
  const holder = startHolder(volume, 'stop');
  await holder.said('held');
  for (const pid of await childrenOf(holder.process.pid!))
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.kill(pid, signal);
  await sleep(200);
  await kill(holder);
  expect(await msUntilRunning(id)).toBeLessThan(5000);
  await untilNoJournal();
});

test('without a watchdog nothing is held', async () => {
  const volume = await makeVolume();
  const id = await makeContainer({ volumes: { [volume]: '/data' } });
  const before = await stateOf(id);
  const { holdStill } = await import('../../src/quiesce/index.ts');
  const common = {
    docker: await docker(),
    volumes: [volume],
    quiesce: 'stop' as const,
    store: 's',
    emit: () => undefined,
    signal: new AbortController().signal,
  };
  const elsewhere = { DOCKER_HOST: 'unix:///nonexistent.sock' };
  await expect(
    holdStill({ ...common, guard: { journalDirectory: journals, environment: elsewhere } }),
  ).rejects.toMatchObject({
    message: expect.stringMatching(/^the watchdog did not start: .*not reachable/),
  });
  const file = join(journals, 'file');
  await writeFile(file, '');
  await expect(
    holdStill({ ...common, guard: { journalDirectory: file, environment: {} } }),
  ).rejects.toMatchObject({
    message: expect.stringMatching(/^write the journal/),
    hint: 'nothing was held',
  });
  await rm(file);
  expect(await stateOf(id)).toEqual(before);
  expect(await readdir(journals)).toEqual([]);
});

test('helper containers of dead processes are removed, those of living ones are not', async () => {
  const real = await docker();
  await using mine = await real.createHelper({ image: 'pkbackup-test/chromadb:1', mounts: [] });
  const dead = await makeContainer({
    isStarted: false,
    labels: {
      'pkbackup.helper': '1',
      'pkbackup.owner': `${(await import('node:os')).hostname()}#4194300#${Date.now()}`,
    },
  });
  const elsewhere = await makeContainer({
    isStarted: false,
    labels: { 'pkbackup.helper': '1', 'pkbackup.owner': `elsewhere#1#${Date.now()}` },
  });
  const recovered = await recoverHelpers(real);
  expect(recovered.map(({ ok }) => ok)).not.toContain(false);
  expect(await real.container(dead)).toBeUndefined();
  expect(await real.container(mine.id)).toBeDefined();
  expect(await real.container(elsewhere)).toBeDefined();
});
