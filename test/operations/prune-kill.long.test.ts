// SIGKILL before every single change that a prune makes to the repository: nothing that the plan keeps is touched, and no
// backup is ever half deleted once the next prune has run.
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openRepository } from '../../src/repository/index.ts';
import { pkbackup, shim } from '../cli/program.ts';
import { killSweep } from '../faults/kill-sweep.ts';
import { publish } from './published.ts';

let directory: string;
let pristine: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'pkbackup-prune-kill-'));
  pristine = join(directory, 'pristine');
  const repository = openRepository(pristine);
  for (const [index, store] of ['rows', 'rows', 'rows', 'graph', 'graph'].entries()) {
    const createdAt = new Date(1_790_000_000_000 + index * 86_400_000);
    await publish(repository, store, createdAt);
  }
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test('killed at any step, a prune is finished by the next one, and keeps what it keeps', async () => {
  const path = join(directory, 'repository');
  const repository = openRepository(path);
  const stems = (backups: readonly { stem: string }[]) => backups.map(({ stem }) => stem).sort();
  const { backups } = await openRepository(pristine).list();
  const all = stems(backups);
  const kept = stems(
    ['graph', 'rows'].flatMap((store) => backups.find((backup) => backup.store === store) ?? []),
  );
  const args = ['prune', '--keep-last', '1', '--yes', '--quiet', '--backup-dir', path];
  const killed = await killSweep({
    program: shim,
    args,
    cwd: directory,
    below: path,
    reset() {
      rmSync(path, { recursive: true, force: true });
      cpSync(pristine, path, { recursive: true });
    },
    async inspect(killedAt) {
      const listed = stems((await repository.list()).backups);
      for (const stem of kept) expect(listed, `killed at ${killedAt}`).toContain(stem);
      expect((await pkbackup(args)).exitCode).toBe(0);
      expect(stems((await repository.list()).backups)).toEqual(kept);
      expect((await repository.list()).leftovers).toEqual([]);
      const trashed = stems(await repository.trash.list());
      expect([...trashed, ...kept].sort(), `killed at ${killedAt}`).toEqual(all);
      expect(readdirSync(join(path, '.trash')).filter((name) => !name.startsWith('.'))).toHaveLength(9);
    },
  });
  expect(killed).toBeGreaterThan(15);
});
