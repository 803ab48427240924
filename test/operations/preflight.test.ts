// What is found before a backup is published: much less than before, a clock that is wrong, a repository that may not be written
// to; and what the last backups say of the next one.
import { chmodSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { DatabaseSync } from 'node:sqlite';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type BackupOptions, backup } from '../../src/operations/backup.ts';
import { expectedOf, expectedRun } from '../../src/operations/history.ts';
import { shrinkOf } from '../../src/operations/shrink.ts';
import type { Backup, Manifest } from '../../src/repository/index.ts';
import { cleanEnvironment, deadDocker, lines, makeDirectory, shim } from '../cli/program.ts';
import { publish } from './published.ts';
import { directoryStore, makeRun, type RunFixture, sqliteStore } from './run-fixture.ts';

let fixture: RunFixture;
let memory: string;
beforeEach(() => {
  fixture = makeRun();
  memory = join(fixture.directory, 'memory');
  mkdirSync(memory);
  for (let index = 0; index < 20; index += 1) writeFileSync(join(memory, `note-${index}`), 'remember');
});
afterEach(() => fixture[Symbol.dispose]());

const warnings = () => fixture.events.filter(({ type }) => type === 'warning');
const files = () =>
  readdirSync(fixture.run.repository.directory)
    .filter((name) => !/^\.pkbackup$/.test(name))
    .sort();
const forget = () => {
  for (let index = 2; index < 20; index += 1) rmSync(join(memory, `note-${index}`));
};
const one = async (options: Partial<BackupOptions> = {}) => {
  const { stores } = await backup(fixture.run, { stores: [directoryStore(memory)], ...options });
  return stores[0];
};

describe('a store that has shrunk by 90 %', () => {
  it('is backed up with a warning that names both numbers, and what keeps the last good one', async () => {
    await one();
    const [before] = (await fixture.run.repository.list()).backups;
    forget();
    expect(await one()).toMatchObject({ ok: true });
    expect(warnings()).toEqual([
      {
        type: 'warning',
        store: 'memory',
        message: '90 % less than in the last good backup: 20 files then, 2 now',
        hint: expect.stringContaining(`pkbackup pin ${before?.stem}`),
      },
    ]);
    expect(await one()).toMatchObject({ ok: true });
    expect(warnings(), 'that is what it is now').toHaveLength(1);
  });

  it('is not published where that is asked for: nothing of it is left, and the last good one stays', async () => {
    await one();
    const before = files();
    forget();
    const failed = await one({ failOnShrink: true });
    expect(failed).toMatchObject({ ok: false, error: { code: 'backup_failed' } });
    const { message = '', hint = '' } = failed?.ok === false ? failed.error : {};
    expect(message).toBe('memory: 90 % less than in the last good backup: 20 files then, 2 now');
    expect(hint).toContain('--no-fail-on-shrink');
    expect(files()).toEqual(before);
    expect(await one({ failOnShrink: true, maxShrinkPercent: 90 })).toMatchObject({ ok: true });
  });

  it('is found by rows, though the file of a database stays as long as it was', async () => {
    const path = join(fixture.directory, 'events.db');
    const database = new DatabaseSync(path);
    database.exec('CREATE TABLE events (body TEXT)');
    const insert = database.prepare('INSERT INTO events VALUES (?)');
    for (let index = 0; index < 100; index += 1) insert.run('x'.repeat(1000));
    const stores = [sqliteStore(path)];
    await backup(fixture.run, { stores });
    database.exec('DELETE FROM events WHERE rowid > 10');
    database.close();
    const { stores: made } = await backup(fixture.run, { stores, failOnShrink: true });
    expect(made[0]).toMatchObject({
      ok: false,
      error: { message: expect.stringContaining('100 rows then, 10') },
    });
  });

  it('may shrink by more where the store says so', async () => {
    await one();
    forget();
    const stores = [{ ...directoryStore(memory), expects: { maxShrinkPercent: 95 } }];
    const result = await backup(fixture.run, { stores, failOnShrink: true, maxShrinkPercent: 10 });
    expect(result.stores[0]).toMatchObject({ ok: true });
    expect(warnings()).toEqual([]);
  });
});

describe('how much less there is', () => {
  const counts = (records: number, queue = 0) => ({ counts: { records, queue } });

  it.each([
    ['half is not more than half', counts(100), counts(50), undefined],
    ['a bit more is', counts(100), counts(49), { what: 'records', was: 100, is: 49, percent: 51 }],
    ['what comes and goes is small beside the rest', counts(1000, 90), counts(1000, 0), undefined],
    ['a few come and go', counts(9), counts(0), undefined],
    ['what was not counted is not nothing', counts(1000), { counts: {} }, undefined],
    ['growth', counts(10), counts(1000), undefined],
    [
      'bytes count, too',
      { counts: {}, bytes: 1e6 },
      { counts: {}, bytes: 1e5 },
      { what: 'bytes', percent: 90 },
    ],
    ['few bytes do not', { counts: {}, bytes: 5e4 }, { counts: {}, bytes: 1 }, undefined],
  ])('%s', (_, before, now, expected) => {
    const found = shrinkOf(before, now, 50);
    if (expected === undefined) expect(found).toBeUndefined();
    else expect(found).toMatchObject(expected);
  });
});

