// pkbackup list: what there is, per store, newest first, and what is in the repository besides.
import { type Backup, type Leftover, type OldBackup, ranksOf } from '../repository/index.ts';
import type { Run } from './run.ts';

export interface ListedBackup {
  readonly backup: Backup;
  /** `vectors@1`, `vectors@pre-restore`, or the stem of an older safety backup: what to type to name it. */
  readonly reference: string;
}

export interface ListedStore {
  readonly store: string;
  readonly backups: readonly ListedBackup[];
}

/** What an older script made. */
export type ListedOld = OldBackup;

export interface ListResult {
  readonly stores: readonly ListedStore[];
  readonly leftovers: readonly Leftover[];
  /** What older scripts made, and nobody has adopted, newest first. */
  readonly old: readonly ListedOld[];
}

/** `stores` names those wanted; all where it is missing. */
export async function list(
  run: Pick<Run, 'repository'>,
  options: { stores?: readonly string[] } = {},
): Promise<ListResult> {
  const listing = await run.repository.list();
  const ranks = ranksOf(listing);
  const newestSafety = new Set<string>();
  const byStore = new Map<string, ListedBackup[]>();
  const isWanted = (store: string | undefined) =>
    !options.stores || (store !== undefined && options.stores.includes(store));
  for (const backup of listing.backups) {
    if (!isWanted(backup.store)) continue;
    const listed = byStore.get(backup.store) ?? [];
    listed.push({ backup, reference: referenceOf(backup, ranks.get(backup), newestSafety) });
    byStore.set(backup.store, listed);
  }
  const stores = [...byStore].map(([store, backups]) => ({ store, backups }));
  const { leftovers } = listing;
  const old = listing.old.filter(({ backup }) => isWanted(backup?.store));
  return { stores: stores.sort((a, b) => (a.store < b.store ? -1 : 1)), leftovers, old };
}

function referenceOf(backup: Backup, rank: number | undefined, newestSafety: Set<string>): string {
  if (rank !== undefined) return `${backup.store}@${rank}`;
  if (newestSafety.has(backup.store)) return backup.stem;
  newestSafety.add(backup.store);
  return `${backup.store}@pre-restore`;
}
