// SIGKILL before every single change that a backup makes to the repository: what is listed is whole, the next command heals
// the rest, and the next backup works.
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openRepository } from '../../src/repository/index.ts';
import { pkbackup, shim } from '../cli/program.ts';
import { killSweep } from '../faults/kill-sweep.ts';

let cwd: string;
beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), 'pkbackup-backup-kill-'));
  mkdirSync(join(cwd, 'memory'));
  writeFileSync(join(cwd, 'memory', 'note'), 'remember');
  const database = new DatabaseSync(join(cwd, 'events.db'));
  database.exec('CREATE TABLE events (id INTEGER PRIMARY KEY); INSERT INTO events VALUES (1), (2)');
  database.close();
  const stores = 'events: { kind: sqlite, path: ./events.db }\n  memory: { kind: directory, path: ./memory }';
  writeFileSync(join(cwd, 'pkbackup.yaml'), `repository: ./backups\nstores:\n  ${stores}\n`);
});
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

test('killed at any step, a backup leaves nothing that is listed and bad, and the next command heals', async () => {
  const path = join(cwd, 'backups');
  const repository = openRepository(path);
  const finished = new Set<number>();
  const killed = await killSweep({
    program: shim,
    args: ['backup', '--quiet'],
    cwd,
    below: path,
    reset() {
      rmSync(path, { recursive: true, force: true });
      mkdirSync(path);
    },
    async inspect(killedAt) {
      const before = (await repository.list()).backups.length;
      const list = await pkbackup(['list', '--json'], { cwd });
      expect(list.exitCode, list.stderr).toBe(0);
      const { backups, leftovers } = await repository.list();
      finished.add(backups.length - before);
      expect(leftovers, `killed at ${killedAt}`).toEqual([]);
      expect(readdirSync(path).filter((name) => name.endsWith('.partial'))).toEqual([]);
      if (backups.length > 0) {
        const verified = await pkbackup(['verify', '--level', 'content', '--quiet'], { cwd });
        expect(verified.exitCode, `killed at ${killedAt}: ${verified.stderr}`).toBe(0);
      }
      expect((await pkbackup(['backup', '--quiet'], { cwd })).exitCode, `after ${killedAt}`).toBe(0);
      expect((await repository.list()).backups).toHaveLength(backups.length + 2);
    },
  });
  expect(killed).toBeGreaterThan(20);
  const scratch = readdirSync(join(path, '.pkbackup', 'scratch'));
  expect(scratch).toEqual([]);
  // Between the renames the metadata waits, and the next command finishes the backup.
  expect(finished).toContain(1);
});
