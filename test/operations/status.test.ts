// What status says: everything as it should be, and then each reason alone, with what to do about it. The repository is a real
// one; what is in it was published as backups are.
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { expectationsOf } from '../../src/config/expectations.ts';
import type { ConfiguredStore, Expectations } from '../../src/config/types.ts';
import { recordOutcomes } from '../../src/operations/outcomes.ts';
import { type Problem, type StatusOptions, status } from '../../src/operations/status.ts';
import { ownerOf } from '../../src/owner.ts';
import { sayProblem } from '../../src/reporters/status-problem.ts';
import type { Check, Metadata, Repository, Space } from '../../src/repository/index.ts';
import { publish } from './published.ts';
import { makeRun, type RunFixture } from './run-fixture.ts';

const now = new Date('2026-11-20T12:00:00Z');
const dayHours = 24;
let fixture: RunFixture;
beforeEach(() => {
  fixture = makeRun();
});
afterEach(() => fixture[Symbol.dispose]());

const hoursAgo = (hours: number) => new Date(now.getTime() - hours * 3_600_000);
const made = (hours: number, more: Partial<Metadata> = {}, store = 'rows') =>
  publish(fixture.run.repository, store, hoursAgo(hours), more);
const passed = (level: Check['level'], hours: number): Check => ({
  at: hoursAgo(hours).toISOString(),
  level,
  ok: true,
});
const failed = (level: Check['level']): Check => ({ at: now.toISOString(), level, ok: false });
const rows = (more: Partial<ConfiguredStore> = {}): ConfiguredStore => ({
  name: 'rows',
  kind: 'postgres',
  target: {},
  ...more,
});
const usual = { configured: [rows()], now, systemZone: 'UTC' } satisfies StatusOptions;
const look = (options: Partial<StatusOptions> = {}, space: Partial<Space> = {}) =>
  status({ repository: withSpace(space) }, { ...usual, ...options });

/** A disk of a size that is known; the tests run on one that is nobody's business. */
function withSpace(space: Partial<Space>): Repository {
  const { repository } = fixture.run;
  const disk = { totalBytes: 1e12, freeBytes: 5e11, usedPercent: 50, ...space };
  return { ...repository, space: async () => disk };
}

/** The only reason, and what is said of it. */
async function only(options: Partial<StatusOptions> = {}, space: Partial<Space> = {}) {
  const { ok, problems } = await look(options, space);
  expect(ok).toBe(problems.length === 0);
  expect(problems.map(({ reason }) => reason)).toHaveLength(1);
  const [problem] = problems as [Problem];
  return { ...sayProblem(problem, now), problem };
}

/** A process that has ended. */
async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' });
  await new Promise((resolve) => child.once('exit', resolve));
  return child.pid ?? 0;
}

const write = (path: string, text: string) => {
  const full = join(fixture.run.repository.directory, path);
  mkdirSync(join(full, '..'), { recursive: true });
  writeFileSync(full, text);
};

describe('all is as it should be', () => {
  it('with a backup that is young enough, whoever made it, and pins and sizes are told', async () => {
    const older = await made(30, { size_bytes: 100, pinned: 'before 1.5' });
    const newest = await made(25, { size_bytes: 110, checks: [passed('content', 3), passed('drill', 2)] });
    await made(1, { safety: true });
    const result = await look();
    expect(result).toMatchObject({ ok: true, problems: [] });
    const [store] = result.stores;
    expect(store).toMatchObject({ ok: true, backupCount: 2, newestGood: { stem: newest } });
    expect(store?.sizes.map(({ bytes }) => bytes)).toEqual([110, 100]);
    expect(store?.pinned.map(({ stem }) => stem)).toEqual([older]);
    expect(store?.verified?.at).toEqual(hoursAgo(2));
    expect(store?.drilled?.backup.stem).toBe(newest);
    expect(store?.dueAt).toEqual(new Date(hoursAgo(25).getTime() + 25 * 3_600_000));
  });

  it('for a store that has gone from the config file, however old what is kept of it', async () => {
    await made(1);
    await made(999, {}, 'old');
    const { ok, stores } = await look();
    expect(ok).toBe(true);
    expect(stores.map(({ store, isExpected }) => [store, isExpected])).toEqual([
      ['rows', true],
      ['old', false],
    ]);
  });

  it('while a run is at work: its partial file, its journal and its scratch directory are its own', async () => {
    await made(1);
    await using _lock = await fixture.run.repository.lock('rows', {
      command: 'pkbackup backup',
      signal: fixture.run.signal,
    });
    await using publication = await fixture.run.repository.begin('rows', now, 'gzip');
    await publication.file.write(Buffer.from('bytes'));
    await using _scratch = await fixture.run.repository.makeScratch();
    const owner = ownerOf(process.pid);
    write('.pkbackup/journal/1-2-3.hold.jsonl', `${JSON.stringify({ owner })}\n`);
    write('.pkbackup/journal/rows-1-00000000.restore.json', JSON.stringify({ owner }));
    expect(await look()).toMatchObject({ ok: true, problems: [] });
  });

  it('and nothing is written, and no lock is taken', async () => {
    await made(1);
    const all = () =>
      readdirSync(fixture.run.repository.directory, { recursive: true, encoding: 'utf8' })
        .sort()
        .map((name) => [name, statSync(join(fixture.run.repository.directory, name)).mtimeMs]);
    const before = all();
    await look();
    expect(all()).toEqual(before);
  });
});

