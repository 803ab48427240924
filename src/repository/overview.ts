// A listing as people look at it: by store, each backup with the name to type, and on wish only those that matter.
import { checkLevels } from './checks.ts';
import type { Backup, Leftover, Listing } from './listing.ts';
import type { OldBackup } from './old-backups.ts';
import { ranksOf } from './references.ts';

export interface ListedBackup {
  readonly backup: Backup;
  /** `vectors@1`, `vectors@pre-restore`, or the stem of an older safety backup: what to type to name it. */
  readonly reference: string;
}

export interface ListedStore {
  readonly store: string;
  /** Newest first. */
  readonly backups: readonly ListedBackup[];
  /** Those that are left out. */
  readonly others?: { readonly count: number; readonly oldest: Date };
}

export interface Overview {
  /** By name. */
  readonly stores: readonly ListedStore[];
  readonly leftovers: readonly Leftover[];
  /** What older scripts made, and nobody has adopted, newest first. */
  readonly old: readonly OldBackup[];
}

/** Of each store so many of the newest are always shown. */
const newestShown = 20;

/** Everything. */
export function everythingIn(listing: Listing): Overview {
  const ranks = ranksOf(listing);
  const newestSafety = new Set<string>();
  const byStore = new Map<string, ListedBackup[]>();
  for (const backup of listing.backups) {
    const listed = byStore.get(backup.store) ?? [];
    listed.push({ backup, reference: referenceOf(backup, ranks.get(backup), newestSafety) });
    byStore.set(backup.store, listed);
  }
  const stores = [...byStore].map(([store, backups]) => ({ store, backups }));
  const { leftovers, old } = listing;
  return { stores: stores.sort((a, b) => (a.store < b.store ? -1 : 1)), leftovers, old };
}

function referenceOf(backup: Backup, rank: number | undefined, newestSafety: Set<string>): string {
  if (rank !== undefined) return `${backup.store}@${rank}`;
  if (newestSafety.has(backup.store)) return backup.stem;
  newestSafety.add(backup.store);
  return `${backup.store}@pre-restore`;
}

/**
 * Of each store the newest backups, those that are pinned or damaged, what the last restore replaced, and the newest that
 * passed a check of each level. Leftovers and old files stay all.
 */
export function mainOf({ stores, ...rest }: Overview): Overview {
  return { stores: stores.map(mainOfStore), ...rest };
}

function mainOfStore({ store, backups }: ListedStore): ListedStore {
  const proofs = checkLevels.map((level) =>
    backups.find(({ backup }) => backup.metadata.checks.some((check) => check.ok && check.level === level)),
  );
  const lastReplaced = backups.find(({ backup }) => backup.metadata.safety);
  const matters = new Set([...backups.slice(0, newestShown), ...proofs, lastReplaced]);
  const isShown = (listed: ListedBackup) =>
    matters.has(listed) || listed.backup.isDamaged || Boolean(listed.backup.metadata.pinned);
  const shown = backups.filter(isShown);
  const oldest = backups.findLast((listed) => !isShown(listed));
  if (oldest === undefined) return { store, backups };
  const others = { count: backups.length - shown.length, oldest: oldest.backup.createdAt };
  return { store, backups: shown, others };
}
