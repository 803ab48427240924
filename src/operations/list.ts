// pkbackup list: what there is, per store, newest first, and what is in the repository besides.
import { everythingIn, type OldBackup, type Overview } from '../repository/index.ts';
import type { Run } from './run.ts';

export type { ListedBackup, ListedStore } from '../repository/index.ts';

/** What an older script made. */
export type ListedOld = OldBackup;
export type ListResult = Overview;

export interface ListOptions {
  /** Names of those wanted; all where it is missing. */
  readonly stores?: readonly string[];
  /** Only what matters of each store, for people to look at. */
  readonly isShort?: boolean;
}

export async function list(
  run: Pick<Run, 'repository'>,
  { stores, isShort = false }: ListOptions = {},
): Promise<ListResult> {
  const found = isShort ? await run.repository.overview() : everythingIn(await run.repository.list());
  return stores === undefined ? found : onlyOf(found, stores);
}

/** Of these stores. */
export function onlyOf(found: ListResult, names: readonly string[]): ListResult {
  return {
    stores: found.stores.filter(({ store }) => names.includes(store)),
    leftovers: found.leftovers,
    old: found.old.filter(({ backup }) => backup !== undefined && names.includes(backup.store)),
  };
}