describe('a store is not as it should be where', () => {
  it('it was never backed up', async () => {
    await made(1, {}, 'others');
    const said = await only();
    expect(said.problem).toEqual({ store: 'rows', reason: 'never_backed_up' });
    expect(said.hint).toContain('pkbackup backup rows');
  });

  it('its newest good backup is older than 25 hours, or than it may be', async () => {
    await made(25.1);
    const said = await only();
    expect(said.problem.reason).toBe('too_old');
    expect(said.message).toBe('its newest good backup is 25 h old, and may be 25 h (max_age)');
    expect(said.hint).toContain('pkbackup backup rows');
    const of = (own: Expectations, top: Expectations = {}) =>
      look({ configured: [rows({ expects: own })], config: { expects: top } });
    expect((await of({ maxAgeMs: 26 * 3_600_000 })).ok).toBe(true);
    expect((await of({}, { maxAgeMs: 26 * 3_600_000 })).ok).toBe(true);
    expect((await of({ maxAgeMs: 3_600_000 }, { maxAgeMs: 26 * 3_600_000 })).ok).toBe(false);
    expect((await of(expectationsOf({ max_age: 'never' }) ?? {})).ok).toBe(true);
  });

  it('nobody has configured it, and all stores of the repository count', async () => {
    await made(26);
    await made(1, {}, 'graph');
    expect((await only({ configured: [] })).problem).toMatchObject({ store: 'rows', reason: 'too_old' });
    expect((await look({ configured: [], stores: ['graph'] })).ok).toBe(true);
  });

  it('a run of its schedule is missing; one that has just begun is not', async () => {
    await made(10);
    expect((await look({ config: { schedule: '30 11 * * *' } })).ok).toBe(true);
    const said = await only({ config: { schedule: '30 10 * * *' } });
    expect(said.problem).toMatchObject({ reason: 'missed_run', count: 1 });
    expect(said.message).toContain('is missing (schedule "30 10 * * *")');
    expect(said.hint).toContain('scheduler');
    expect(said.hint).toContain('pkbackup backup rows');
    const hourly = await only({
      config: { schedule: '@daily' },
      configured: [rows({ schedule: '@hourly' })],
    });
    expect(hourly.message).toContain('and 7 more runs since');
    expect((await look({ configured: [rows({ schedule: 'never' })] })).ok).toBe(true);
    // 10:30 in Lisbon is 10:30 UTC in winter, and not in Berlin.
    const zone = { schedule: '30 10 * * *', timeZone: 'America/New_York' };
    expect((await look({ config: zone })).ok).toBe(true);
  });

  it('backups that take long have time to be made', async () => {
    await made(27, { duration_ms: 2 * 3_600_000 });
    expect((await look()).ok).toBe(true);
    expect((await look({ config: { schedule: '0 9 * * *' } })).ok).toBe(true);
    expect((await look({ config: { schedule: '0 7 * * *' } })).ok).toBe(false);
  });

  it('its last backups failed, with the count and the reason of the last', async () => {
    await made(3);
    write('.pkbackup/in-use', '');
    const whole = { ok: true };
    const bad = new Map([['rows', { ok: false, error: 'the server is gone' }]]);
    await recordOutcomes(fixture.run, { operation: 'backup', whole, stores: bad }, hoursAgo(2));
    await recordOutcomes(fixture.run, { operation: 'backup', whole, stores: bad }, hoursAgo(1));
    const said = await only();
    expect(said.problem).toMatchObject({ store: 'rows', reason: 'failing', inARow: 2, since: hoursAgo(2) });
    expect(said.message).toMatch(
      /^the last 2 times, backup of it failed, since .* \(2 h\): the server is gone$/,
    );
    expect(said.hint).toContain('pkbackup backup rows');
    const good = new Map([['rows', { ok: true }]]);
    await recordOutcomes(fixture.run, { operation: 'backup', whole, stores: good }, now);
    expect(await look()).toMatchObject({ ok: true, stores: [{ lastRun: { failuresTotal: 2 } }] });
  });

  it('one of its backups is damaged, and none is good', async () => {
    const stem = await made(2, { checks: [failed('archive')] });
    const { problems } = await look();
    expect(problems.map(({ reason }) => reason)).toEqual(['no_good_backup', 'damaged']);
    await made(1);
    const said = await only();
    expect(said.problem).toMatchObject({ reason: 'damaged', stems: [stem] });
    expect(said.hint).toContain(`pkbackup verify ${stem}`);
  });

  it('its newest backup has much less than the one before: of records, or of bytes', async () => {
    const before = await made(26, { counts: { collections: 2, records: 1000 } });
    await made(1, { counts: { collections: 2, records: 100 } });
    const said = await only();
    expect(said.problem).toMatchObject({
      reason: 'shrunk',
      before,
      shrink: { what: 'records', percent: 90 },
    });
    expect(said.message).toBe(
      'its newest backup has 90 % less than the one before: 1000 records then, 100 now',
    );
    expect(said.hint).toContain(`pkbackup pin ${before}`);
    expect((await look({ config: { expects: { maxShrinkPercent: 90 } } })).ok).toBe(true);
    await made(0.5, { counts: { collections: 2, records: 99 } });
    expect((await look()).ok, 'it is what it is by then').toBe(true);
    await made(0.4, { counts: {}, content_bytes: 1e6 });
    await made(0.3, { counts: {}, content_bytes: 1e5 });
    expect((await only()).message).toContain('1.0 MB then, 100 kB now');
  });

  it('its newest backup is of the future', async () => {
    const stem = await made(-1);
    const said = await only();
    expect(said.problem.reason).toBe('from_the_future');
    expect(said.hint).toContain(stem);
    expect(said.hint).toContain('set the clock right');
  });

  it('nothing new enough is verified, or drilled', async () => {
    const expects = { maxVerifiedAgeMs: dayHours * 3_600_000, maxDrilledAgeMs: 2 * dayHours * 3_600_000 };
    const options = { configured: [rows({ expects })] };
    await made(1);
    expect((await look(options)).ok, 'the first has time to be').toBe(true);
    await made(100, { checks: [passed('content', 1)] });
    const { problems } = await look(options);
    expect(problems.map((problem) => ({ ...problem, ...sayProblem(problem, now) }))).toMatchObject([
      {
        reason: 'not_verified',
        message: 'nothing newer than 4 d is verified, and it may be 1 day (max_verified_age)',
        hint: 'pkbackup verify rows --level content',
      },
      {
        reason: 'not_drilled',
        message: 'none of its backups was ever drilled, and one is to be every 2 days (max_drilled_age)',
        hint: 'pkbackup drill rows',
      },
    ]);
    await made(0.5, { checks: [passed('checksum', 0.1)] });
    expect((await look(options)).problems).toHaveLength(2);
    await made(0.1, { checks: [passed('drill', 0)] });
    expect((await look(options)).ok).toBe(true);
  });
});

