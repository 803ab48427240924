// One store, compared with what is expected of it. Pure, but for the clock rules, which are loaded where there is a schedule.
import type { Backup } from '../repository/index.ts';
import type { Schedule } from '../schedule/index.ts';
import type { Kind } from '../words.ts';
import { defaultMaxShrinkPercent, extentOf, type Shrink, shrinkOf } from './shrink.ts';
import type { KnownStore } from './status.ts';

export interface StoreStatus {
  readonly store: string;
  /** Undefined where it is not in the config file, and was never backed up well. */
  readonly kind: Kind | undefined;
  /** Whether it is to be backed up. */
  readonly isExpected: boolean;
  readonly ok: boolean;
  readonly problems: readonly StoreProblem[];
  /** Without those that restores have taken. */
  readonly backupCount: number;
  readonly newest?: Backup;
  /** The newest that is not known to be damaged. */
  readonly newestGood?: Backup;
  readonly verified?: Proof;
  readonly drilled?: Proof;
  /** Of the last good backups, the newest first. */
  readonly sizes: readonly SizeAt[];
  /** When the next backup is due, by the schedule or by the age that is allowed. */
  readonly dueAt?: Date;
  readonly schedule?: string;
  readonly lastRun?: LastRun;
  readonly pinned: readonly Backup[];
}

/** The newest backup that was proved. */
export interface Proof {
  readonly backup: Backup;
  /** When it was checked the last time. */
  readonly at: Date;
  /**
   * Since when nothing newer is proved: the check, where it was of the newest good backup; else the moment that the backup
   * shows. Checks of old backups say nothing of the new ones.
   */
  readonly since: Date;
  readonly recoveryMs?: number;
}

export interface SizeAt {
  readonly at: Date;
  readonly bytes: number;
}

/** What came of the last backup run for it, whether it made one or not. */
export interface LastRun {
  readonly at: Date;
  readonly ok: boolean;
  readonly failuresTotal: number;
  readonly durationMs?: number;
}

export type StoreProblem = { readonly store: string } & (
  | { readonly reason: 'never_backed_up' }
  | { readonly reason: 'no_good_backup' }
  | { readonly reason: 'missed_run'; readonly dueAt: Date; readonly count: number; readonly schedule: string }
  | { readonly reason: 'too_old'; readonly createdAt: Date; readonly maxAgeMs: number }
  | { readonly reason: 'failing'; readonly since: Date; readonly inARow: number; readonly error?: string }
  | { readonly reason: 'damaged'; readonly stems: readonly string[] }
  | { readonly reason: 'shrunk'; readonly before: string; readonly shrink: Shrink }
  | { readonly reason: 'from_the_future'; readonly stem: string; readonly createdAt: Date }
  | { readonly reason: 'not_verified'; readonly since?: Date; readonly maxAgeMs: number }
  | { readonly reason: 'not_drilled'; readonly since?: Date; readonly maxAgeMs: number }
);

