// What a restore will mean for those who use the data, so that it can be said before anybody is asked.
import { planHold } from '../quiesce/index.ts';
import type { Listing, Metadata } from '../repository/index.ts';
import type { RestorePlan, Store, StoreContext } from '../stores/store.ts';

export interface Foreseen {
  /** Names of the containers that are stopped because they use the data. */
  readonly stops: readonly string[];
  /** Names of the clients that are held: those that run. */
  readonly holds: readonly string[];
  /** How long the former are stopped, about; undefined where there are none. */
  readonly downtime?: Downtime;
}

export interface Downtime {
  readonly ms: number;
  /** Where it is known from: earlier restores of this store, or what is usual for its kind. */
  readonly from: 'earlier restores' | 'its kind';
}

/** Throws where one of them could not be stopped safely. */
export async function foresee(
  context: StoreContext,
  { volumes }: RestorePlan,
  clients: readonly string[],
): Promise<Pick<Foreseen, 'stops' | 'holds'>> {
  if (volumes.length === 0 && clients.length === 0) return { stops: [], holds: [] };
  const wish = { volumes, clients, mode: 'stop', graceSeconds: 0 } as const;
  const { levels } = await planHold(await context.docker(), wish, context.signal);
  const all = levels.flat();
  return {
    stops: all.filter(({ isClient }) => !isClient).map(({ name }) => name),
    holds: all.filter(({ isClient }) => isClient).map(({ name }) => name),
  };
}

/** A swap and a start, whatever the size. */
const usualSwapMs = 1000;
const mostOfThem = 5;

/** A safety backup says how long its restore took; of several, the one in the middle. */
export function estimateDowntime(
  { quiesce }: Store,
  { store, kind }: Pick<Metadata, 'store' | 'kind'>,
  { backups }: Listing,
): Downtime {
  const known = backups
    .filter(({ metadata }) => metadata.safety && metadata.store === store && metadata.kind === kind)
    .flatMap(({ metadata: { downtime_ms: ms } }) => (ms ? [ms] : []))
    .slice(0, mostOfThem)
    .sort((a, b) => a - b);
  const middle = known[Math.floor(known.length / 2)];
  return middle === undefined
    ? { ms: (quiesce.usualStopMs ?? 0) + usualSwapMs, from: 'its kind' }
    : { ms: middle, from: 'earlier restores' };
}
