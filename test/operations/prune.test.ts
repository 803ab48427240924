// What prune never takes, whatever the policy says: each rule over a repository in which it alone decides.
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type PruneOptions, prune } from '../../src/operations/prune.ts';
import type { Run } from '../../src/operations/run.ts';
import type { Check, Metadata } from '../../src/repository/index.ts';
import { publish } from './published.ts';
import { makeRun, type RunFixture } from './run-fixture.ts';

const now = new Date('2026-11-20T12:00:00Z');
let fixture: RunFixture;
beforeEach(() => {
  fixture = makeRun();
});
afterEach(() => fixture[Symbol.dispose]());

const daysAgo = (days: number) => new Date(now.getTime() - days * 86_400_000);
const made = (days: number, more: Partial<Metadata> = {}, store = 'rows') =>
  publish(fixture.run.repository, store, daysAgo(days), more);
const check = (level: Check['level'], ok = true): Check => ({ at: now.toISOString(), level, ok });
const stems = async () => (await fixture.run.repository.list()).backups.map(({ stem }) => stem).sort();
const keepLast: Omit<PruneOptions, 'dryRun'> = { policy: { keepLast: 1 }, now };
const pruned = async (options = keepLast) => {
  const planned = await prune(fixture.run, { ...options, dryRun: true });
  const result = await prune(fixture.run, { ...options, dryRun: false });
  expect(result.plan.map(({ keep }) => keep)).toEqual(planned.plan.map(({ keep }) => keep));
  return stems();
};

describe('prune never takes', () => {
  it('the newest, and the newest that is good', async () => {
    const newest = await made(1, { checks: [check('archive', false)] });
    const good = await made(2);
    await made(3);
    expect(await pruned()).toEqual([good, newest].sort());
  });

  it('the newest good one, where a checksum was right after the database was found broken', async () => {
    const newest = await made(1, { checks: [check('content', false), check('checksum')] });
    const good = await made(2);
    expect(await pruned()).toEqual([good, newest].sort());
    const [backup] = (await fixture.run.repository.list()).backups;
    await fixture.run.repository.recordCheck(backup!, check('drill'), fixture.run.signal);
    expect(await pruned()).toEqual([newest]);
  });

  it('the newest verified, by its archive or its content', async () => {
    const newest = await made(1);
    await made(2, { checks: [check('checksum')] });
    const verified = await made(3, { checks: [check('archive')] });
    await made(4, { checks: [check('content')] });
    expect(await pruned()).toEqual([newest, verified].sort());
  });

  it('the newest drilled', async () => {
    const newest = await made(1, { checks: [check('content')] });
    await made(2);
    const drilled = await made(3, { checks: [check('drill')] });
    await made(4, { checks: [check('drill')] });
    expect(await pruned()).toEqual([newest, drilled].sort());
  });

  it('pins', async () => {
    const newest = await made(1);
    await made(2);
    const pins = [await made(3, { pinned: true }), await made(4, { pinned: 'before 1.5' })];
    await made(5, { pinned: false });
    expect(await pruned()).toEqual([newest, ...pins].sort());
  });

  it('members of a set that another store keeps, also where only one store is pruned', async () => {
    const newest = await made(1);
    const member = await made(2, { set_id: 'set-1' });
    const graph = await made(2, { set_id: 'set-1' }, 'graph');
    await made(3, { set_id: 'set-2' });
    expect(await pruned({ ...keepLast, stores: ['rows'] })).toEqual([graph, member, newest].sort());
    expect(await pruned({ ...keepLast, policy: { keepLast: 1, keepSetsWhole: false } })).toEqual(
      [graph, newest].sort(),
    );
  });

  it('safety backups within their time', async () => {
    const newest = await made(1);
    const young = await made(6, { safety: true });
    await made(8, { safety: true });
    expect(await pruned()).toEqual([newest, young].sort());
    const policy = { keepLast: 1, keepSafetyMs: 86_400_000 };
    expect(await pruned({ ...keepLast, policy })).toEqual([newest]);
  });

  it('what is in progress', async () => {
    const newest = await made(1);
    await using publication = await fixture.run.repository.begin('rows', daysAgo(9), 'gzip');
    await publication.file.write(Buffer.from('bytes'));
    expect(await pruned()).toEqual([newest]);
    expect(names()).toContain(`.${publication.archiveName}.partial`);
  });

  it('what has no metadata, or none that can be read, or was not made by pkbackup', async () => {
    const newest = await made(1);
    const broken = await made(8);
    const shorter = await made(9);
    writeFileSync(join(fixture.run.repository.directory, `${broken}.metadata.json`), '{');
    writeFileSync(join(fixture.run.repository.directory, `${shorter}.tar.gz`), 'cut');
    writeFileSync(join(fixture.run.repository.directory, 'rows-backup-20200101-000000.tar.gz'), 'old');
    const ofScripts = JSON.stringify({ backup_file: 'rows-backup-20210101-000000.tar.gz', size_bytes: 3 });
    writeFileSync(join(fixture.run.repository.directory, 'rows-backup-20210101-000000.tar.gz'), 'old');
    writeFileSync(
      join(fixture.run.repository.directory, 'rows-backup-20210101-000000.metadata.json'),
      ofScripts,
    );
    writeFileSync(join(fixture.run.repository.directory, 'notes.txt'), 'mine');
    const before = names();
    expect(await pruned()).toEqual([newest]);
    expect(names()).toEqual(before);
  });

  it('anything where the repository cannot be listed', async () => {
    await made(1);
    await made(2);
    const { repository } = fixture.run;
    const failing = { ...repository, list: () => Promise.reject(new Error('input/output error')) };
    const options = { ...keepLast, dryRun: false };
    await expect(prune({ ...fixture.run, repository: failing }, options)).rejects.toThrow('input/output');
    let calls = 0;
    const failingLater = {
      ...repository,
      list: () => (++calls === 1 ? repository.list() : Promise.reject(new Error('input/output error'))),
    };
    await expect(prune({ ...fixture.run, repository: failingLater }, options)).rejects.toThrow(
      'input/output',
    );
    expect(await stems()).toHaveLength(2);
  });

  it('anything by a policy that keeps nothing', async () => {
    await made(1);
    await made(2);
    for (const policy of [{}, { keepSetsWhole: false, timeZone: 'UTC' }, { keepLast: 0, keepDaily: 0 }]) {
      await expect(prune(fixture.run, { ...keepLast, policy, dryRun: false })).rejects.toThrow(
        'keeps nothing',
      );
    }
    const ofStores = new Map([['rows', { keepSafetyMs: 1 }]]);
    await expect(prune(fixture.run, { ...keepLast, ofStores, dryRun: false })).rejects.toThrow(
      'of store "rows" keeps nothing',
    );
    expect(await stems()).toHaveLength(2);
  });

  it('what another run is working on, nor what it is told to keep meanwhile', async () => {
    await made(1);
    const second = await made(2);
    {
      await using _lock = await fixture.run.repository.lock('rows', {
        command: 'pkbackup backup rows',
        signal: fixture.run.signal,
      });
      await expect(prune(fixture.run, { ...keepLast, dryRun: false })).rejects.toMatchObject({
        code: 'locked',
      });
    }
    const { repository, signal } = fixture.run;
    const backup = (await repository.list()).backups.find(({ stem }) => stem === second);
    const pinnedMeanwhile: Run = {
      ...fixture.run,
      repository: {
        ...repository,
        async lock(...args) {
          await repository.setPinned(backup!, true, signal);
          return repository.lock(...args);
        },
      },
    };
    const { plan } = await prune(pinnedMeanwhile, { ...keepLast, dryRun: false });
    expect(plan.map(({ reasons }) => reasons)).toEqual([['newest', 'last'], ['pinned']]);
    expect(await stems()).toHaveLength(2);
  });
});

