import { describe, expect, it } from 'vitest';
import { PkbackupError } from '../../src/errors.ts';
import type { BackupResult } from '../../src/operations/backup.ts';
import type { ListedBackup, ListResult } from '../../src/operations/list.ts';
import type { PruneResult } from '../../src/operations/prune.ts';
import type { ConfirmedPlan } from '../../src/operations/restore.ts';
import type { StoreStatus } from '../../src/operations/status.ts';
import { backupJson, backupText } from '../../src/reporters/backup-result.ts';
import { drillJson, drillText } from '../../src/reporters/drill-result.ts';
import { listJson, listText } from '../../src/reporters/list-result.ts';
import { paintFor } from '../../src/reporters/palette.ts';
import { pruneText } from '../../src/reporters/prune-result.ts';
import { restorePlanJson, restorePlanText, restoreText } from '../../src/reporters/restore-result.ts';
import { statusJson, statusText } from '../../src/reporters/status-result.ts';
import { verifyJson, verifyText } from '../../src/reporters/verify-result.ts';

type Backup = ListedBackup['backup'];

const MB = 1_000_000;
const now = new Date('2026-11-20T09:00:00Z');
const look = { paint: paintFor(false), width: 120, now };

function backup(store: string, hoursAgo: number, more: Partial<Backup['metadata']> = {}): Backup {
  const createdAt = new Date(now.getTime() - hoursAgo * 3_600_000);
  const stem = `${store}-backup-${hoursAgo}h`;
  return {
    stem,
    store,
    path: `/b/${stem}.tar.gz`,
    createdAt,
    isDamaged: more.checks?.at(-1)?.ok === false,
    metadata: {
      schema_version: 1,
      backup_file: `${stem}.tar.gz`,
      created_at: createdAt.toISOString(),
      store,
      kind: 'chromadb',
      set_id: 'set-1',
      source: {},
      quiesce: 'stop',
      downtime_ms: 4100,
      size_bytes: 559 * MB,
      raw_size_bytes: 839 * MB,
      sha256: '0'.repeat(64),
      counts: { collections: 2, records: 420 },
      checks: [],
      ...more,
    },
  };
}

const configured = (name: string) => ({ name, kind: 'chromadb', target: {} }) as const;
const made = {
  store: configured('vectors'),
  ok: true,
  backup: backup('vectors', 0),
  durationMs: 12_800,
} as const;
const failed = {
  store: configured('graph'),
  ok: false,
  error: new PkbackupError('backup_failed', 'no space', { hint: 'make room' }),
} as const;
const around = { repository: './backups', freeBytes: 41_200 * MB, exitCode: 0 };

