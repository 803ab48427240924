// Metrics of the real program, read by Prometheus's own promtool (Debian's package): the text, the rules, and what they make of it.
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { execa } from 'execa';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { unpackDebianPackages } from '../debian-packages.ts';
import { makeDirectory, pkbackup, root } from './program.ts';

let promtool: string;
beforeAll(async () => {
  promtool = join(await unpackDebianPackages('prometheus'), 'usr', 'bin', 'promtool');
});

let cwd: string;
beforeEach(() => {
  cwd = join(makeDirectory(), `it's "a b" \\n`);
  for (const directory of ['memory', 'gone', 'collected'])
    mkdirSync(join(cwd, directory), { recursive: true });
  writeFileSync(join(cwd, 'memory', 'note.md'), 'remember');
  writeFileSync(
    join(cwd, 'pkbackup.yaml'),
    `metrics_file: collected/pkbackup.prom
stores:
  memory: { kind: directory, path: memory }
  gone: { kind: directory, path: gone }
`,
  );
});

const collected = () => readFileSync(join(cwd, 'collected', 'pkbackup.prom'), 'utf8');
const metric = (text: string, name: string, label: string) => {
  const line = text.split('\n').find((one) => one.startsWith(`${name}{`) && one.includes(label));
  return line === undefined ? undefined : Number(line.split(' ').at(-1));
};

describe('metrics', () => {
  it('are written after each run, whatever came of it, and promtool finds no fault in them', async () => {
    expect((await pkbackup(['backup'], { cwd })).exitCode).toBe(4);
    expect((await pkbackup(['drill', 'memory'], { cwd })).exitCode).toBe(0);
    const text = collected();
    expect(metric(text, 'pkbackup_backup_failures_total', 'store="gone"')).toBe(1);
    expect(metric(text, 'pkbackup_store_problem', 'store="gone",reason="never_backed_up"')).toBe(1);
    expect(metric(text, 'pkbackup_backup_size_bytes', 'store="memory"')).toBeGreaterThan(100);
    expect(metric(text, 'pkbackup_last_drill_recovery_seconds', 'store="memory"')).toBeGreaterThan(0);
    expect(metric(text, 'pkbackup_run_failures_total', 'command="drill"')).toBe(0);
    const checked = await execa(promtool, ['check', 'metrics'], { input: text, reject: false, all: true });
    expect({ exitCode: checked.exitCode, all: checked.all }).toEqual({ exitCode: 0, all: '' });
    expect(readdirSync(join(cwd, 'collected'))).toEqual(['pkbackup.prom']);
    if (process.platform !== 'win32')
      expect(statSync(join(cwd, 'collected', 'pkbackup.prom')).mode & 0o777).toBe(0o644);
    const printed = (await pkbackup(['metrics'], { cwd })).stdout;
    const withoutTime = (some: string) =>
      some.trimEnd().replaceAll(/^pkbackup_(status_timestamp|repository_(free|used)).*$/gm, '');
    expect(withoutTime(printed)).toBe(withoutTime(text));
  });

  it('that cannot be written are a warning, and the run is as good as it was', async () => {
    rmSync(join(cwd, 'collected'), { recursive: true });
    const { exitCode, stderr } = await pkbackup(['backup', 'memory'], { cwd });
    expect(exitCode).toBe(0);
    expect(stderr).toMatch(/warning: the metrics were not written to ".*pkbackup\.prom": ENOENT/);
  });
});

describe('rules', () => {
  const rules = ['alerts.yml', 'aliases.yml'].map((name) => join(root, 'docs', 'metrics', name));

  it('are good by promtool', async () => {
    const { exitCode, all } = await execa(promtool, ['check', 'rules', ...rules], {
      reject: false,
      all: true,
    });
    expect({ exitCode, all }).toEqual({ exitCode: 0, all: expect.not.stringContaining('FAILED') });
  });

  it('raise the alarm for a store that was not backed up, and give the old names', async () => {
    const labels = '{repository="/b",store="rows"}';
    const tests = {
      rule_files: rules,
      evaluation_interval: '1h',
      tests: [
        {
          interval: '1h',
          input_series: [
            { series: `pkbackup_last_backup_timestamp_seconds${labels}`, values: '0x40' },
            { series: `pkbackup_backup_size_bytes${labels}`, values: '12x40' },
            { series: `pkbackup_backup_failures_total${labels}`, values: '0x10 1x30' },
          ],
          alert_rule_test: [
            { eval_time: '25h', alertname: 'PkbackupNoBackup', exp_alerts: [] },
            {
              eval_time: '26h',
              alertname: 'PkbackupNoBackup',
              exp_alerts: [
                {
                  exp_labels: { severity: 'critical', repository: '/b', store: 'rows' },
                  exp_annotations: { summary: 'rows was backed up 1d 2h 0m 0s ago' },
                },
              ],
            },
            {
              eval_time: '12h',
              alertname: 'PkbackupFailed',
              exp_alerts: [
                {
                  exp_labels: { severity: 'warning', repository: '/b', store: 'rows' },
                  exp_annotations: { summary: 'a backup of rows has failed within six hours' },
                },
              ],
            },
          ],
          promql_expr_test: [
            {
              expr: 'backup_age_seconds',
              eval_time: '5h',
              exp_samples: [{ labels: 'backup_age_seconds{repository="/b"}', value: 18_000 }],
            },
            {
              expr: 'backup_size_bytes',
              eval_time: '5h',
              exp_samples: [
                { labels: 'backup_size_bytes{repository="/b",store="rows",component="rows"}', value: 12 },
              ],
            },
          ],
        },
      ],
    };
    const path = join(cwd, 'tests.yml');
    // YAML takes JSON.
    writeFileSync(path, JSON.stringify(tests));
    const { exitCode, all } = await execa(promtool, ['test', 'rules', path], { reject: false, all: true });
    expect({ exitCode, all }).toEqual({ exitCode: 0, all: expect.stringContaining('SUCCESS') });
  });
});