describe('a store with a policy of its own', () => {
  it('is pruned by that, and the others by the common one', async () => {
    for (const days of [1, 2, 3, 4]) await made(days);
    for (const days of [1, 2, 3, 4]) await made(days, {}, 'graph');
    const left = await pruned({ ...keepLast, ofStores: new Map([['graph', { keepLast: 3 }]]) });
    expect(left.map((stem) => stem.split('-')[0])).toEqual(['graph', 'graph', 'graph', 'rows']);
  });

  it('that says only how it is treated keeps what a cap has room for', async () => {
    for (const days of [1, 2, 3]) await made(days);
    const ofStores = new Map([['rows', { keepSetsWhole: false }]]);
    expect(await pruned({ ...keepLast, policy: { maxSizeBytes: 10 }, ofStores })).toHaveLength(2);
  });
});

describe('the trash', () => {
  it('gives back what was pruned, and is emptied when its time is over', async () => {
    const kept = await made(1);
    const gone = await made(2);
    await pruned();
    const inTrash = () => readdirSync(join(fixture.run.repository.directory, '.trash')).sort();
    expect(inTrash()).toContain(`${gone}.tar.gz`);
    const later = (days: number) => ({ ...keepLast, now: new Date(now.getTime() + days * 86_400_000) });
    await pruned(later(6.9));
    expect(inTrash()).toHaveLength(3);
    await pruned(later(7));
    expect(inTrash()).toEqual([]);
    expect(await stems()).toEqual([kept]);
  });
});

function names(): string[] {
  return readdirSync(fixture.run.repository.directory)
    .filter((name) => !name.startsWith('.pkbackup') && name !== '.trash')
    .sort();
}