describe('the answer of backup', () => {
  it('is a table and a line that sums it up', () => {
    const result: BackupResult = { setId: 'set-1', durationMs: 14_300, stores: [made] };
    expect(backupText(result, around, look)).toEqual([
      '1 store · repository ./backups (41 GB free)',
      '',
      '  vectors  chromadb  held 4.1 s  839 MB -> 559 MB  12.8 s  2 collections, 420 records',
      '',
      'set set-1 · 1 of 1 store backed up · 14.3 s · 559 MB',
    ]);
  });

  it('says which store failed, and the exit code', () => {
    const result: BackupResult = { setId: 'set-1', durationMs: 14_300, stores: [made, failed] };
    const lines = backupText(result, { ...around, exitCode: 4 }, look);
    expect(lines).toContain('  graph    chromadb  failed');
    expect(lines.at(-1)).toBe('set set-1 · 1 of 2 stores backed up · 14.3 s · 559 MB · exit 4');
    expect(backupJson(result)).toMatchObject({
      ok: false,
      stores: [
        { store: 'vectors', ok: true, backup: { stem: 'vectors-backup-0h', size_bytes: 559 * MB } },
        { store: 'graph', ok: false, error: { code: 'backup_failed', message: 'no space' } },
      ],
    });
  });

  it('never calls a dry run a backup', () => {
    const looked = { source: {}, counts: { files: 1 }, volumes: [], isEmpty: false, estimatedBytes: 5 * MB };
    const dry = { store: configured('vectors'), ok: true, look: looked, quiesce: 'stop' } as const;
    const first = { ...dry, expected: undefined };
    const lines = backupText({ setId: 's', durationMs: 1, stores: [first] }, around, look);
    expect(lines[2]).toContain('would stop  about 5.0 MB');
    expect(lines.at(-1)).toBe('dry run: 1 of 1 store can be backed up; nothing was written');
    expect(lines.join('\n')).not.toContain('backed up ·');
  });

  it('says in a dry run what it will take', () => {
    const looked = { source: {}, counts: {}, volumes: [], isEmpty: false, estimatedBytes: 5 * MB };
    const known = { sizeBytes: 3 * MB, durationMs: 12_800, downtimeMs: 4100, backups: 5 };
    const dry = { store: configured('vectors'), ok: true, look: looked, quiesce: 'stop' } as const;
    const expected = { sizeBytes: 3 * MB, durationMs: 12_800, heldMs: 700, unknown: 1 };
    const stores = [
      { ...dry, expected: known },
      { ...dry, store: configured('graph'), expected: undefined },
    ];
    const result = { setId: 's', durationMs: 1, stores, expected };
    const lines = backupText(result, around, look);
    expect(lines[2]).toBe('  vectors  chromadb  would stop for about 4.1 s  about 3.0 MB  about 12.8 s');
    expect(lines.at(-1)).toBe(
      'dry run: 2 of 2 stores can be backed up in about 12.8 s, about 3.0 MB, clients held about 0.7 s (but for 1 store that nothing is known of); nothing was written',
    );
    expect(backupJson(result)).toMatchObject({
      expected: { duration_ms: 12_800, held_ms: 700, unknown_stores: 1 },
      stores: [{ expected: { downtime_ms: 4100 } }, { store: 'graph' }],
    });
  });
});

describe('the answer of list', () => {
  const listed = (reference: string, of: Backup): ListedBackup => ({ reference, backup: of });
  const check = (level: 'archive' | 'drill', ok: boolean) => {
    return [{ at: '2026-11-20T07:00:00Z', level, ok }];
  };
  const result: ListResult = {
    stores: [
      {
        store: 'vectors',
        backups: [
          listed('vectors@1', backup('vectors', 6, { checks: check('drill', true) })),
          listed('vectors@pre-restore', backup('vectors', 7, { safety: true, size_bytes: 96_000 })),
          listed(
            'vectors@2',
            backup('vectors', 30, { checks: check('archive', false), pinned: 'before 1.5' }),
          ),
        ],
      },
    ],
    leftovers: [
      { name: '.x.partial', reason: 'it was never finished', state: 'unfinished' },
      { name: 'y.tar.gz', reason: 'it is too short', state: 'damaged' },
    ],
    old: [],
  };

  it('shows the name to type, the time, the age, the size and what proves it', () => {
    const lines = listText(result, './backups', look);
    expect(lines[0]).toBe('vectors (chromadb)');
    expect(lines[1]).toMatch(
      /^ {2}@1 {12}\d{4}-\d\d-\d\d \d\d:\d\d {2}6 h ago {2}559 MB {2}drilled 2 h ago +set set-1$/,
    );
    expect(lines[2]).toMatch(/^ {2}@pre-restore .* 96 kB {2}not verified +before a restore$/);
    expect(lines[3]).toMatch(/^ {2}@2 .*DAMAGED \(found 2 h ago\) {2}pinned "before 1\.5", set set-1$/);
  });

  it('says what it leaves out, and how to see it', () => {
    const [vectors] = result.stores;
    const others = { count: 1980, oldest: new Date('2020-01-01T12:00:00Z') };
    const lines = listText({ ...result, stores: [{ ...vectors!, others }] }, './backups', look);
    expect(lines[4]).toMatch(
      /^ {2}and 1980 more, back to 2020-01-0\d \d\d:\d\d \(pkbackup list vectors --all\)$/,
    );
  });

  it('shows what is no whole backup', () => {
    expect(listText(result, './backups', look).slice(-3)).toEqual([
      'not a whole backup, in ./backups:',
      '  unfinished  .x.partial  it was never finished',
      '  DAMAGED     y.tar.gz    it is too short',
    ]);
  });

  it('says so where there is nothing', () => {
    expect(listText({ stores: [], leftovers: [], old: [] }, './backups', look)).toEqual([
      'no backups in ./backups (make the first with: pkbackup backup)',
    ]);
  });

  it('is exact in JSON', () => {
    expect(listJson(result)).toMatchObject({
      stores: [{ store: 'vectors', backups: [{ reference: 'vectors@1', size_bytes: 559 * MB }, {}, {}] }],
      leftovers: [{ name: '.x.partial' }, { state: 'damaged' }],
    });
  });

  it('cannot be made to steer the terminal by what a repository holds', () => {
    const evil = backup('vectors', 1, { set_id: '\u001b[2Jset', pinned: 'a\nb' });
    const lines = listText(
      { stores: [{ store: 'v\u001b[1mx', backups: [listed('v@1', evil)] }], leftovers: [], old: [] },
      '.',
      look,
    );
    expect(lines.join('')).not.toMatch(/[\u001b\n]/);
  });
});

