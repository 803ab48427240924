// What to keep and why. Pure: backups, a policy and a clock in, a decision with reasons for every backup out.
// The same decisions are shown by the dry run and executed by the real one.
import { bucketsIn, type PeriodName, periodNames } from './periods.ts';

/** A union: a backup that any rule keeps is kept. */
export interface RetentionPolicy {
  readonly keepLast?: number;
  /** Keeps what is younger than this, counted from the newest backup. */
  readonly keepWithinMs?: number;
  readonly keepHourly?: number;
  readonly keepDaily?: number;
  readonly keepWeekly?: number;
  readonly keepMonthly?: number;
  readonly keepQuarterly?: number;
  readonly keepYearly?: number;
  /** IANA name; hours to years are counted there. The system's where it is missing. */
  readonly timeZone?: string;
  /** The first day of a week: 1 for Monday (where it is missing) to 7 for Sunday. */
  readonly weekStart?: number;
  /** Whether a backup stays as long as any of its set does; true where it is missing. */
  readonly keepSetsWhole?: boolean;
  /**
   * Of all backups together (of the store's own, in the policy of a store): beyond it the oldest go that nothing but the
   * policies' rules keeps.
   */
  readonly maxSizeBytes?: number;
  /** How long a restore's safety backup is kept; 7 days where it is missing. */
  readonly keepSafetyMs?: number;
}

export interface Candidate {
  readonly id: string;
  readonly store: string;
  readonly createdAt: Date;
  readonly sizeBytes?: number;
  readonly setId?: string;
  /** Kept whatever the policy says. */
  readonly pinned?: boolean;
  /** Taken by a restore: not counted among the store's backups, kept for a time of its own. */
  readonly isSafety?: boolean;
  /** Its last check failed: it is no proof that a good backup is there. */
  readonly isDamaged?: boolean;
  readonly isVerified?: boolean;
  readonly isDrilled?: boolean;
}

export interface Decision {
  readonly id: string;
  readonly store: string;
  readonly keep: boolean;
  /** Why it is kept, or the one reason why not. */
  readonly reasons: readonly string[];
}

const dayMs = 24 * 3600 * 1000;
export const defaultKeepSafetyMs = 7 * dayMs;
/** Clocks of machines that share a repository differ by as much. */
const clockMarginMs = 5 * 60 * 1000;

/** The rules that count; a policy with none of them is refused by `isEmptyPolicy`. */
const rules = ['keepLast', 'keepWithinMs', ...periodNames, 'maxSizeBytes'] as const;

export function isEmptyPolicy(policy: RetentionPolicy): boolean {
  return rules.every((rule) => !policy[rule]);
}

/** Policies of single stores, instead of the common one; each is complete. */
export type PoliciesOfStores = ReadonlyMap<string, RetentionPolicy>;

/**
 * One decision per backup, per store newest first. Never taken, whatever the policy: of each store the newest, the newest
 * that is not known to be damaged, the newest verified and the newest drilled; pins; safety backups within their time.
 *
 * A backup whose time lies in the future was made under a wrong clock: it is kept until its time has come, and is not
 * counted by any rule, or it would stand for the newest and let the true one go.
 */
export function planRetention(
  backups: readonly Candidate[],
  policy: RetentionPolicy,
  { now, ofStores = new Map() }: { readonly now: Date; readonly ofStores?: PoliciesOfStores },
): readonly Decision[] {
  const plan = new Plan(backups, now);
  const policyOf = ({ store }: Pick<Candidate, 'store'>) => ofStores.get(store) ?? policy;
  for (const [store, ofStore] of plan.stores) {
    keepUntouchable(plan, ofStore, policyOf({ store }), now);
    keepByRules(plan, ofStore.ordinary, policyOf({ store }));
  }
  for (const [store, { all }] of plan.stores) {
    const own = ofStores.get(store)?.maxSizeBytes;
    if (own) dropOverSize(plan, Map.groupBy(all, (backup) => backup).values(), own, 'the store');
  }
  const isWhole = (backup: Candidate) => policyOf(backup).keepSetsWhole ?? true;
  keepSets(plan, isWhole);
  const { maxSizeBytes } = policy;
  if (maxSizeBytes) dropOverSize(plan, wholeSets(plan.all(), isWhole), maxSizeBytes, 'the repository');
  return plan.decisions();
}

interface OfStore {
  /** Newest first. */
  readonly all: readonly Candidate[];
  /** Without safety backups and those of the future. */
  readonly ordinary: readonly Candidate[];
}

class Plan {
  readonly stores: ReadonlyMap<string, OfStore>;
  readonly #reasons = new Map<Candidate, string[]>();
  readonly #untouchable = new Set<Candidate>();
  readonly #dropped = new Map<Candidate, string>();

  constructor(backups: readonly Candidate[], now: Date) {
    const sorted = [...backups].sort(
      (a, b) => b.createdAt.getTime() - a.createdAt.getTime() || (a.id < b.id ? 1 : -1),
    );
    for (const backup of sorted) this.#reasons.set(backup, []);
    const groups = Map.groupBy(sorted, (backup) => backup.store);
    const stores = [...groups].map(([store, all]): [string, OfStore] => {
      return [store, { all, ordinary: all.filter((backup) => !backup.isSafety && !isOfFuture(backup, now)) }];
    });
    this.stores = new Map(stores);
  }

