// Repositories that may only be read, vanish, or are slow, and clocks that are wrong: what is told, and that nothing is lost.
// Needs Linux and root, for a tmpfs and another user; it fails elsewhere rather than skip.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { cleanEnvironment, deadDocker, lines, pkbackup, type Ran, shim } from '../cli/program.ts';

const nobody = 65534;
const slowWrites = join(import.meta.dirname, 'slow-writes.mjs');

let cwd: string;
let disk: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'pkbackup-repository-'));
  disk = join(cwd, 'disk');
  mkdirSync(disk);
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', disk]);
  mkdirSync(join(cwd, 'memory'));
  writeFileSync(join(cwd, 'memory', 'note'), 'remember');
  const stores = 'memory: { kind: directory, path: ./memory }';
  writeFileSync(join(cwd, 'pkbackup.yaml'), `repository: ./disk/backups\nstores:\n  ${stores}\n`);
});
afterEach(() => {
  execFileSync('umount', ['--lazy', disk]);
  rmSync(cwd, { recursive: true, force: true });
});

const run = (...args: string[]) => pkbackup(args, { cwd });
const remount = (how: 'ro' | 'rw') => execFileSync('mount', ['-o', `remount,${how}`, disk]);
const archives = () => readdirSync(join(disk, 'backups')).filter((name) => name.endsWith('.tar.gz'));

function expectError({ exitCode, stderr }: Ran, expectedExit: number, message: string): void {
  expect(exitCode, stderr).toBe(expectedExit);
  const errors = lines(stderr).filter((line) => line.startsWith('error:'));
  expect(errors).toHaveLength(1);
  expect(errors[0]).toContain(message);
  expect(stderr).toContain('hint:');
  expect(stderr).not.toContain('this is a bug');
}

test('a repository that may only be read is listed and verified, and what would write to it says why it cannot', async () => {
  await run('backup');
  remount('ro');
  expect(await run('list')).toMatchObject({ exitCode: 0 });
  const verified = await run('verify', '--level', 'content');
  expect(verified, verified.stderr).toMatchObject({ exitCode: 0 });
  expect(verified.stderr).toContain('warning: the result could not be written into the metadata');
  const why = 'cannot be written to: its file system is read-only';
  expectError(await run('backup'), 4, why);
  for (const args of [
    ['restore', 'memory@latest', '--yes'],
    ['restore', 'memory@latest', '--to', join(cwd, 'beside')],
    ['prune', '--keep-last', '1', '--yes'],
    ['pin', 'memory@latest'],
  ]) {
    expectError(await run(...args), 1, why);
  }
  expect(readFileSync(join(cwd, 'memory', 'note'), 'utf8')).toBe('remember');
  remount('rw');
});

test('a backup in a repository that may only be read is restored by its path, into another repository', async () => {
  await run('backup');
  const [archive = ''] = archives();
  remount('ro');
  writeFileSync(join(cwd, 'memory', 'note'), 'changed');
  const options = ['--backup-dir', join(cwd, 'other'), '--yes'];
  const restored = await run('restore', join(disk, 'backups', archive), ...options);
  expect(restored, restored.stderr).toMatchObject({ exitCode: 0 });
  expect(readFileSync(join(cwd, 'memory', 'note'), 'utf8')).toBe('remember');
  expect((await run('restore', 'memory@pre-restore', ...options)).exitCode).toBe(0);
  expect(readFileSync(join(cwd, 'memory', 'note'), 'utf8')).toBe('changed');
});

test.each(['its directory is removed', 'its disk is taken away'])(
  'where a repository vanishes in the middle of a backup (%s), the backup fails with a clear line',
  async (how) => {
    writeFileSync(join(cwd, 'memory', 'noise'), randomBytes(20_000_000));
    const running = run('backup');
    const repository = join(disk, 'backups');
    while (!namesIn(repository).some((name) => name.endsWith('.partial'))) await sleep(5);
    if (how.includes('disk')) execFileSync('umount', ['--lazy', disk]);
    else rmSync(repository, { recursive: true });
    expectError(await running, 4, 'memory: the repository vanished while the backup was written');
    if (how.includes('disk')) execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', disk]);
    const again = await run('backup');
    expect(again, again.stderr).toMatchObject({ exitCode: 0 });
    expect((await run('verify', '--level', 'content')).exitCode).toBe(0);
  },
);

test('what another user may not read or write is said with its name, and nothing is published', async () => {
  chmodSync(cwd, 0o755);
  chmodSync(join(cwd, 'memory'), 0o755);
  writeFileSync(join(cwd, 'memory', 'secret'), 'x', { mode: 0o600 });
  const asNobody = async (...args: string[]) => {
    const env = { ...cleanEnvironment(), DOCKER_HOST: deadDocker, HOME: cwd };
    const options = { cwd, env, extendEnv: false, reject: false, uid: nobody, gid: nobody } as const;
    const { exitCode, stdout, stderr } = await execa(process.execPath, [shim, ...args], options);
    return { exitCode, stdout, stderr };
  };
  chmodSync(join(shim, '..', '..'), 0o755);
  expectError(await asNobody('backup'), 4, 'permission denied');
  chownSync(disk, nobody, nobody);
  expectError(
    await asNobody('backup'),
    4,
    `"${join(cwd, 'memory', 'secret')}" cannot be read: permission denied`,
  );
  expect(namesIn(join(disk, 'backups')).filter((name) => name !== '.pkbackup')).toEqual([]);
});

test('a slow repository makes a backup slow and nothing else', async () => {
  writeFileSync(join(cwd, 'memory', 'noise'), randomBytes(8_000_000));
  const env = { ...cleanEnvironment(), DOCKER_HOST: deadDocker };
  const options = { cwd, env, extendEnv: false, reject: false } as const;
  const { exitCode, stderr } = await execa(
    process.execPath,
    ['--import', slowWrites, shim, 'backup'],
    options,
  );
  expect(exitCode, stderr).toBe(0);
  expect((await run('verify', '--level', 'content')).exitCode).toBe(0);
});

test('after a clock went back, backups are made, named apart and kept, those of the future too', async () => {
  await run('backup');
  const [stem = ''] = archives().map((name) => name.replace('.tar.gz', ''));
  const path = join(disk, 'backups', `${stem}.metadata.json`);
  const metadata = JSON.parse(readFileSync(path, 'utf8'));
  const inAYear = new Date(Date.now() + 365 * 86_400_000).toISOString();
  writeFileSync(path, JSON.stringify({ ...metadata, created_at: inAYear }));
  writeFileSync(join(cwd, 'memory', 'note'), 'newer');
  await run('backup');
  expect((await run('prune', '--keep-last', '1', '--yes')).exitCode).toBe(0);
  expect(archives()).toHaveLength(2);
  const listed = JSON.parse((await run('list', '--json')).stdout);
  const [future, present] = listed.stores[0].backups;
  expect(future.stem).toBe(stem);
  expect((await run('restore', present.stem, '--to', join(cwd, 'beside'))).exitCode).toBe(0);
  expect(readFileSync(join(cwd, 'beside', 'note'), 'utf8')).toBe('newer');
});

function namesIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
