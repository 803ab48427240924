// The place where the backups lie: room, what does not belong there, runs that failed as a whole. Pure.
import type { Leftover, Listing, Outcome, Remains, Space, TrashedBackup } from '../repository/index.ts';

export interface RepositoryStatus {
  readonly directory: string;
  readonly ok: boolean;
  readonly problems: readonly RepositoryProblem[];
  /** Undefined where the system does not say it. */
  readonly space: Space | undefined;
  readonly maxUsedPercent: number;
  readonly backupCount: number;
  readonly backupBytes: number;
  /** Pruned, and not yet removed for good. */
  readonly trashBytes: number;
  /** What came in the last days, less what was pruned; undefined where there are not yet days enough to tell. */
  readonly growthBytesPerDay?: number;
  /** At this rate, where it grows at all. */
  readonly fullAt?: Date;
  readonly leftovers: readonly Leftover[];
  /** The last run of each command, where it is known. */
  readonly lastRuns: ReadonlyMap<string, Outcome>;
}

export type RepositoryProblem = { readonly store?: undefined } & (
  | { readonly reason: 'no_repository'; readonly directory: string }
  | { readonly reason: 'nothing_backed_up' }
  | { readonly reason: 'disk_full'; readonly space: Space; readonly maxUsedPercent: number }
  | {
      readonly reason: 'full_soon';
      readonly fullAt: Date;
      readonly space: Space;
      readonly perDayBytes: number;
    }
  | { readonly reason: 'not_whole'; readonly names: readonly string[] }
  | { readonly reason: 'unfinished'; readonly names: readonly string[] }
  | { readonly reason: 'crashed_run'; readonly journals: readonly string[] }
  | {
      readonly reason: 'run_failing';
      readonly operation: string;
      readonly since: Date;
      readonly inARow: number;
      readonly error?: string;
    }
);

export interface RepositoryFacts {
  readonly directory: string;
  readonly at: Date;
  readonly isThere: boolean;
  readonly hasStores: boolean;
  readonly listing: Listing;
  readonly space: Space | undefined;
  readonly remains: Remains;
  readonly trashed: readonly TrashedBackup[];
  readonly outcomes: ReadonlyMap<string, Outcome | undefined>;
  readonly maxDiskUse: number | undefined;
}

const dayMs = 24 * 3_600_000;
/** As long as the trash remembers what went. */
const windowDays = 7;
const leastDays = 2;
/** Time for somebody to make room. */
const soonMs = 7 * dayMs;
/** As the replaced health check had it. */
const defaultMaxUsedPercent = 85;

export function judgeRepository(facts: RepositoryFacts): RepositoryStatus {
  const { directory, at, listing, space, trashed, outcomes } = facts;
  const maxUsedPercent = facts.maxDiskUse ?? defaultMaxUsedPercent;
  const growth = growthOf(listing, trashed, at);
  const fullAt = space && growth !== undefined && growth > 0 ? fullAfter(at, space, growth) : undefined;
  const problems = [
    ...placeProblems(facts),
    ...spaceProblems(at, { space, maxUsedPercent, growth, fullAt }),
    ...remainingProblems(facts),
    ...runProblems(outcomes),
  ];
  return {
    directory,
    ok: problems.length === 0,
    problems,
    space,
    maxUsedPercent,
    backupCount: listing.backups.length,
    backupBytes: bytesOf(listing.backups),
    trashBytes: bytesOf(trashed),
    ...(growth !== undefined && { growthBytesPerDay: growth }),
    ...(fullAt && { fullAt }),
    leftovers: listing.leftovers,
    lastRuns: new Map(
      [...outcomes].flatMap(([operation, outcome]) => (outcome ? [[operation, outcome]] : [])),
    ),
  };
}

function placeProblems({ directory, isThere, hasStores }: RepositoryFacts): RepositoryProblem[] {
  if (!isThere) return [{ reason: 'no_repository', directory }];
  return hasStores ? [] : [{ reason: 'nothing_backed_up' }];
}

function spaceProblems(
  at: Date,
  {
    space,
    maxUsedPercent,
    growth,
    fullAt,
  }: {
    space: Space | undefined;
    maxUsedPercent: number;
    growth: number | undefined;
    fullAt: Date | undefined;
  },
): RepositoryProblem[] {
  if (!space) return [];
  const isSoon = fullAt && fullAt.getTime() - at.getTime() < soonMs;
  return [
    ...(space.usedPercent > maxUsedPercent ? [{ reason: 'disk_full', space, maxUsedPercent } as const] : []),
    ...(isSoon ? [{ reason: 'full_soon', fullAt, space, perDayBytes: growth ?? 0 } as const] : []),
  ];
}

function remainingProblems({ listing, remains }: RepositoryFacts): RepositoryProblem[] {
  const names = listing.leftovers.filter(({ state }) => state === 'damaged').map(({ name }) => name);
  const { unfinished, journals } = remains;
  return [
    ...(names.length > 0 ? [{ reason: 'not_whole', names } as const] : []),
    ...(unfinished.length > 0 ? [{ reason: 'unfinished', names: unfinished } as const] : []),
    ...(journals.length > 0 ? [{ reason: 'crashed_run', journals } as const] : []),
  ];
}

function runProblems(outcomes: RepositoryFacts['outcomes']): RepositoryProblem[] {
  return [...outcomes].flatMap(([operation, outcome]): RepositoryProblem[] => {
    if (!outcome || outcome.ok) return [];
    const { at, failed_since, failures_in_a_row: inARow = 1, error } = outcome;
    const since = new Date(failed_since ?? at);
    return [{ reason: 'run_failing', operation, since, inARow, ...(error !== undefined && { error }) }];
  });
}

/** Where pruning keeps up with what comes, that is about nothing. */
function growthOf({ backups }: Listing, trashed: readonly TrashedBackup[], at: Date): number | undefined {
  const all = [...backups, ...trashed];
  const oldestMs = Math.min(...all.map(({ createdAt }) => createdAt.getTime()));
  const days = Math.min(windowDays, (at.getTime() - oldestMs) / dayMs);
  if (!(days >= leastDays)) return undefined;
  const isWithin = (time: Date) => at.getTime() - time.getTime() < days * dayMs;
  // The very first is what it began with.
  const came = all.filter(({ createdAt }) => isWithin(createdAt) && createdAt.getTime() > oldestMs);
  const went = trashed.filter(({ trashedAt }) => isWithin(trashedAt));
  return (bytesOf(came) - bytesOf(went)) / days;
}

const furthestDays = 36_500;

function fullAfter(at: Date, { freeBytes }: Space, perDay: number): Date | undefined {
  const days = freeBytes / perDay;
  return days > furthestDays ? undefined : new Date(at.getTime() + days * dayMs);
}

function bytesOf(backups: readonly { readonly metadata: { readonly size_bytes: number } }[]): number {
  return backups.reduce((sum, { metadata }) => sum + metadata.size_bytes, 0);
}
