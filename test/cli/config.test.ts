import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { lines, makeDirectory, pkbackup } from './program.ts';

const good = `repository: ./backups
retention: { keep_daily: 7 }
stores:
  events: { kind: sqlite, path: events.db, compression: zstd, compression_level: 19 }
  rows: { kind: postgres, container: rows, user: pk, password_env: DB_PASSWORD }
  files: { kind: volume, volume: "x-\${DB_PASSWORD}-y" }
`;

const errorsOf = ({ stderr }: { stderr: string }) =>
  lines(stderr).filter((line) => line.startsWith('error: '));

describe('config check', () => {
  it('finds nothing wrong in a good file, without Docker and without making anything', async () => {
    const cwd = makeDirectory({ 'pkbackup.yaml': good, '.env': 'DB_PASSWORD=secret-1\n', 'events.db': '' });
    const ran = await pkbackup(['config', 'check'], { cwd });
    expect(ran).toEqual({ exitCode: 0, stdout: 'pkbackup.yaml is good: 3 stores', stderr: '' });
    expect(existsSync(join(cwd, 'backups'))).toBe(false);
  });

  it('names all mistakes at once, each with its line: keys, values, variables, secrets, levels, the environment', async () => {
    const cwd = makeDirectory({
      'pkbackup.yaml': `repositry: ./backups
compression_level: 12
stores:
  events: { kind: sqlite, path: "\${NOWHERE}" }
  rows: { kind: postgres, container: rows, password_env: NO_PASSWORD }
  graph: { kind: falkordb, container: graph, password_file: ./no-such-file }
  a: { kind: sqlit, path: x }
  memory:
    kind: directory
    path: ./memory
    compression: zstd
    compression_level: 23
`,
    });
    const env = { RETENTION_DAYS: 'many' };
    const ran = await pkbackup(['config', 'check'], { cwd, env });
    expect(ran.exitCode).toBe(78);
    expect(ran.stdout).toBe('pkbackup.yaml: 8 mistakes');
    expect(errorsOf(ran).map((line) => line.slice('error: '.length))).toEqual([
      'pkbackup.yaml:1: repositry: unknown key, did you mean "repository"?',
      'pkbackup.yaml:2: compression_level: expected 1 to 9 for gzip, got 12',
      'pkbackup.yaml:4: stores.events.path: the variable "NOWHERE" is not set',
      'pkbackup.yaml:5: stores.rows.password_env: the environment variable "NO_PASSWORD" is not set',
      expect.stringMatching(/^pkbackup.yaml:6: stores.graph.password_file: cannot read the secret file/),
      expect.stringMatching(/^pkbackup.yaml:7: stores.a.kind: expected one of .* did you mean "sqlite"\?$/),
      'pkbackup.yaml:12: stores.memory.compression_level: expected at most 22, got 23',
      'environment: RETENTION_DAYS: expected a number of days, got "many"',
    ]);
    expect(ran.stderr).toContain('warning: pkbackup.yaml:10: stores.memory.path: ');
    const { stdout } = await pkbackup(['config', 'check', '--json'], { cwd, env });
    const answer = JSON.parse(stdout);
    expect(answer).toMatchObject({ ok: false, file: 'pkbackup.yaml' });
    expect(answer.mistakes[1]).toMatchObject({ line: 2, key: 'compression_level' });
  });

  it('needs a file', async () => {
    const ran = await pkbackup(['config', 'check']);
    expect(ran).toMatchObject({ exitCode: 78, stderr: expect.stringContaining('pkbackup init') });
  });
});

describe('config show', () => {
  it('says of each setting what counts and who said it, and shows no secret', async () => {
    const cwd = makeDirectory({ 'pkbackup.yaml': good, '.env': 'DB_PASSWORD=secret-1\nBACKUP_DIR=there\n' });
    const shown = async (args: string[] = [], env: Record<string, string> = {}) =>
      JSON.parse((await pkbackup(['config', 'show', '--json', ...args], { cwd, env })).stdout);
    const settingOf = (answer: { settings: { key: string }[] }, key: string) =>
      answer.settings.find((setting) => setting.key === key);
    const answer = await shown();
    expect(settingOf(answer, 'repository')).toMatchObject({
      value: join(cwd, 'there'),
      from: 'BACKUP_DIR (.env)',
    });
    expect(settingOf(answer, 'retention')).toMatchObject({
      value: '{ keep_daily: 7 }',
      from: 'pkbackup.yaml:2',
    });
    expect(settingOf(answer, 'compression')).toMatchObject({ value: 'gzip', from: 'default' });
    expect(settingOf(answer, 'after_backup')).toMatchObject({ value: 'nothing', from: 'default' });
    const [events, rows, files] = answer.stores;
    expect(events.settings).toContainEqual({
      key: 'compression_level',
      value: '19',
      from: 'pkbackup.yaml:4',
    });
    expect(events.settings).toContainEqual({ key: 'quiesce', value: 'none', from: 'default of sqlite' });
    expect(rows.settings).toContainEqual({
      key: 'password_env',
      value: 'DB_PASSWORD ([redacted])',
      from: 'pkbackup.yaml:5',
    });
    expect(files.settings).toContainEqual({
      key: 'volume',
      value: 'x-[redacted]-y',
      from: 'pkbackup.yaml:6',
    });

    const nearer = await shown(['--backup-dir', 'flag'], {
      BACKUP_DIR: 'env',
      KEEP_LAST: '3',
      RETENTION_DAYS: '9',
    });
    expect(settingOf(nearer, 'repository')).toMatchObject({ value: join(cwd, 'flag'), from: '--backup-dir' });
    expect(settingOf(nearer, 'retention')).toMatchObject({
      value: '{ keep_last: "3", retention_days: "9" }',
      from: 'KEEP_LAST (environment), RETENTION_DAYS (environment)',
    });
    const text = await pkbackup(['config', 'show'], { cwd });
    expect(text.stdout).toMatch(/^settings\n {2}repository +\/.*there +BACKUP_DIR \(\.env\)\n/);
    expect(text.stdout).toMatch(/\nrows\n {2}kind +postgres +pkbackup\.yaml:5\n/);
    for (const { stdout, stderr } of [text]) expect(stdout + stderr).not.toContain('secret-1');
    expect(JSON.stringify([answer, nearer])).not.toContain('secret-1');
  });

  it('shows the defaults where there is no file, and no more than the mistakes where there are some', async () => {
    const cwd = makeDirectory();
    const none = await pkbackup(['config', 'show'], { cwd });
    expect(none.stdout).toMatch(/retention +\{ keep_within: 30d \} +default/);
    writeFileSync(join(cwd, 'pkbackup.yaml'), 'repositry: x\n');
    const wrong = await pkbackup(['config', 'show'], { cwd });
    expect(wrong).toMatchObject({ exitCode: 78, stdout: '' });
  });
});