describe('the repository is not as it should be where', () => {
  it('it is not there, or nothing is in it and nobody says what should be', async () => {
    const missing = await only({ configured: [] });
    expect(missing.problem.reason).toBe('no_repository');
    expect(missing.hint).toContain('mounted');
    mkdirSync(fixture.run.repository.directory);
    const empty = await only({ configured: [] });
    expect(empty.problem.reason).toBe('nothing_backed_up');
    expect(empty.hint).toContain('pkbackup init');
  });

  it('its disk is over 85 %, or over what is allowed', async () => {
    await made(1);
    const said = await only({}, { usedPercent: 85.2, freeBytes: 1e9 });
    expect(said.message).toContain('is 85.2 % full, and may be 85 % (max_disk_use); 1.0 GB are free');
    expect(said.hint).toContain('pkbackup prune');
    expect((await look({ config: { maxDiskUse: 90 } }, { usedPercent: 85.2 })).ok).toBe(true);
    expect((await look({ config: { maxDiskUse: 40 } }, { usedPercent: 50 })).ok).toBe(false);
  });

  it('it will be full within a week at this rate; where pruning keeps up, it will not', async () => {
    for (const days of [1, 2, 3, 4, 5, 6, 7, 8]) await made(days * 24 - 1, { size_bytes: 1000 });
    const said = await only({}, { freeBytes: 3000 });
    expect(said.problem).toMatchObject({ reason: 'full_soon', perDayBytes: 1000 });
    expect(said.message).toContain('will be full in 3 d');
    expect(said.hint).toContain('pkbackup prune');
    const later = await look({}, { freeBytes: 8000 });
    expect(later.ok).toBe(true);
    expect(later.repository.fullAt).toEqual(new Date(now.getTime() + 8 * 86_400_000));
    const { backups } = await fixture.run.repository.list();
    for (const old of backups.slice(1)) await fixture.run.repository.trash.add(old, hoursAgo(1));
    const pruned = await look({}, { freeBytes: 3000 });
    expect(pruned).toMatchObject({ ok: true, repository: { trashBytes: 7000 } });
    expect(pruned.repository.fullAt).toBeUndefined();
  });

  it('a backup in it is not whole any more', async () => {
    const stem = await made(2);
    await made(1);
    truncateSync(join(fixture.run.repository.directory, `${stem}.tar.gz`), 1);
    const said = await only();
    expect(said.problem).toEqual({ reason: 'not_whole', names: [`${stem}.tar.gz`] });
    expect(said.hint).toContain('pkbackup list');
  });

  it('a run that is dead has left what it never finished', async () => {
    await made(1);
    const partial = '.rows-backup-20261120-110000.tar.gz.partial';
    write(partial, 'half');
    const holder = { pid: await deadPid(), host: hostname(), command: 'pkbackup backup', since: now };
    write('.pkbackup/locks/rows.lock.holder.json', JSON.stringify(holder));
    const said = await only();
    expect(said.problem).toEqual({ reason: 'unfinished', names: [partial] });
    expect(said.hint).toContain('pkbackup recover');
    rmSync(join(fixture.run.repository.directory, partial));
    write(`.pkbackup/scratch/run-${holder.pid}-x/owner.json`, JSON.stringify({ ...holder, since: 1 }));
    expect((await only()).problem.reason).toBe('unfinished');
  });

  it('a run that is dead may have left somebody stopped, or a restore half done', async () => {
    await made(1);
    const owner = { host: hostname(), pid: await deadPid(), since: now.getTime() };
    for (const name of ['1-2-3.hold.jsonl', 'rows-1-00000000.restore.json', 'clients-1-0.clients.json']) {
      write(`.pkbackup/journal/${name}`, `${JSON.stringify({ owner })}\n`);
      const said = await only();
      expect(said.problem).toEqual({ reason: 'crashed_run', journals: [name] });
      expect(said.hint).toContain('pkbackup recover');
      rmSync(join(fixture.run.repository.directory, '.pkbackup', 'journal', name));
    }
    write('.pkbackup/journal/rows-1-00000000.restore.json', 'cut');
    expect((await only()).problem.reason).toBe('crashed_run');
  });

  it.each(['backup', 'verify', 'drill'])('the last %s failed as a whole', async (operation) => {
    await made(1);
    write('.pkbackup/in-use', '');
    const whole = { ok: false, error: 'Docker is not there' };
    await recordOutcomes(fixture.run, { operation, whole, stores: new Map() }, hoursAgo(3));
    const said = await only();
    expect(said.problem).toMatchObject({ reason: 'run_failing', operation, inARow: 1 });
    expect(said.message).toContain(`the last pkbackup ${operation} failed`);
    expect(said.message).toContain('(3 h): Docker is not there');
    expect(said.hint).toContain(`pkbackup ${operation}`);
  });
});