describe('before anything is written', () => {
  it('a backup that is of the future is told: it would stay the newest', async () => {
    await publish(fixture.run.repository, 'memory', new Date(Date.now() + 3_600_000));
    expect(await one()).toMatchObject({ ok: true });
    expect(warnings()).toMatchObject([
      {
        message: expect.stringContaining('in the future'),
        hint: expect.stringContaining('set the clock right'),
      },
    ]);
  });

  // Root may write everywhere, so as root the program runs as somebody else.
  it.skipIf(process.platform === 'win32')(
    'a repository that may not be written to is told, also by a dry run',
    async () => {
      const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
      const cwd = makeDirectory({ 'pkbackup.yaml': `stores: { memory: { kind: directory, path: data } }\n` });
      for (const name of ['backups', 'data']) mkdirSync(join(cwd, name));
      writeFileSync(join(cwd, 'data', 'note'), 'remember');
      for (const path of [cwd, join(cwd, 'data'), dirname(dirname(shim))]) chmodSync(path, 0o777);
      chmodSync(join(cwd, 'backups'), 0o555);
      for (const flags of [[], ['--dry-run']]) {
        const { exitCode, stderr } = await execa(process.execPath, [shim, 'backup', '--quiet', ...flags], {
          cwd,
          env: { ...cleanEnvironment(), DOCKER_HOST: deadDocker, HOME: cwd },
          extendEnv: false,
          reject: false,
          ...nobody,
        });
        expect(exitCode, stderr).toBe(4);
        expect(lines(stderr)[0]).toMatch(
          /^error: memory: the repository ".*backups" cannot be written to: permission/,
        );
        expect(lines(stderr)[1]).toMatch(/^hint: make it writable, or choose another/);
      }
      chmodSync(join(cwd, 'backups'), 0o755);
      expect(readdirSync(join(cwd, 'backups'))).toEqual([]);
    },
  );
});

describe('what the next backup will take', () => {
  it('is said by a dry run, as the last ones took', async () => {
    const at = (hours: number) => new Date(Date.now() - hours * 3_600_000);
    const took = (duration_ms: number, size_bytes: number) => ({
      duration_ms,
      size_bytes,
      quiesce: 'none' as const,
    });
    const { repository } = fixture.run;
    await publish(repository, 'memory', at(1), took(3000, 300));
    await publish(repository, 'memory', at(2), took(90_000, 200));
    await publish(repository, 'memory', at(3), took(2000, 100));
    await publish(repository, 'memory', at(4), { ...took(1, 1), safety: true });
    const before = files();
    const result = await backup(fixture.run, { stores: [directoryStore(memory)], dryRun: true });
    expect(result.stores[0]).toMatchObject({
      expected: { sizeBytes: 300, durationMs: 3000, downtimeMs: 0, backups: 3 },
    });
    expect(result.expected).toEqual({ sizeBytes: 300, durationMs: 3000, unknown: 0 });
    expect(files()).toEqual(before);
  });

  const made = (duration_ms: number, downtime_ms: number, more: Partial<Backup['metadata']> = {}) =>
    ({
      isDamaged: false,
      metadata: { quiesce: 'stop', size_bytes: 100, duration_ms, downtime_ms, ...more },
    }) as Backup;

  it('is the middle of the last five that were held in the same way; size goes with the data', () => {
    const backups = [5, 1, 2, 3, 4, 1000].map((number) => made(number * 10, number, { stored_bytes: 50 }));
    expect(expectedOf(backups, { storedBytes: 100 }, 'stop')).toEqual({
      sizeBytes: 200,
      durationMs: 30,
      downtimeMs: 3,
      backups: 5,
    });
    expect(expectedOf(backups, {}, 'pause')).toBeUndefined();
    expect(expectedOf([], {}, 'stop')).toBeUndefined();
  });

  it('is added up as stores are backed up beside each other', () => {
    const store = (durationMs: number) => ({ sizeBytes: 10, durationMs, downtimeMs: 0, backups: 1 });
    const stores = [store(30), store(10), undefined, store(10), store(25)];
    expect(expectedRun(stores, 2, [])).toEqual({ sizeBytes: 40, durationMs: 45, unknown: 1 });
    expect(expectedRun(stores, 1, []).durationMs).toBe(75);
    const manifest = (held_ms: number) => ({ started_at: `2026-01-0${held_ms}`, held_ms }) as Manifest;
    expect(expectedRun(stores, 5, [1, 2, 3].map(manifest))).toMatchObject({ durationMs: 30, heldMs: 2 });
  });
});
