// Which backups a command that proves them works on: those named, the newest of every store, all, those since a moment, or
// some of them, by turns.
import { PkbackupError } from '../errors.ts';
import {
  type Backup,
  findBackups,
  type Listing,
  type LooseArchive,
  looseOf,
  ranksOf,
} from '../repository/index.ts';

export interface BackupChoice {
  /** References, and names of stores; everything where it is empty. */
  readonly backups: readonly string[];
  /** All of those stores, where it would be the newest of each. */
  readonly all?: boolean;
  /** Made at that moment or later. */
  readonly since?: Date;
  /** So many of what the others choose: those that were checked the longest ago, so that each has its turn. */
  readonly sample?: number;
}

export type Chosen = Backup | LooseArchive;

/** Each once. Where nothing is named, what the listing found damaged comes first. Throws `not_found`. */
export async function chooseBackups(listing: Listing, choice: BackupChoice): Promise<Chosen[]> {
  const { backups: references, all, since, sample } = choice;
  const chosen = new Map<string, Chosen>();
  const named: Backup[] = references.length === 0 ? ofStores(listing, undefined, choice) : [];
  for (const reference of references) {
    if (listing.backups.some(({ store }) => store === reference)) {
      named.push(...ofStores(listing, reference, choice));
      continue;
    }
    const found = await findBackups(reference, listing);
    if (all || since || sample !== undefined) throw notAStore(reference);
    for (const target of found) chosen.set(target.path, target);
  }
  for (const backup of sample === undefined ? named : longestUnchecked(named, sample)) {
    chosen.set(backup.path, backup);
  }
  return references.length > 0 ? [...chosen.values()] : [...damagedIn(listing), ...chosen.values()];
}

function ofStores(
  listing: Listing,
  store: string | undefined,
  { all, since, sample }: BackupChoice,
): Backup[] {
  // The newest is one of ours, or was adopted: what nobody has adopted is only asked for.
  const old = all ? listing.old.flatMap(({ backup }) => backup ?? []) : [];
  const ofStore = [...listing.backups, ...old].filter(
    (backup) => store === undefined || backup.store === store,
  );
  const young = since ? ofStore.filter(({ createdAt }) => createdAt >= since) : ofStore;
  if (all || since || sample !== undefined) return young;
  const ranks = ranksOf(listing);
  return young.filter((backup) => ranks.get(backup) === 1);
}

function notAStore(reference: string): PkbackupError {
  return new PkbackupError(
    'usage',
    `--all, --since and --sample choose among the backups of stores, and "${reference}" is a backup`,
    { hint: 'name stores, or nothing for all of them' },
  );
}

function longestUnchecked(backups: readonly Backup[], count: number): Backup[] {
  return backups.toSorted((a, b) => lastCheckOf(a) - lastCheckOf(b)).slice(0, count);
}

function lastCheckOf({ metadata }: Backup): number {
  return Math.max(0, ...metadata.checks.map(({ at }) => Date.parse(at) || 0));
}

function damagedIn({ leftovers, directory }: Listing): LooseArchive[] {
  return leftovers.filter(({ state }) => state === 'damaged').map((leftover) => looseOf(directory, leftover));
}
