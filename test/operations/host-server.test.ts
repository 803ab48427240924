// A server of this host is stopped by a program and runs again, whatever becomes of the one that stopped it.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { prepareServerHold, recoverServers, type ServedStore } from '../../src/operations/host-server.ts';
import { makeRun, type RunFixture } from './run-fixture.ts';

const program = join(import.meta.dirname, 'host-server.mjs');
const holder = join(import.meta.dirname, 'server-holder.ts');

let fixture: RunFixture;
let home: string;
let store: ServedStore;

beforeEach(async () => {
  fixture = makeRun();
  home = join(fixture.directory, 'neo4j');
  mkdirSync(join(home, 'run'), { recursive: true });
  store = {
    name: 'graph',
    kind: 'neo4j',
    target: { home },
    graceSeconds: 3,
    server: { stop: told('stop'), start: told('start') },
  };
  await once(spawn(process.execPath, [program, 'start', home], { stdio: 'ignore' }), 'exit');
  writeFileSync(join(home, 'told'), '');
});

afterEach(async () => {
  const pid = pidNow();
  if (pid !== undefined) process.kill(pid, 'SIGKILL');
  fixture[Symbol.dispose]();
});

const told = (what: string) => ({
  argv: [process.execPath, program, what, home],
  cwd: home,
  deadlineMs: 20_000,
});
const toldSoFar = () => readFileSync(join(home, 'told'), 'utf8').trim().split('\n');
const journals = () => readdirSync(join(fixture.directory, 'backups', '.pkbackup', 'journal'));

function pidNow(): number | undefined {
  const file = join(home, 'run', 'neo4j.pid');
  return existsSync(file) ? Number(readFileSync(file, 'utf8')) : undefined;
}

const untilItRuns = () => vi.waitUntil(() => pidNow() !== undefined, { timeout: 15_000, interval: 50 });

async function startHolder(until: string, how = ''): Promise<ChildProcess> {
  const args = [holder, join(fixture.directory, 'backups'), JSON.stringify(store), how];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  let said = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  await vi.waitUntil(() => said.includes(until), { timeout: 15_000, interval: 10 });
  return child;
}

