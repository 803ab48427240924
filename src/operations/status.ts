// pkbackup status: how well everything is backed up, compared with what is expected. It reads the repository and nothing else:
// no lock is taken, nothing is healed, Docker is not asked. What is not as it should be is data; reporters say it.
import { stat } from 'node:fs/promises';
import type { Config, ConfiguredStore, Expectations } from '../config/types.ts';
import type { Backup, Listing, Outcome } from '../repository/index.ts';
import type { Kind } from '../words.ts';
import type { Run } from './run.ts';
import { judgeRepository, type RepositoryProblem, type RepositoryStatus } from './status-repository.ts';
import { judgeStore, type StoreProblem, type StoreStatus } from './status-store.ts';

export type { RepositoryProblem, RepositoryStatus } from './status-repository.ts';
export type { Proof, SizeAt, StoreProblem, StoreStatus } from './status-store.ts';

export type Problem = StoreProblem | RepositoryProblem;

export interface StatusOptions {
  /** Those of the config file; all of the repository count where there are none. */
  readonly configured: readonly ConfiguredStore[];
  /** Only these. */
  readonly stores?: readonly string[];
  readonly config?: Pick<Config, 'expects' | 'schedule' | 'timeZone' | 'maxDiskUse'> | undefined;
  readonly now?: Date;
  /** Where no time zone is said; that of the system. */
  readonly systemZone?: string;
}

export interface StatusResult {
  /** Nothing is wrong. */
  readonly ok: boolean;
  readonly at: Date;
  readonly stores: readonly StoreStatus[];
  readonly repository: RepositoryStatus;
  /** Of the repository, and of all stores, in this order. */
  readonly problems: readonly Problem[];
}

/** Commands whose outcomes are written down. */
const operations = ['backup', 'verify', 'drill'];

/** A store of which something is known. */
export interface KnownStore {
  readonly name: string;
  readonly kind: Kind | undefined;
  /** Of the config file. */
  readonly configured: ConfiguredStore | undefined;
  /** Whether it is to be backed up: one that has gone from the config file is not, and what there is of it is kept. */
  readonly isExpected: boolean;
  readonly expects: Expectations;
  readonly backups: readonly Backup[];
  /** Of its last backup run. */
  readonly outcome: Outcome | undefined;
}

export async function status(run: Pick<Run, 'repository'>, options: StatusOptions): Promise<StatusResult> {
  const { repository } = run;
  const at = options.now ?? new Date();
  const [listing, space, remains, trashed, outcomes, isThere, ...ofOperations] = await Promise.all([
    repository.list(),
    repository.space(),
    repository.remains(),
    repository.trash.list(),
    repository.outcomes.ofStores('backup'),
    isDirectory(repository.directory),
    ...operations.map(async (operation) => {
      return [operation, await repository.outcomes.read({ operation })] as const;
    }),
  ]);
  const known = knownStores(listing, outcomes, options);
  const { schedule, timeZone, maxDiskUse } = options.config ?? {};
  const systemZone = options.systemZone ?? Intl.DateTimeFormat().resolvedOptions().timeZone;
  const surroundings = { at, schedule, timeZone, systemZone };
  const stores = await Promise.all(known.map((store) => judgeStore(store, surroundings)));
  const ofRepository = judgeRepository({
    directory: repository.directory,
    at,
    isThere,
    hasStores: known.length > 0,
    listing,
    space,
    remains,
    trashed,
    outcomes: new Map(ofOperations),
    maxDiskUse,
  });
  const problems = [...ofRepository.problems, ...stores.flatMap((store) => store.problems)];
  return { ok: problems.length === 0, at, stores, repository: ofRepository, problems };
}

/** Those of the config file first, in its order. */
function knownStores(
  listing: Listing,
  outcomes: ReadonlyMap<string, Outcome>,
  { configured, stores, config }: StatusOptions,
): KnownStore[] {
  const byStore = Map.groupBy(listing.backups, ({ store }) => store);
  // A store that has never been backed up well may have been tried.
  const others = [...new Set([...byStore.keys(), ...(configured.length === 0 ? outcomes.keys() : [])])];
  const names = [...new Set([...configured.map(({ name }) => name), ...others.sort()])];
  return names
    .filter((name) => stores?.includes(name) ?? true)
    .map((name) => {
      const own = configured.find((store) => store.name === name);
      const backups = byStore.get(name) ?? [];
      return {
        name,
        kind: own?.kind ?? backups[0]?.metadata.kind,
        configured: own,
        isExpected: own !== undefined || configured.length === 0,
        expects: { ...config?.expects, ...own?.expects },
        backups,
        outcome: outcomes.get(name),
      };
    });
}

async function isDirectory(path: string): Promise<boolean> {
  const stats = await stat(path).catch(() => undefined);
  return stats?.isDirectory() === true;
}