describe('the answer of status', () => {
  const facts = {
    kind: 'chromadb',
    isExpected: true,
    ok: true,
    problems: [],
    backupCount: 1,
    sizes: [],
    pinned: [],
  } as const;
  const repository = {
    directory: '/b',
    ok: true,
    problems: [],
    space: { totalBytes: 2e11, freeBytes: 4.12e10, usedPercent: 50 },
    maxUsedPercent: 85,
    backupCount: 2,
    backupBytes: 1117 * MB,
    trashBytes: 0,
    leftovers: [],
    lastRuns: new Map(),
  } as const;
  const newest = backup('vectors', 6);
  const vectors: StoreStatus = {
    ...facts,
    store: 'vectors',
    newest,
    newestGood: newest,
    verified: { backup: newest, at: now, since: now },
    drilled: {
      backup: backup('vectors', 30),
      at: new Date(now.getTime() - 9e7),
      since: now,
      recoveryMs: 3200,
    },
    sizes: [
      { at: now, bytes: 559 * MB },
      { at: now, bytes: 500 * MB },
    ],
    pinned: [newest],
  };
  const events: StoreStatus = {
    ...facts,
    store: 'events',
    ok: false,
    problems: [{ store: 'events', reason: 'never_backed_up' }],
  };

  it('has a line for each store, and each problem with what to do about it', () => {
    const result = { ok: false, at: now, stores: [vectors, events], repository, problems: events.problems };
    const lines = statusText(result, './backups', look);
    expect(lines).toEqual([
      '2 stores · repository ./backups (1.1 GB, 41 GB free)',
      '',
      expect.stringMatching(
        /^ {2}vectors {3}chromadb {2}6 h ago {10}559 MB {2}\+12 % {2}verified just now, drilled 1 d ago, 3.2 s \(of 2026-11-19 .*\) {2}1 pinned$/,
      ),
      '  ! events  chromadb  never backed up',
      '',
      '1 thing not as it should be:',
      '  events: it was never backed up',
      '    hint: make the first backup with: pkbackup backup events',
    ]);
    expect(statusJson(result)).toMatchObject({
      ok: false,
      at: '2026-11-20T09:00:00.000Z',
      problems: [{ reason: 'never_backed_up', store: 'events', hint: expect.any(String) }],
      repository: { free_bytes: 4.12e10, used_percent: 50 },
      stores: [
        { store: 'vectors', newest_good: { age_seconds: 21_600 }, drilled: { recovery_ms: 3200 } },
        { store: 'events', reasons: ['never_backed_up'], newest_good: null },
      ],
    });
  });

  it('says in one line that nothing is wrong', () => {
    const result = { ok: true, at: now, stores: [vectors], repository, problems: [] };
    expect(statusText(result, './backups', look).at(-1)).toBe('all is as it should be');
  });
});

