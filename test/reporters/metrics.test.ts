// The text format of Prometheus, and that everything which speaks of our metrics means those that there are. Whether the text is
// good is asked of promtool in test/cli/metrics.docker.test.ts.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { StatusResult } from '../../src/operations/status.ts';
import { metricsText } from '../../src/reporters/metrics.ts';

const at = new Date('2026-11-20T12:00:00.500Z');
const docs = join(import.meta.dirname, '..', '..', 'docs');

/** With everything known, so that every metric is there. */
function everything(directory = '/backups'): StatusResult {
  const backup = {
    createdAt: at,
    metadata: { size_bytes: 12, raw_size_bytes: 34, duration_ms: 1500, downtime_ms: 250 },
  };
  const proof = { backup, at, since: at, recoveryMs: 3200 };
  const problem = { store: 'vectors', reason: 'damaged', stems: ['x'] };
  const outcome = {
    type: 'pkbackup-outcome',
    schema_version: 1,
    at: at.toISOString(),
    ok: false,
    failures_total: 2,
  };
  return {
    ok: false,
    at,
    problems: [problem],
    stores: [
      {
        store: 'vectors',
        kind: 'chromadb',
        isExpected: true,
        ok: false,
        problems: [problem],
        backupCount: 3,
        newest: backup,
        newestGood: backup,
        verified: proof,
        drilled: proof,
        sizes: [],
        dueAt: at,
        lastRun: { at, ok: true, failuresTotal: 4 },
        pinned: [],
      },
      {
        store: 'new',
        kind: undefined,
        isExpected: true,
        ok: true,
        problems: [],
        backupCount: 0,
        sizes: [],
        pinned: [],
      },
    ],
    repository: {
      directory,
      ok: false,
      problems: [{ reason: 'nothing_backed_up' }],
      space: { totalBytes: 100, freeBytes: 20, usedPercent: 80 },
      maxUsedPercent: 85,
      backupCount: 3,
      backupBytes: 36,
      trashBytes: 12,
      fullAt: at,
      leftovers: [],
      lastRuns: new Map([['backup', outcome]]),
    },
  } as unknown as StatusResult;
}

const namesIn = (text: string) => [...new Set(text.match(/\bpkbackup_[a-z_]+/g))].sort();

describe('metrics', () => {
  it('are one family each, with their help and type before them', () => {
    const text = metricsText(everything());
    expect(text).toContain(
      [
        '# HELP pkbackup_backup_downtime_seconds How long the store was held for it.',
        '# TYPE pkbackup_backup_downtime_seconds gauge',
        'pkbackup_backup_downtime_seconds{repository="/backups",store="vectors"} 0.25',
        '',
      ].join('\n'),
    );
    expect(text).toContain('pkbackup_backup_failures_total{repository="/backups",store="vectors"} 4\n');
    expect(text).toContain(
      'pkbackup_store_problem{repository="/backups",store="vectors",reason="damaged"} 1\n',
    );
    expect(text).toContain('pkbackup_repository_used_ratio{repository="/backups"} 0.8\n');
    expect(text).toContain(
      `pkbackup_last_backup_timestamp_seconds{repository="/backups",store="vectors"} ${at.getTime() / 1000}\n`,
    );
    const families = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
    expect(new Set(families).size).toBe(families.length);
    expect(text.endsWith('\n')).toBe(true);
  });

  it('leave out what is not known, and never say 0 for it', () => {
    const ofNew = metricsText(everything())
      .split('\n')
      .filter((line) => line.includes('store="new"'))
      .map((line) => line.replace(/\{.*\}/, ''));
    expect(ofNew).toEqual(['pkbackup_store_info 1', 'pkbackup_store_healthy 1', 'pkbackup_backups 0']);
  });

  it('escape what would end a label', () => {
    const text = metricsText(everything('C:\\new "backups"\nof { me }'));
    expect(text).toContain(String.raw`{repository="C:\\new \"backups\"\nof { me }",`);
    expect(text.split('\n').filter((line) => line !== '' && !/^(# |pkbackup_)/.test(line))).toEqual([]);
  });
});

describe('what speaks of them', () => {
  const known = namesIn(metricsText(everything()).replaceAll(/^# HELP.*$/gm, ''));
  const read = (...path: string[]) => readFileSync(join(docs, ...path), 'utf8');

  it('docs/metrics.md has all of them, and no others', () => {
    expect(namesIn(read('metrics.md'))).toEqual(known);
  });

  it.each(['alerts.yml', 'aliases.yml', 'grafana-dashboard.json'])(
    'docs/metrics/%s uses no others',
    (file) => {
      const used = namesIn(read('metrics', file));
      expect(used.length).toBeGreaterThan(3);
      expect(used.filter((name) => !known.includes(name))).toEqual([]);
    },
  );

  it('docs/metrics/aliases.yml has the names of the replaced exporter', () => {
    const records = [...read('metrics', 'aliases.yml').matchAll(/record: (\w+)/g)].map(([, name]) => name);
    expect(records).toEqual([
      'backup_age_seconds',
      'backup_size_bytes',
      'backup_duration_seconds',
      'backup_failures_total',
    ]);
  });
});
