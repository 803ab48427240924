// A repository on a small file system that fills up at any point of a backup: a clear error, nothing listed that is bad, what
// was there before is whole, and the space comes back. Needs Linux and root, for a tmpfs; it fails elsewhere rather than skip.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openRepository } from '../../src/repository/index.ts';
import { lines, pkbackup } from '../cli/program.ts';

const offsets = 50;
const diskBytes = 8 * 1024 * 1024;
const contentBytes = 5 * 1024 * 1024;

let cwd: string;
let disk: string;
beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), 'pkbackup-full-disk-'));
  disk = join(cwd, 'disk');
  mkdirSync(disk);
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${diskBytes}`, 'tmpfs', disk]);
  mkdirSync(join(cwd, 'memory'));
  writeFileSync(join(cwd, 'memory', 'noise'), randomBytes(contentBytes));
  mkdirSync(join(cwd, 'small'));
  writeFileSync(join(cwd, 'small', 'note'), 'remember');
  const stores = 'memory: { kind: directory, path: ./memory }\n  small: { kind: directory, path: ./small }';
  writeFileSync(join(cwd, 'pkbackup.yaml'), `repository: ./disk/backups\nstores:\n  ${stores}\n`);
});
afterAll(() => {
  execFileSync('umount', [disk]);
  rmSync(cwd, { recursive: true, force: true });
});

const freeBytes = () => {
  const { bavail, bsize } = statfsSync(disk);
  return bavail * bsize;
};

test('a disk that is full at any point of a backup loses nothing and keeps nothing', async () => {
  expect((await pkbackup(['backup', 'small', '--quiet'], { cwd })).exitCode).toBe(0);
  const filler = join(disk, 'filler');
  let failed = 0;
  for (let turn = 0; turn < offsets; turn += 1) {
    // From a disk without any room to one that lacks a little.
    const leave = Math.floor((Math.random() * 0.98 * contentBytes * turn) / offsets);
    rmSync(filler, { force: true });
    writeFileSync(filler, Buffer.alloc(Math.max(0, freeBytes() - leave)));
    const before = freeBytes();
    const { exitCode, stderr } = await pkbackup(['backup', 'memory', '--quiet'], { cwd });
    const where = `with ${leave} bytes left: ${stderr}`;
    expect(exitCode, where).toBe(4);
    expect(
      lines(stderr).filter((line) => line.startsWith('error:')),
      where,
    ).toHaveLength(1);
    expect(stderr, where).toMatch(/full|no space/);
    const { backups, leftovers } = await openRepository(join(disk, 'backups')).list();
    expect(
      backups.map(({ store }) => store),
      where,
    ).toEqual(['small']);
    expect(leftovers, where).toEqual([]);
    expect(freeBytes(), where).toBeGreaterThanOrEqual(before - 16_384);
    failed += 1;
  }
  expect(failed).toBe(offsets);
  rmSync(filler);
  expect((await pkbackup(['verify', 'small@latest', '--level', 'content'], { cwd })).exitCode).toBe(0);
  expect((await pkbackup(['backup', 'memory', '--quiet'], { cwd })).exitCode).toBe(0);
});