describe('the answer of verify', () => {
  const verified = { level: 'content', notChecked: [], foundBy: undefined, durationMs: 3200 } as const;
  const good = { ...verified, name: 'a', path: '/b/a', backup: backup('a', 1), ok: true, findings: [] };
  const bad = {
    ...verified,
    name: '/tmp/x.tar.gz',
    path: '/tmp/x.tar.gz',
    backup: undefined,
    ok: false,
    findings: ['the checksum is wrong'],
    notChecked: ['the content'],
  };

  it('has a verdict for each backup, and every finding', () => {
    expect(verifyText({ ok: false, backups: [good, bad] }, look)).toEqual([
      'good     a              content  559 MB  3.2 s',
      'DAMAGED  /tmp/x.tar.gz  content          3.2 s',
      '  - the checksum is wrong',
      '  - not checked: the content',
      '1 of 2 backups good',
    ]);
  });

  it('keeps findings as a list in JSON', () => {
    expect(verifyJson({ ok: false, backups: [bad] })).toMatchObject({
      ok: false,
      backups: [{ ok: false, findings: ['the checksum is wrong'], not_checked: ['the content'] }],
    });
  });
});

describe('the answer of drill', () => {
  const good = {
    backup: backup('vectors', 1),
    ok: true,
    findings: [],
    foundBy: undefined,
    notChecked: [],
    counts: { collections: 2, records: 420 },
    asked: 1,
    recoveryMs: 3200,
    durationMs: 4000,
    image: { name: 'chroma:1.0', isOther: false },
  } as const;
  const findings = ['the server does not come up; it said: panicked'];
  const bad = {
    ...good,
    backup: backup('graph', 2),
    ok: false,
    findings,
    foundBy: 'drill',
    recoveryMs: undefined,
  } as const;
  const failure = {
    backup: backup('rows', 3),
    ok: false,
    error: new PkbackupError('not_found', 'no image'),
  } as const;

  it('has a line for each backup, the findings, and the time in all', () => {
    expect(drillText({ ok: false, drills: [good, bad, failure], durationMs: 9000 }, look)).toEqual([
      'good         vectors-backup-1h  back in 3.2 s   2 collections, 420 records, 1 answer as before',
      'DAMAGED      graph-backup-2h    found by drill',
      '  - the server does not come up; it said: panicked',
      'not drilled  rows-backup-3h',
      '1 of 3 backups came back as good · recovery 3.2 s in all · 9.0 s with all checks',
    ]);
  });

  it('answers in one line whether it comes up under another image', () => {
    const image = { name: 'chroma:9', isOther: true };
    const [, yes] = drillText({ ok: true, drills: [{ ...good, image }], durationMs: 9000 }, look);
    expect(yes).toBe('yes: vectors-backup-1h comes up under chroma:9, with all that it had, in 3.2 s');
    const text = drillText({ ok: false, drills: [{ ...bad, image }], durationMs: 9000 }, look);
    expect(text).toContain(`no: graph-backup-2h does not come back under chroma:9: ${findings[0]}`);
    expect(text.join()).not.toContain('DAMAGED');
  });

  it('is exact in JSON, a failure with its reason', () => {
    expect(drillJson({ ok: false, drills: [good, failure], durationMs: 9000 })).toMatchObject({
      ok: false,
      recovery_ms: 3200,
      duration_ms: 9000,
      drills: [
        { name: 'vectors-backup-1h', ok: true, samples_asked: 1, recovery_ms: 3200, image: 'chroma:1.0' },
        { name: 'rows-backup-3h', ok: false, error: { code: 'not_found', exit_code: 3 } },
      ],
    });
  });
});

