import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { deadDocker, lines, makeDirectory, pkbackup, type Ran } from './program.ts';

const config = 'stores:\n  events: { kind: sqlite, path: events.db }\n';

function expectOneError({ stdout, stderr }: Ran, expected: string): void {
  expect(stdout).toBe('');
  const errors = lines(stderr).filter((line) => line.startsWith('error: '));
  expect(errors).toHaveLength(1);
  expect(errors[0]).toContain(expected);
  expect(stderr).not.toContain('    at ');
}

describe('a store that is not there', () => {
  it('is exit code 3, with the near name', async () => {
    const cwd = makeDirectory({ 'pkbackup.yaml': config });
    for (const command of ['list', 'prune']) {
      const ran = await pkbackup([command, 'event', ...(command === 'prune' ? ['--yes'] : [])], { cwd });
      expect(ran.exitCode).toBe(3);
      expectOneError(ran, 'no such store: "event", did you mean "events"?');
    }
  });

  it('is Docker that is not there, where Docker might have it', async () => {
    const cwd = makeDirectory({ 'pkbackup.yaml': config });
    const ran = await pkbackup(['backup', 'event'], { cwd });
    expect(ran.exitCode).toBe(2);
    expectOneError(ran, 'Docker is not reachable');
  });
});

describe('a backup that is not there', () => {
  it.each([
    ['verify', ['verify', 'events@1']],
    ['verify without a name', ['verify']],
    ['restore', ['restore', 'events@1', '--yes']],
  ])('is exit code 3 for %s', async (_what, args) => {
    const ran = await pkbackup(args, { cwd: makeDirectory({ 'pkbackup.yaml': config }) });
    expect(ran.exitCode).toBe(3);
    expectOneError(ran, 'there is no backup');
  });
});

describe('Docker that is not there', () => {
  it('is exit code 2, with the address that was tried', async () => {
    const ran = await pkbackup(['backup']);
    expect(ran.exitCode).toBe(2);
    expectOneError(ran, deadDocker);
  });

  it('is not needed for stores of this machine', async () => {
    const cwd = makeDirectory({ 'pkbackup.yaml': config });
    const { exitCode, stderr } = await pkbackup(['backup'], { cwd });
    expect(exitCode).not.toBe(2);
    expect(stderr).not.toContain('Docker');
  });
});

describe('a wrong config file', () => {
  it('is exit code 78, with a line for each mistake', async () => {
    const text =
      'repositry: x\nstores:\n  a: { kind: sqlit, path: x }\n  b: { kind: directory, paht: y, path: x }\n';
    const { exitCode, stdout, stderr } = await pkbackup(['list'], {
      cwd: makeDirectory({ 'pkbackup.yaml': text }),
    });
    expect({ exitCode, stdout }).toEqual({ exitCode: 78, stdout: '' });
    expect(lines(stderr).slice(0, 3)).toEqual([
      'error: pkbackup.yaml:1: repositry: unknown key, did you mean "repository"?',
      expect.stringMatching(
        /^error: pkbackup\.yaml:3: stores\.a\.kind: expected one of .*, did you mean "sqlite"\?$/,
      ),
      'error: pkbackup.yaml:4: stores.b.paht: unknown key, did you mean "path"?',
    ]);
  });

  it.each([
    ['broken YAML', 'a: 1\nb: "x\n', 'pkbackup.yaml:'],
    ['a list', '- a\n- b\n', 'pkbackup.yaml:1: expected a mapping'],
    ['a text', 'stores\n', 'pkbackup.yaml:1: expected a mapping'],
  ])('may be %s', async (_what, text, expected) => {
    const ran = await pkbackup(['list'], { cwd: makeDirectory({ 'pkbackup.yaml': text }) });
    expect(ran.exitCode).toBe(78);
    expectOneError(ran, expected);
  });

  it('may be one that is not there, or two', async () => {
    const missing = await pkbackup(['list', '--config', 'nope.yaml']);
    expect(missing.exitCode).toBe(78);
    expectOneError(missing, 'no such config file: "nope.yaml"');
    const both = await pkbackup(['list'], {
      cwd: makeDirectory({ 'pkbackup.yaml': '', 'pkbackup.yml': '' }),
    });
    expect(both.exitCode).toBe(78);
    expectOneError(both, 'both pkbackup.yaml and pkbackup.yml are here');
  });
});

describe('with --json and --events', () => {
  it('an error is also a document on stdout', async () => {
    const { stdout, exitCode } = await pkbackup(['verify', 'events@1', '--json']);
    expect(JSON.parse(stdout).error).toMatchObject({ code: 'not_found', exit_code: exitCode });
    const { stdout: asLine } = await pkbackup(['verify', 'events@1', '--events']);
    expect(JSON.parse(asLine)).toMatchObject({ type: 'error', error: { code: 'not_found' } });
  });

  it('a broken command line is one too', async () => {
    const { stdout } = await pkbackup(['list', '--json', '--nonsense']);
    expect(JSON.parse(stdout).error).toMatchObject({ code: 'usage', exit_code: 64 });
  });
});

describe('the repository', () => {
  it('that cannot be read is an error, never an empty one', async () => {
    const cwd = makeDirectory();
    writeFileSync(join(cwd, 'backups'), 'a file');
    const ran = await pkbackup(['list'], { cwd });
    expect(ran.exitCode).toBe(1);
    expectOneError(ran, 'cannot be read');
  });

  it('is where the flag says, then the environment, then .env, then the config file', async () => {
    const cwd = makeDirectory({ 'pkbackup.yaml': 'repository: from-config\n', '.env': '' });
    const listed = async (args: string[], env = {}) =>
      (await pkbackup(['list', ...args], { cwd, env })).stdout;
    expect(await listed([])).toContain('./from-config');
    writeFileSync(join(cwd, '.env'), 'BACKUP_DIR=from-env-file\n');
    expect(await listed([])).toContain('./from-env-file');
    expect(await listed([], { BACKUP_DIR: 'from-env' })).toContain('./from-env ');
    expect(await listed(['--backup-dir', 'from-flag'], { BACKUP_DIR: 'from-env' })).toContain('./from-flag');
  });
});
