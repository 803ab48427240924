import { expect, it } from 'vitest';
import { lastBackupOf } from '../../src/operations/last-backup.ts';
import type { Backup } from '../../src/repository/index.ts';

const backup = (store: string, createdAt: string, safety = false) => {
  return { store, createdAt: new Date(createdAt), metadata: { safety } } as unknown as Backup;
};
const repository = (...backups: Backup[]) => ({
  list: async () => ({ directory: '/r', backups, leftovers: [], old: [] }),
});
const all = repository(
  backup('a', '2026-11-20T03:00Z'),
  backup('b', '2026-11-19T03:00Z'),
  backup('b', '2026-11-20T09:00Z', true),
  backup('a', '2026-11-18T03:00Z'),
  backup('gone', '2026-10-01T03:00Z'),
);

it('counts by the store that was backed up longest ago; those that never were do not count', async () => {
  expect(await lastBackupOf(all, ['a', 'b', 'new'])).toEqual(new Date('2026-11-19T03:00Z'));
  expect(await lastBackupOf(all, ['a'])).toEqual(new Date('2026-11-20T03:00Z'));
  expect(await lastBackupOf(all, ['new'])).toBeUndefined();
});

it('is the newest of all where the stores are found anew each time', async () => {
  expect(await lastBackupOf(all, undefined)).toEqual(new Date('2026-11-20T03:00Z'));
  expect(await lastBackupOf(repository(), undefined)).toBeUndefined();
});
