// pkbackup status as people and health checks run it: without Docker, beside others, and with an exit code that says it all.
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { lines, makeDirectory, pkbackup } from './program.ts';

/** The disk of the machine that runs the tests is nobody's business. */
const config = `repository: ./backups
max_disk_use: 100
stores:
  memory: { kind: directory, path: memory }
  vectors: { kind: chromadb, container: nobody, max_age: never }
`;

let cwd: string;
beforeEach(() => {
  cwd = makeDirectory({ 'pkbackup.yaml': config });
  mkdirSync(join(cwd, 'memory'));
  writeFileSync(join(cwd, 'memory', 'note.md'), 'remember');
});
const run = (...args: string[]) => pkbackup(args, { cwd });

it('is 0 where all is as it should be, and says nothing with --quiet', async () => {
  await run('backup', 'memory');
  const { exitCode, stdout, stderr } = await run('status', 'memory');
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  expect(lines(stdout)[0]).toMatch(/^1 store · repository \.\/backups \(.* free\)$/);
  expect(lines(stdout).at(-1)).toBe('all is as it should be');
  expect(await run('status', 'memory', '--quiet')).toEqual({ exitCode: 0, stdout: '', stderr: '' });
});

it('is 9 where anything is not, with what to do about it, also with --quiet and for programs', async () => {
  await run('backup', 'memory');
  const asked = await run('status', '--quiet');
  expect(asked.exitCode).toBe(9);
  expect(lines(asked.stdout).slice(-3)).toEqual([
    '1 thing not as it should be:',
    '  vectors: it was never backed up',
    '    hint: make the first backup with: pkbackup backup vectors',
  ]);
  const { exitCode, stdout } = await run('status', '--json');
  expect(exitCode).toBe(9);
  expect(JSON.parse(stdout)).toMatchObject({
    ok: false,
    problems: [{ reason: 'never_backed_up', store: 'vectors' }],
    stores: [
      { store: 'memory', ok: true, last_run: { ok: true } },
      { store: 'vectors', ok: false },
    ],
  });
});

it('knows of runs that made no backup, until one is good again', async () => {
  await run('backup', 'memory');
  rmSync(join(cwd, 'memory'), { recursive: true });
  for (let time = 0; time < 2; time += 1) expect((await run('backup', 'memory')).exitCode).toBe(3);
  const red = await run('status', 'memory');
  expect(red.exitCode).toBe(9);
  expect(red.stdout).toMatch(/memory: the last 2 times, backup of it failed, since .*: .*memory/);
  mkdirSync(join(cwd, 'memory'));
  writeFileSync(join(cwd, 'memory', 'note.md'), 'remember');
  await run('backup', 'memory');
  expect((await run('status', 'memory')).exitCode).toBe(0);
});

it('writes nothing, and heals nothing', async () => {
  await run('backup', 'memory');
  const partial = '.memory-backup-20261120-110000.tar.gz.partial';
  writeFileSync(join(cwd, 'backups', partial), 'half');
  const all = () =>
    readdirSync(cwd, { recursive: true, encoding: 'utf8' })
      .sort()
      .map((name) => [name, statSync(join(cwd, name)).mtimeMs]);
  const before = all();
  const { exitCode, stdout } = await run('status', 'memory');
  expect({ exitCode, said: stdout.includes(`"${partial}"`) }).toEqual({ exitCode: 9, said: true });
  await run();
  expect(all()).toEqual(before);
  await run('recover');
  expect((await run('status', 'memory')).exitCode).toBe(0);
});

it('does not take a mistyped store for none', async () => {
  const { exitCode, stderr } = await run('status', 'memori');
  expect(exitCode).toBe(3);
  expect(stderr).toContain('did you mean "memory"?');
});

it('is what pkbackup alone shows, which is a look and no check', async () => {
  const { exitCode, stdout } = await run();
  expect(exitCode).toBe(0);
  expect(stdout).toContain('! memory   directory  never backed up');
  expect(lines(stdout).at(-1)).toContain('pkbackup --help');
});
