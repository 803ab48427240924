import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { describe, expect, it } from 'vitest';
import { lines, makeDirectory, pkbackup, root, shim, shimOfSources } from './program.ts';

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

describe('pkbackup --version', () => {
  it('prints the version and nothing else', async () => {
    expect(await pkbackup(['--version'])).toEqual({ exitCode: 0, stdout: version, stderr: '' });
    expect(await pkbackup(['-V'])).toEqual({ exitCode: 0, stdout: version, stderr: '' });
  });

  it('loads nothing that it does not need', async () => {
    const { stderr } = await execa(process.execPath, [shim, '--version'], {
      env: { NODE_DEBUG: 'esm' },
    });
    expect(stderr).toContain('pkbackup.js');
    expect(stderr).not.toMatch(/program-|commander|zod|dockerode|config/);
  });

  it('runs from the sources too, as they lie in a clone', async () => {
    const { stdout } = await execa(process.execPath, [shimOfSources, '--version']);
    expect(stdout).toBe(version);
    const overview = await execa(process.execPath, [shimOfSources], { cwd: makeDirectory() });
    expect(overview.stdout).toContain('nothing is backed up yet');
  });
});

describe('the help', () => {
  it('of the program shows the commands, examples, and the exit codes of docs/exit-codes.md', async () => {
    const { exitCode, stdout } = await pkbackup(['--help']);
    expect(exitCode).toBe(0);
    const inHelp = lines(stdout.slice(stdout.indexOf('Exit codes:')))
      .slice(1)
      .map((line) => line.trim().split(/ {2,}/));
    const page = readFileSync(join(root, 'docs', 'exit-codes.md'), 'utf8');
    const inPage = [...page.matchAll(/^\| (\d+) +\| (.*?) +\|$/gm)].map(([, code, meaning]) => [
      code,
      meaning,
    ]);
    expect(inHelp.length).toBeGreaterThan(10);
    expect(inHelp).toEqual(inPage);
    expect(stdout).toContain('Examples:');
    expect(stdout).not.toContain('overview');
  });

  it.each([
    'backup',
    'list',
    'verify',
    'restore',
    'prune',
    'pin',
    'unpin',
    'undelete',
    'status',
    'guard',
    'schedule',
    'run',
    'metrics',
  ])(
    'of %s has two or three examples of that command, and the flags that every command has',
    async (command) => {
      const { exitCode, stdout } = await pkbackup([command, '--help']);
      expect(exitCode).toBe(0);
      const examples = lines(stdout.slice(stdout.indexOf('Examples:'))).slice(1);
      expect(examples.length).toBeGreaterThanOrEqual(2);
      for (const example of examples) expect(example).toContain(`pkbackup ${command}`);
      for (const flag of ['--config', '--backup-dir', '--json', '--quiet']) expect(stdout).toContain(flag);
      expect((await pkbackup(['help', command])).stdout).toBe(stdout);
    },
  );
});

describe('wrong usage is one line, a hint, and exit code 64', () => {
  it.each([
    ['a mistyped command', ['bakcup', '--dry-run'], 'unknown command "bakcup", did you mean "backup"?'],
    ['a command that nobody knows', ['frobnicate'], 'unknown command "frobnicate"'],
    ['help for it', ['help', 'lits'], 'unknown command "lits", did you mean "list"?'],
    ['a mistyped flag', ['list', '--jsno'], 'unknown option "--jsno", did you mean "--json"?'],
    [
      'a mistyped flag of all commands, alone',
      ['--qiet'],
      'unknown option "--qiet", did you mean "--quiet"?',
    ],
    ['a flag without its value', ['list', '--config'], 'option "--config <FILE>" argument missing'],
    ['a value that is none of the known', ['verify', '--level', 'contents'], 'did you mean "content"?'],
    [
      'a time that is none',
      ['verify', '--since', 'last week'],
      '--since: expected a duration such as 7d, or a date',
    ],
    ['a sample of nothing', ['verify', '--sample', '0'], '--sample: expected a whole number from 1'],
    ['two choices at once', ['verify', '--newest', '--all'], '--newest goes with none of'],
    ['a compression that is not known', ['backup', '--compression', 'zst'], 'did you mean "zstd"?'],
    [
      'a level that is not one',
      ['backup', '--level', '12'],
      '--level: expected a whole number from 1 to 9, got "12"',
    ],
    [
      'a number that is none',
      ['prune', '--dry-run', '--keep-last', 'x'],
      '--keep-last: expected a whole number',
    ],
    ['too many arguments', ['recover', 'a'], 'too many arguments'],
    ['stores of what is no set', ['restore', 'a@1', 'b', '--yes'], 'only of a set can stores be chosen'],
    ['a wait that is none', ['list', '--wait', 'long'], '--wait: expected a duration'],
    ['a restore without a terminal and --yes', ['restore', 'a@1'], 'there is no terminal to ask on'],
    ['a prune without a terminal and --yes', ['prune'], 'there is no terminal to ask on'],
    [
      'no safety backup without --yes',
      ['restore', 'a@1', '--no-safety-backup'],
      '--no-safety-backup needs --yes',
    ],
    ['a log file that cannot be one', ['list', '--log-file', '/dev/null/x'], 'cannot write the log file'],
  ])('%s', async (_what, args, expected) => {
    const { exitCode, stdout, stderr } = await pkbackup(args);
    expect({ exitCode, stdout }).toEqual({ exitCode: 64, stdout: '' });
    const [first, second, ...others] = lines(stderr);
    expect(first).toMatch(/^error: [a-z-]/);
    expect(first).toContain(expected);
    if (second !== undefined) expect(second).toMatch(/^hint: /);
    expect(others).toEqual([]);
  });
});

describe('on an old Node', () => {
  it('the shim is a program that Node 18 can read', async () => {
    const { build } = await import('esbuild');
    const { warnings } = await build({ entryPoints: [shim], target: 'node18', format: 'esm', write: false });
    expect(warnings).toEqual([]);
    // Nothing is imported that it may not have.
    expect(readFileSync(shim, 'utf8')).not.toMatch(/^import /m);
  });
});

describe('pkbackup alone', () => {
  it('says what to do where nothing is backed up yet', async () => {
    const { exitCode, stdout, stderr } = await pkbackup([]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toContain('nothing is backed up yet');
  });

  it('names each configured store that has no backup', async () => {
    const cwd = makeDirectory({ 'pkbackup.yaml': 'stores: { events: { kind: sqlite, path: events.db } }\n' });
    expect((await pkbackup([], { cwd })).stdout).toMatch(/events {2}sqlite {2}never backed up/);
    const { stdout } = await pkbackup(['--json'], { cwd });
    expect(JSON.parse(stdout).stores).toMatchObject([{ store: 'events', kind: 'sqlite', newest: null }]);
  });
});