  keep(backup: Candidate | undefined, reason: string, isUntouchable = false): void {
    if (!backup) return;
    if (this.#dropped.delete(backup)) this.#reasons.set(backup, []);
    this.#reasons.get(backup)?.push(reason);
    if (isUntouchable) this.#untouchable.add(backup);
  }

  drop(backup: Candidate, reason: string): void {
    this.#dropped.set(backup, reason);
  }

  isKept(backup: Candidate): boolean {
    return !this.#dropped.has(backup) && (this.#reasons.get(backup) ?? []).length > 0;
  }

  mayBeDropped(backup: Candidate): boolean {
    return this.isKept(backup) && !this.#untouchable.has(backup);
  }

  all(): Candidate[] {
    return [...this.stores.values()].flatMap(({ all }) => all);
  }

  decisions(): Decision[] {
    return this.all().map((backup) => {
      const { id, store } = backup;
      if (this.isKept(backup)) return { id, store, keep: true, reasons: this.#reasons.get(backup) ?? [] };
      const why = backup.isSafety ? 'safety backup past its time' : 'no rule keeps it';
      return { id, store, keep: false, reasons: [this.#dropped.get(backup) ?? why] };
    });
  }
}

function isOfFuture({ createdAt }: Candidate, now: Date): boolean {
  return createdAt.getTime() > now.getTime() + clockMarginMs;
}

function keepUntouchable(plan: Plan, { all, ordinary }: OfStore, policy: RetentionPolicy, now: Date): void {
  plan.keep(ordinary[0] ?? all[0], 'newest', true);
  const good = ordinary.find((backup) => !backup.isDamaged);
  if (good !== ordinary[0]) plan.keep(good, 'newest good', true);
  const sound = ordinary.filter((backup) => !backup.isDamaged);
  plan.keep(
    sound.find((backup) => backup.isVerified),
    'newest verified',
    true,
  );
  plan.keep(
    sound.find((backup) => backup.isDrilled),
    'newest drilled',
    true,
  );
  const keepSafetyMs = policy.keepSafetyMs ?? defaultKeepSafetyMs;
  for (const backup of all) {
    if (backup.pinned) plan.keep(backup, 'pinned', true);
    if (isOfFuture(backup, now)) plan.keep(backup, 'its time is in the future', true);
    const ageMs = now.getTime() - backup.createdAt.getTime();
    if (backup.isSafety && ageMs < keepSafetyMs) plan.keep(backup, 'safety backup within its time', true);
  }
}

function keepByRules(plan: Plan, sorted: readonly Candidate[], policy: RetentionPolicy): void {
  // A cap takes away and keeps nothing: where it is the only rule, everything else stays.
  const isOnlyRule = rules.every((rule) => rule === 'maxSizeBytes' || !policy[rule]);
  if (isOnlyRule) for (const backup of sorted) plan.keep(backup, 'within the size cap');
  for (const backup of sorted.slice(0, policy.keepLast ?? 0)) plan.keep(backup, 'last');
  keepWithin(plan, sorted, policy.keepWithinMs);
  for (const period of periodNames) keepPeriods(plan, sorted, period, policy);
}

/** Not from now: a clock set forward would make everything old at once. */
function keepWithin(plan: Plan, sorted: readonly Candidate[], withinMs: number | undefined): void {
  const newest = sorted[0];
  if (!newest || !withinMs) return;
  for (const backup of sorted) {
    if (newest.createdAt.getTime() - backup.createdAt.getTime() < withinMs) plan.keep(backup, 'within');
  }
}

/** The newest backup of each of the last periods that have one. */
function keepPeriods(
  plan: Plan,
  sorted: readonly Candidate[],
  name: PeriodName,
  policy: RetentionPolicy,
): void {
  const count = policy[name] ?? 0;
  const { label, bucketOf } = bucketsIn(name, policy);
  const seen = new Set<string>();
  for (const backup of sorted) {
    if (seen.size >= count) return;
    const bucket = bucketOf(backup.createdAt);
    if (seen.has(bucket)) continue;
    seen.add(bucket);
    plan.keep(backup, label);
  }
}

/** The oldest groups go first, each as one. */
function dropOverSize(
  plan: Plan,
  groups: Iterable<readonly Candidate[]>,
  maxSizeBytes: number,
  what: string,
): void {
  const kept = [...groups].map((group) => group.filter((backup) => plan.isKept(backup)));
  const bytesOf = (group: readonly Candidate[]) =>
    group.reduce((sum, { sizeBytes = 0 }) => sum + sizeBytes, 0);
  const newestOf = (group: readonly Candidate[]) =>
    Math.max(...group.map(({ createdAt }) => createdAt.getTime()));
  let total = bytesOf(kept.flat());
  for (const group of kept.toSorted((a, b) => newestOf(a) - newestOf(b))) {
    if (total <= maxSizeBytes) return;
    if (!group.every((backup) => plan.mayBeDropped(backup))) continue;
    for (const backup of group) plan.drop(backup, `${what} is over its size cap`);
    total -= bytesOf(group);
  }
}

/** Sets that are kept whole count and go as one, or the cap would free nothing; all others are by themselves. */
function wholeSets(
  backups: readonly Candidate[],
  isWhole: (backup: Candidate) => boolean,
): Iterable<readonly Candidate[]> {
  const whole = new Set(backups.filter(isWhole).map(({ setId }) => setId));
  return Map.groupBy(backups, (backup) => (whole.has(backup.setId) && backup.setId) || backup).values();
}

function keepSets(plan: Plan, isWhole: (backup: Candidate) => boolean): void {
  const sets = Map.groupBy(plan.all(), (backup) => backup.setId);
  for (const [setId, members] of sets) {
    if (setId === undefined || !members.some((backup) => plan.isKept(backup))) continue;
    for (const backup of members.filter(isWhole)) {
      if (!plan.isKept(backup)) plan.keep(backup, 'its set is kept whole');
    }
  }
}