export interface Surroundings {
  readonly at: Date;
  readonly schedule: string | undefined;
  readonly timeZone: string | undefined;
  readonly systemZone: string;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** A run may begin late, and takes its time: so the replaced health check had it, too. */
const usualGraceMs = hourMs;
const clockMarginMs = 5 * 60_000;
const shownSizes = 10;
/** So many missed runs are counted. */
const mostMissed = 1000;

export async function judgeStore(store: KnownStore, surroundings: Surroundings): Promise<StoreStatus> {
  const { name, kind, isExpected, outcome } = store;
  const backups = store.backups.filter(({ metadata }) => !metadata.safety);
  const good = backups.filter(({ isDamaged }) => !isDamaged);
  const [newestGood] = good;
  const verified = proofOf(good, ['archive', 'content', 'drill']);
  const drilled = proofOf(good, ['drill']);
  const due = await dueOf(store, good, surroundings);
  const problems: StoreProblem[] = [
    ...(isExpected ? expectedProblems(store, { backups, good, verified, drilled, due }, surroundings) : []),
    ...flaws(name, backups, surroundings.at),
  ];
  return {
    store: name,
    kind,
    isExpected,
    ok: problems.length === 0,
    problems,
    backupCount: backups.length,
    ...(backups[0] && { newest: backups[0] }),
    ...(newestGood && { newestGood }),
    ...(verified && { verified }),
    ...(drilled && { drilled }),
    sizes: good.slice(0, shownSizes).map(({ createdAt, metadata }) => ({
      at: createdAt,
      bytes: metadata.size_bytes,
    })),
    ...(due?.at && { dueAt: due.at }),
    ...(due?.schedule && { schedule: due.schedule.expression }),
    ...(outcome && {
      lastRun: {
        at: new Date(outcome.at),
        ok: outcome.ok,
        failuresTotal: outcome.failures_total,
        ...(outcome.duration_ms !== undefined && { durationMs: outcome.duration_ms }),
      },
    }),
    pinned: store.backups.filter(({ metadata }) => metadata.pinned),
  };
}

interface Facts {
  readonly backups: readonly Backup[];
  readonly good: readonly Backup[];
  readonly verified: Proof | undefined;
  readonly drilled: Proof | undefined;
  readonly due: Due | undefined;
}

function expectedProblems(
  { name: store, expects, outcome }: KnownStore,
  { backups, good, verified, drilled, due }: Facts,
  { at }: Surroundings,
): StoreProblem[] {
  const problems: StoreProblem[] = [];
  const [newest, before] = good;
  if (!newest) problems.push({ store, reason: backups.length === 0 ? 'never_backed_up' : 'no_good_backup' });
  if (due?.missed) {
    problems.push({
      store,
      reason: 'missed_run',
      ...due.missed,
      schedule: due.schedule?.expression ?? '',
    });
  }
  if (newest && due?.maxAgeMs !== undefined && at.getTime() - newest.createdAt.getTime() > due.maxAgeMs)
    problems.push({ store, reason: 'too_old', createdAt: newest.createdAt, maxAgeMs: due.maxAgeMs });
  if (outcome && !outcome.ok) {
    problems.push({
      store,
      reason: 'failing',
      since: new Date(outcome.failed_since ?? outcome.at),
      inARow: outcome.failures_in_a_row ?? 1,
      ...(outcome.error !== undefined && { error: outcome.error }),
    });
  }
  const shrink = newest && before && shrinkBetween(before, newest, expects.maxShrinkPercent);
  if (shrink && before) problems.push({ store, reason: 'shrunk', before: before.stem, shrink });
  const proofs = [
    ['not_verified', verified, expects.maxVerifiedAgeMs],
    ['not_drilled', drilled, expects.maxDrilledAgeMs],
  ] as const;
  for (const [reason, proof, maxAgeMs] of proofs) {
    if (!newest || maxAgeMs === undefined || !Number.isFinite(maxAgeMs)) continue;
    if (proof && at.getTime() - proof.since.getTime() <= maxAgeMs) continue;
    // The first ones have time to be proved.
    const oldest = good.at(-1) ?? newest;
    if (!proof && at.getTime() - oldest.createdAt.getTime() <= maxAgeMs) continue;
    problems.push({ store, reason, maxAgeMs, ...(proof && { since: proof.since }) });
  }
  return problems;
}

/** What is wrong with backups whoever still needs them. */
function flaws(store: string, backups: readonly Backup[], at: Date): StoreProblem[] {
  const stems = backups.filter(({ isDamaged }) => isDamaged).map(({ stem }) => stem);
  const [newest] = backups;
  const isOfFuture = newest && newest.createdAt.getTime() > at.getTime() + clockMarginMs;
  return [
    ...(stems.length > 0 ? [{ store, reason: 'damaged', stems } as const] : []),
    ...(isOfFuture
      ? [{ store, reason: 'from_the_future', stem: newest.stem, createdAt: newest.createdAt } as const]
      : []),
  ];
}

/** Of backups that older scripts made nothing is known but the size of the file. */
function shrinkBetween(
  { metadata: before }: Backup,
  { metadata: newest }: Backup,
  maxPercent = defaultMaxShrinkPercent,
): Shrink | undefined {
  if (before.form !== undefined || newest.form !== undefined) return undefined;
  return shrinkOf(extentOf(before), extentOf(newest), maxPercent);
}

/** Of the newest that passed one of these; of an archive or deeper, because a checksum says nothing of what was written. */
function proofOf(
  good: readonly Backup[],
  levels: readonly Backup['metadata']['checks'][number]['level'][],
): Proof | undefined {
  for (const [index, backup] of good.entries()) {
    const check = backup.metadata.checks.findLast(({ ok, level }) => ok && levels.includes(level));
    const at = new Date(check?.at ?? Number.NaN);
    if (!check || Number.isNaN(at.getTime())) continue;
    const since = index === 0 ? at : backup.createdAt;
    const { recovery_ms: recoveryMs } = check;
    return { backup, at, since, ...(recoveryMs !== undefined && { recoveryMs }) };
  }
  return undefined;
}

interface Due {
  readonly at?: Date;
  readonly schedule?: Schedule;
  readonly missed?: { readonly dueAt: Date; readonly count: number };
  /** Where an age counts: it is said, or no schedule is. */
  readonly maxAgeMs?: number;
}

/** A backup that is under way is missing until it is done: who takes long is given twice as long. */
async function dueOf(
  { configured, expects }: KnownStore,
  good: readonly Backup[],
  { at, systemZone, ...top }: Surroundings,
): Promise<Due | undefined> {
  const [newest] = good;
  const longestMs = Math.max(0, ...good.slice(0, 5).map(({ metadata }) => metadata.duration_ms ?? 0));
  const graceMs = Math.max(usualGraceMs, 2 * longestMs);
  const expression = configured?.schedule ?? top.schedule;
  if (expression === undefined) {
    const maxAgeMs = expects.maxAgeMs ?? dayMs + graceMs;
    return { ...ageDue(newest, maxAgeMs), maxAgeMs };
  }
  const { missedRun, nextTime, nextTimes, scheduleOf } = await import('../schedule/index.ts');
  const schedule = scheduleOf(top, configured ?? {}, systemZone);
  const age = expects.maxAgeMs === undefined ? {} : { maxAgeMs: expects.maxAgeMs };
  if (!schedule) return newest && 'maxAgeMs' in age ? { ...ageDue(newest, age.maxAgeMs), ...age } : age;
  if (!newest) return { schedule, at: nextTime(schedule, at), ...age };
  const dueAt = missedRun(schedule, newest.createdAt, at, graceMs);
  if (!dueAt) return { schedule, at: nextTime(schedule, at), ...age };
  const missed = nextTimes(schedule, newest.createdAt, mostMissed).filter((time) => {
    return time.getTime() + graceMs < at.getTime();
  });
  return { schedule, at: nextTime(schedule, at), missed: { dueAt, count: missed.length }, ...age };
}

function ageDue(newest: Backup | undefined, maxAgeMs: number | undefined): { at?: Date } {
  if (!newest || maxAgeMs === undefined || !Number.isFinite(maxAgeMs)) return {};
  return { at: new Date(newest.createdAt.getTime() + maxAgeMs) };
}