describe('a server of this host', () => {
  it('is stopped, waited for, and started again', async () => {
    const before = pidNow();
    const hold = await prepareServerHold(fixture.run, store);
    expect(pidNow()).toBe(before);
    await hold?.hold();
    expect(pidNow()).toBeUndefined();
    expect(await hold?.release()).toMatchObject({ consistent: true, killed: [] });
    expect(pidNow()).not.toBe(before);
    expect(toldSoFar()).toEqual(['stop', 'start', 'serve']);
    expect(journals()).toEqual([]);
    expect(fixture.events.map(({ type }) => type)).toEqual(['held', 'released']);
  });

  it('that does not run is neither stopped nor started', async () => {
    process.kill(pidNow() ?? 0, 'SIGTERM');
    await vi.waitUntil(() => pidNow() === undefined);
    const { server: _, ...withoutPrograms } = store;
    const hold = await prepareServerHold(fixture.run, withoutPrograms);
    await hold?.hold();
    expect(await hold?.release()).toMatchObject({ downtimeMs: 0, consistent: true });
    expect(toldSoFar()).toEqual(['']);
  });

  it('that runs and that nobody can stop is refused', async () => {
    const { server: _, ...withoutPrograms } = store;
    await expect(prepareServerHold(fixture.run, withoutPrograms)).rejects.toMatchObject({
      message: `Neo4j in "${home}" runs, and nothing says how to stop it`,
      hint: 'set stop and start of "graph" in pkbackup.yaml, stop it first, or restore elsewhere with --to',
    });
  });

  it('goes on where it cannot be stopped', async () => {
    writeFileSync(join(home, 'stop-fails'), '');
    const hold = await prepareServerHold(fixture.run, store);
    await expect(hold?.hold()).rejects.toThrow(/stop ".*" failed: exit code 3/);
    expect(pidNow()).toBeDefined();
    expect(journals()).toEqual([]);
  });

  it('that started in between makes the copy worthless', async () => {
    const hold = await prepareServerHold(fixture.run, store);
    await hold?.hold();
    await once(spawn(process.execPath, [program, 'start', home], { stdio: 'ignore' }), 'exit');
    expect(await hold?.release()).toMatchObject({ consistent: false });
  });

  for (const when of ['prepared', 'ready']) {
    it(`runs when pkbackup was killed at "${when}"`, async () => {
      const child = await startHolder(when);
      child.kill('SIGKILL');
      await untilItRuns();
      await vi.waitUntil(() => journals().length === 0, { timeout: 30_000 });
      await untilItRuns();
    });
  }

  it('runs when pkbackup was killed while the stop was under way', async () => {
    const child = await startHolder('prepared');
    await vi.waitUntil(() => toldSoFar().includes('stop'), { timeout: 15_000, interval: 1 });
    child.kill('SIGKILL');
    await vi.waitUntil(() => journals().length === 0, { timeout: 30_000 });
    await untilItRuns();
  });

  it('is not started twice at once when pkbackup was killed while the start was under way', async () => {
    const child = await startHolder('ready');
    writeFileSync(join(home, 'start-is-slow'), '');
    child.stdin?.write('go on\n');
    await vi.waitUntil(() => toldSoFar().includes('start'), { timeout: 15_000, interval: 1 });
    child.kill('SIGKILL');
    await vi.waitUntil(() => journals().length === 0, { timeout: 30_000 });
    expect(pidNow()).toBeDefined();
    // Once more when it runs, which is in the contract: whether it does is not always known.
    expect(toldSoFar()).toEqual(['stop', 'start', 'serve', 'start']);
  });

  it('whose address the child does not know is started again until that has worked', async () => {
    const [ran, marker] = [join(home, 'ran'), join(home, 'marker')];
    const startsAtSecondTry = `const fs = require('node:fs'); const ran = fs.existsSync(process.argv[1]);
      fs.appendFileSync(process.argv[1], 'once\\n'); process.exit(ran ? 0 : 3);`;
    writeFileSync(marker, '');
    const order = {
      store: { name: 'graph', kind: 'falkordb', target: { url_env: 'NOT_HERE' } },
      start: { argv: [process.execPath, '-e', startsAtSecondTry, ran], cwd: home, deadlineMs: 20_000 },
      patienceMs: 100,
      marker,
    };
    const child = spawn(
      process.execPath,
      [join(import.meta.dirname, '../../src/operations/server-child.ts')],
      {
        stdio: ['pipe', 'ignore', 'inherit'],
      },
    );
    child.stdin.end(`${JSON.stringify({ order })}\n${JSON.stringify({ isStopped: true })}\n`);
    await once(child, 'exit');
    expect(readFileSync(ran, 'utf8')).toBe('once\nonce\n');
    expect(existsSync(marker)).toBe(false);
  });

  it('is started by the next command where nobody else could', async () => {
    writeFileSync(join(home, 'start-fails'), '');
    const child = await startHolder('ready');
    child.kill('SIGKILL');
    await vi.waitUntil(() => toldSoFar().includes('start'), { timeout: 15_000 });
    expect(await recoverServers(fixture.run, { stores: async () => [], dryRun: false })).toMatchObject([
      { ok: false, message: expect.stringContaining('graph: a run that crashed had stopped the server') },
    ]);
    const stores = async () => [store];
    expect(await recoverServers(fixture.run, { stores, dryRun: true })).toEqual([
      { ok: true, message: `graph: would start Neo4j in "${home}"` },
    ]);
    rmSync(join(home, 'start-fails'));
    expect(await recoverServers(fixture.run, { stores, dryRun: false })).toMatchObject([{ ok: true }]);
    expect(pidNow()).toBeDefined();
    expect(journals()).toEqual([]);
  });

  it('is not started on data that is half swapped, but by the next command', async () => {
    const child = await startHolder('ready', 'swap');
    child.kill('SIGKILL');
    await once(child, 'exit');
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(pidNow()).toBeUndefined();
    expect(await recoverServers(fixture.run, { stores: async () => [store], dryRun: false })).toMatchObject([
      { ok: true },
    ]);
    expect(pidNow()).toBeDefined();
  });
});