describe('restore', () => {
  const plan: ConfirmedPlan = {
    backup: backup('vectors', 30),
    target: 'volume "pk_chroma"',
    replaces: true,
    beside: false,
    keepsPrevious: true,
    presentBytes: 841 * MB,
    presentCounts: { collections: 2, records: 431 },
    neededBytes: 2300 * MB,
    freeBytes: 41_000 * MB,
    volumes: ['pk_chroma'],
    stops: ['pk-chroma-1'],
    holds: [],
    downtime: { ms: 1500, from: 'its kind' },
  };

  const week = 7 * 24 * 3_600_000;

  it('shows what is replaced, what stops, what is kept and what is needed', () => {
    const lines = restorePlanText(plan, look, week);
    expect(lines[0]).toBe('vectors <- vectors-backup-30h.tar.gz');
    expect(lines[2]).toBe(
      '  replaces  volume "pk_chroma" (841 MB, 2 collections, 431 records; 11 records more than the backup)',
    );
    expect(lines.slice(4, 7)).toEqual([
      '  stops     pk-chroma-1, for about 1.5 s (as is usual for its kind)',
      '  keeps     the present data as vectors@pre-restore, for 7 days',
      '  needs     2.3 GB, 41 GB there',
    ]);
    expect(restorePlanJson(plan)).toMatchObject({
      dry_run: true,
      stops: ['pk-chroma-1'],
      holds: [],
      used_by: [],
      downtime_ms: 1500,
      downtime_from: 'its kind',
      safety_backup: 'vectors@pre-restore',
    });
  });

  it('shows who is at the data, and who is held', () => {
    const busy = { ...plan, usedBy: ['3 connections to "app" from "api"'], holds: ['api-1', 'web-1'] };
    const before = { ...busy, downtime: { ms: 6100, from: 'earlier restores' } } as const;
    expect(restorePlanText(before, look).slice(4, 8)).toEqual([
      '  used by   3 connections to "app" from "api"',
      '  stops     pk-chroma-1, for about 6.1 s (as before)',
      '  holds     api-1, web-1, until the restored data has proved itself',
      '  keeps     the present data as vectors@pre-restore, until it is removed',
    ]);
    const { downtime: _, ...idle } = { ...plan, stops: [] };
    expect(restorePlanText(idle, look)[4]).toBe('  stops     nobody: no container runs on it');
  });

  it('says that nothing is replaced beside, and that nothing is kept without a safety backup', () => {
    expect(restorePlanText({ ...plan, replaces: false }, look)[2]).toContain('(nothing is there now)');
    expect(restorePlanText({ ...plan, keepsPrevious: false }, look).join('\n')).toContain(
      'is gone afterwards',
    );
  });

  it('ends with what was checked, how long it was down, and how to go back', () => {
    const result = {
      backup: plan.backup,
      target: plan.target,
      counts: { collections: 2 },
      clients: [],
      clientsDowntimeMs: 0,
      downtimeMs: 5600,
      durationMs: 12_000,
      safetyBackup: backup('vectors', 0),
    };
    expect(restoreText(result, look)).toEqual([
      'vectors is restored to volume "pk_chroma" in 12.0 s, down 5.6 s',
      '  checked   2 collections',
      '  previous  kept; to go back: pkbackup restore vectors --rollback',
    ]);
    const clients = [{ name: 'api' }, { name: 'web', problem: 'it ended' }];
    expect(restoreText({ ...result, clients, clientsDowntimeMs: 7000 }, look)[2]).toBe(
      '  clients   api, web (does not serve), down 7.0 s',
    );
  });
});

describe('prune', () => {
  const planned = (hoursAgo: number, keep: boolean, reason: string) => {
    const of = backup('vectors', hoursAgo);
    return { id: of.stem, store: 'vectors', keep, removed: false, reasons: [reason], backup: of };
  };
  const plan = [planned(6, true, 'newest'), planned(3000, false, 'no rule keeps it')];
  const result: PruneResult = { plan, dryRun: true, freedBytes: 559 * MB };

  it('gives every backup its reason, and says what would come back', () => {
    const lines = pruneText(result, 'pkbackup.yaml', look);
    expect(lines[0]).toBe('vectors');
    expect(lines[1]).toMatch(/^ {2}keep {4}.* 559 MB {2}newest$/);
    expect(lines[2]).toMatch(/^ {2}remove {2}.* 559 MB {2}no rule keeps it$/);
    expect(lines.at(-1)).toBe('1 of 2 backups would be moved to the trash, 559 MB · policy: pkbackup.yaml');
  });

  it('says "trashed" only of what is in the trash', () => {
    const done = {
      ...result,
      dryRun: false,
      plan: plan.map((entry) => ({ ...entry, removed: !entry.keep })),
    };
    expect(pruneText(done, 'flags', look)[2]).toContain('trashed');
    expect(pruneText(done, 'flags', look).at(-1)).toBe(
      '1 of 2 backups moved to the trash, 559 MB (pkbackup undelete brings one back) · policy: flags',
    );
    expect(pruneText(result, 'flags', look).join('\n')).not.toContain('trashed');
  });
});
