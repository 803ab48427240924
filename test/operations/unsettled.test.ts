// A restore that was broken off, and that no command could settle: the store is left alone until it is.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { expect, test } from 'vitest';
import { backup } from '../../src/operations/backup.ts';
import { recover } from '../../src/operations/recover.ts';
import { restore } from '../../src/operations/restore.ts';
import type { RestoreStep } from '../../src/repository/index.ts';
import { directoryStore, makeRun, type RunFixture } from './run-fixture.ts';

interface Broken {
  readonly store: ReturnType<typeof directoryStore>;
  /** Makes it possible to undo the restore. */
  mend(): void;
}

/** Of a process that is dead; its working directory cannot be read. */
async function breakOff({ run, directory }: RunFixture, step: RestoreStep, more = {}): Promise<Broken> {
  const path = join(directory, 'memory');
  const workDir = join(directory, '.memory.pkbackup-00000000');
  for (const place of [path, workDir]) mkdirSync(place);
  writeFileSync(join(path, 'note'), 'present');
  const store = directoryStore(path);
  expect((await backup(run, { stores: [store] })).stores[0]).toMatchObject({ ok: true });
  writeFileSync(join(workDir, 'state.json'), 'garbage');
  const { pid } = spawnSync(process.execPath, ['--version']);
  const record = {
    type: 'pkbackup-restore',
    version: 1,
    owner: { host: hostname(), pid, since: Date.now() },
    store: 'memory',
    kind: 'directory',
    stem: 'memory-backup-20261120-020000',
    target: { path },
    keepsPrevious: true,
    held: [],
    step,
    state: { path, workDir, replaces: true, kept: [] },
    ...more,
  };
  await run.repository.journal.write('memory-1-00000000.restore.json', JSON.stringify(record));
  return {
    store,
    mend: () => writeFileSync(join(workDir, 'state.json'), JSON.stringify({ isMade: false })),
  };
}

const options = (store: Broken['store'], more = {}) => ({
  backup: 'memory@1',
  stores: [store],
  safetyBackup: true,
  confirm: async () => true,
  ...more,
});

test('a store whose broken-off restore cannot be undone is neither saved nor restored', async () => {
  using fixture = makeRun();
  const { run, directory } = fixture;
  const { store, mend } = await breakOff(fixture, 'swapping');
  expect(await recover(run)).toMatchObject({ ok: false });
  const expected = {
    message:
      'memory: the restore of "memory-backup-20261120-020000" was broken off and is not undone yet, so the data may be neither the old nor the new',
    hint: 'pkbackup recover tries it again, and says what is in its way',
  };
  const { stores } = await backup(run, { stores: [store] });
  expect(stores).toMatchObject([{ ok: false, error: { code: 'backup_failed', ...expected } }]);
  await expect(restore(run, options(store))).rejects.toMatchObject({ code: 'restore_failed', ...expected });

  await restore(run, options(store, { to: join(directory, 'beside') }));
  expect(readFileSync(join(directory, 'beside', 'note'), 'utf8')).toBe('present');

  mend();
  expect(await recover(run)).toMatchObject({ ok: true });
  expect((await backup(run, { stores: [store] })).stores).toMatchObject([{ ok: true }]);
  await restore(run, options(store));
});

test('a restore whose previous data still waits is saved, but not restored over', async () => {
  using fixture = makeRun();
  const { store } = await breakOff(fixture, 'checked');
  expect((await backup(fixture.run, { stores: [store] })).stores).toMatchObject([{ ok: true }]);
  await expect(restore(fixture.run, options(store))).rejects.toMatchObject({
    message: expect.stringContaining('is not ended: what it replaced still waits to become a safety backup'),
  });
});

test('a restore elsewhere, or of another store, is in nobody’s way', async () => {
  using fixture = makeRun();
  const { store } = await breakOff(fixture, 'swapping', { beside: true });
  const other = { ...store, name: 'memory-1' };
  const { stores } = await backup(fixture.run, { stores: [store, other] });
  expect(stores).toMatchObject([{ ok: true }, { ok: true }]);
});

test('a journal that cannot be read holds its store up', async () => {
  using fixture = makeRun();
  const { store } = await breakOff(fixture, 'swapping', { step: 'dancing' });
  const other = { ...store, name: 'other' };
  const { stores } = await backup(fixture.run, { stores: [store, other] });
  expect(stores).toMatchObject([
    { ok: false, error: { message: expect.stringContaining('of a restore cannot be read') } },
    { ok: true },
  ]);
});
