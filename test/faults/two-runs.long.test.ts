// Two runs at once: on one store one works and the other is told who holds it, or waits; on two stores both work.
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openRepository } from '../../src/repository/index.ts';
import { pkbackup } from '../cli/program.ts';

let cwd: string;
beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), 'pkbackup-two-runs-'));
  for (const name of ['one', 'two']) {
    mkdirSync(join(cwd, name));
    writeFileSync(join(cwd, name, 'noise'), randomBytes(60 * 1024 * 1024));
  }
  const stores = 'one: { kind: directory, path: ./one }\n  two: { kind: directory, path: ./two }';
  writeFileSync(join(cwd, 'pkbackup.yaml'), `stores:\n  ${stores}\n`);
});
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

const backup = (...args: string[]) => pkbackup(['backup', ...args, '--quiet'], { cwd });

test('on one store, one works and the other exits 8 and names the holder', async () => {
  const both = await Promise.all([backup('one'), backup('one')]);
  expect(both.map(({ exitCode }) => exitCode).sort()).toEqual([0, 8]);
  const refused = both.find(({ exitCode }) => exitCode === 8);
  expect(refused?.stderr).toMatch(/process \d+ on .+ \("pkbackup backup one", since /);
  expect(refused?.stderr).toContain('--wait');
});

test('on one store, the second waits where it is told to', async () => {
  const both = await Promise.all([backup('one', '--wait', '5m'), backup('one', '--wait', '5m')]);
  expect(both.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
});

test('on two stores both work', async () => {
  const both = await Promise.all([backup('one'), backup('two')]);
  expect(both.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
  const { backups, leftovers } = await openRepository(join(cwd, 'backups')).list();
  expect(leftovers).toEqual([]);
  expect(backups.filter(({ store }) => store === 'one')).toHaveLength(4);
  expect(backups.filter(({ store }) => store === 'two')).toHaveLength(1);
});
