// When stores were backed up the last time, as far as their backups say it: what a schedule has missed is told from that.
import type { Repository } from '../repository/index.ts';

/**
 * Of the stores named, the one that was backed up longest ago; where none are named, the newest backup of all. Undefined
 * where none has a backup: what never was made cannot have been missed.
 */
export async function lastBackupOf(
  repository: Pick<Repository, 'list'>,
  stores: readonly string[] | undefined,
): Promise<Date | undefined> {
  const { backups } = await repository.list();
  const newest = new Map<string, Date>();
  for (const { store, createdAt, metadata } of backups) {
    // What a restore kept was made by no schedule.
    if (metadata.safety) continue;
    const known = newest.get(store);
    if (known === undefined || createdAt > known) newest.set(store, createdAt);
  }
  const times =
    stores === undefined ? [...newest.values()] : stores.flatMap((name) => newest.get(name) ?? []);
  const inOrder = times.sort((a, b) => a.getTime() - b.getTime());
  return stores === undefined ? inOrder.at(-1) : inOrder[0];
}
