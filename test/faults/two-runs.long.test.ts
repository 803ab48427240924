// Two runs at once: on one store one works and the other is told who holds it, or waits; on two stores both work.
import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { openRepository } from '../../src/repository/index.ts';
import { pkbackup } from '../cli/program.ts';

let cwd: string;
beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), 'pkbackup-two-runs-'));
  for (const name of ['one', 'two']) {
    mkdirSync(join(cwd, name));
    // Seconds, and not the moment in which another process starts.
    for (let part = 0; part < 5; part += 1)
      appendFileSync(join(cwd, name, 'noise'), randomBytes(60 * 1024 * 1024));
  }
  const stores = 'one: { kind: directory, path: ./one }\n  two: { kind: directory, path: ./two }';
  writeFileSync(join(cwd, 'pkbackup.yaml'), `stores:\n  ${stores}\n`);
});
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

const backup = (...args: string[]) => pkbackup(['backup', ...args, '--quiet'], { cwd });

/** The second begins when the first is at it. */
async function oneAfterTheOther(first: string[], second: string[]) {
  const names = () => (existsSync(join(cwd, 'backups')) ? readdirSync(join(cwd, 'backups')) : []);
  const running = backup(...first);
  await vi.waitUntil(() => names().some((name) => name.endsWith('.partial')), {
    timeout: 20_000,
    interval: 5,
  });
  return Promise.all([running, backup(...second)]);
}

const backupsOf = async (store: string) =>
  (await openRepository(join(cwd, 'backups')).list()).backups.filter((backup) => backup.store === store)
    .length;

test('on one store, one works and the other exits 8 and names the holder', async () => {
  const [works, refused] = await oneAfterTheOther(['one'], ['one']);
  expect([works.exitCode, refused.exitCode]).toEqual([0, 8]);
  expect(refused.stderr).toMatch(/process \d+ on .+ \("pkbackup backup one", since /);
  expect(refused.stderr).toContain('--wait');
});

test('on one store, the second waits where it is told to', async () => {
  const both = await oneAfterTheOther(['one'], ['one', '--wait', '5m']);
  expect(both.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
});

test('on two stores both work', async () => {
  const before = { one: await backupsOf('one'), two: await backupsOf('two') };
  const both = await oneAfterTheOther(['one'], ['two']);
  expect(both.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
  expect((await openRepository(join(cwd, 'backups')).list()).leftovers).toEqual([]);
  expect(await backupsOf('one')).toBe(before.one + 1);
  expect(await backupsOf('two')).toBe(before.two + 1);
});
