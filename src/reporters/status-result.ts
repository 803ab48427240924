// The answer of `pkbackup status`, and of pkbackup alone: every store in one line, the repository, and each thing that is not
// as it should be with what to do about it. Pure functions.
import type {
  Problem,
  Proof,
  RepositoryStatus,
  SizeAt,
  StatusResult,
  StoreStatus,
} from '../operations/status.ts';
import {
  alignColumns,
  formatAge,
  formatBytes,
  formatDuration,
  formatLocalTime,
  formatSpan,
  oneLine,
  plural,
} from './format.ts';
import type { Paint } from './palette.ts';
import { sayProblem } from './status-problem.ts';
import type { TextLook } from './text-look.ts';

export function statusText(result: StatusResult, repository: string, look: TextLook): string[] {
  const { stores, problems } = result;
  const rows = stores.map((store) => rowOf(store, look));
  return [
    `${plural(stores.length, 'store')} · repository ${repository}${roomText(result.repository, look.now)}`,
    '',
    ...(rows.length > 0 ? alignColumns(rows, [3]) : ['  nothing is backed up yet']),
    ...leftoverLines(result.repository),
    '',
    ...(problems.length === 0 ? [look.paint('good', 'all is as it should be')] : problemLines(result, look)),
  ];
}

/** What pkbackup alone adds for those who see it the first time. */
export const firstSteps = 'pkbackup backup makes a backup of each store; pkbackup --help shows all commands';

function roomText({ space, backupBytes, fullAt }: RepositoryStatus, now: Date): string {
  const parts = [
    ...(backupBytes > 0 ? [formatBytes(backupBytes)] : []),
    ...(space ? [`${formatBytes(space.freeBytes)} free`] : []),
    ...(fullAt ? [`full in ${formatSpan(fullAt.getTime() - now.getTime())} at this rate`] : []),
  ];
  return parts.length === 0 ? '' : ` (${parts.join(', ')})`;
}

function rowOf(status: StoreStatus, { paint, now }: TextLook): string[] {
  const { store, kind = '', newestGood, newest, isExpected } = status;
  const head = [`  ${status.ok ? '' : paint('bad', '! ')}${oneLine(store)}`, kind];
  const absent = newest ? 'no good backup' : 'never backed up';
  if (!newestGood) return [...head, isExpected ? paint('bad', absent) : absent];
  return [
    ...head,
    formatAge(newestGood.createdAt, now),
    formatBytes(newestGood.metadata.size_bytes),
    trendOf(status.sizes),
    proofsOf(status, now, paint),
    marksOf(status),
  ];
}

/** Against the one before. */
function trendOf([newest, before]: readonly SizeAt[]): string {
  if (!newest || !before || before.bytes === 0) return '';
  const percent = (100 * (newest.bytes - before.bytes)) / before.bytes;
  if (Math.abs(percent) < 0.05) return '=';
  return `${percent > 0 ? '+' : ''}${percent.toFixed(Math.abs(percent) < 10 ? 1 : 0)} %`;
}

/** Of the newest backup that was proved, which need not be the newest of all. */
function proofsOf({ verified, drilled, newestGood }: StoreStatus, now: Date, paint: Paint): string {
  const text = (what: string, { at, backup, recoveryMs }: Proof) => {
    const which = backup === newestGood ? '' : ` (of ${formatLocalTime(backup.createdAt)})`;
    const time = recoveryMs === undefined ? '' : `, ${formatDuration(recoveryMs)}`;
    return `${what} ${formatAge(at, now)}${time}${which}`;
  };
  const isSame = verified && drilled && verified.backup === drilled.backup && verified.at >= drilled.at;
  const parts = [
    ...(verified && !(isSame && verified.at.getTime() === drilled.at.getTime())
      ? [text('verified', verified)]
      : []),
    ...(drilled ? [text('drilled', drilled)] : []),
  ];
  return parts.length === 0 ? paint('dim', 'not verified') : paint('good', parts.join(', '));
}

function marksOf({ isExpected, schedule, dueAt, pinned, lastRun }: StoreStatus): string {
  return [
    ...(isExpected ? [] : ['not in the config file']),
    ...(schedule !== undefined && dueAt ? [`next ${formatLocalTime(dueAt)}`] : []),
    ...(pinned.length > 0 ? [`${pinned.length} pinned`] : []),
    ...(lastRun && lastRun.failuresTotal > 0 ? [`${plural(lastRun.failuresTotal, 'failure')} so far`] : []),
  ].join(', ');
}

/** What is damaged or dead is among the problems. */
function leftoverLines({ leftovers }: RepositoryStatus): string[] {
  const foreign = leftovers.filter(({ state }) => state === 'foreign');
  if (foreign.length === 0) return [];
  return ['', `${plural(foreign.length, 'file')} without metadata in the repository (pkbackup list)`];
}

function problemLines({ problems, at }: StatusResult, { paint }: TextLook): string[] {
  return [
    paint('bad', `${plural(problems.length, 'thing')} not as it should be:`),
    ...problems.flatMap((problem) => {
      const { message, hint } = sayProblem(problem, at);
      const of = problem.store === undefined ? '' : `${oneLine(problem.store)}: `;
      return [`  ${of}${message}`, `    hint: ${hint}`];
    }),
  ];
}

export function statusJson(result: StatusResult): Record<string, unknown> {
  const { ok, at, stores, repository, problems } = result;
  return {
    ok,
    at: at.toISOString(),
    problems: problems.map((problem) => problemJson(problem, at)),
    repository: repositoryJson(repository),
    stores: stores.map((store) => storeJson(store, at)),
  };
}

/** The reason and its sentence; the numbers behind it are in those of the store and of the repository. */
function problemJson(problem: Problem, at: Date): Record<string, unknown> {
  const { reason, store } = problem;
  return { reason, ...(store !== undefined && { store }), ...sayProblem(problem, at) };
}

function repositoryJson(status: RepositoryStatus): Record<string, unknown> {
  const { directory, ok, space, growthBytesPerDay, fullAt, leftovers, lastRuns } = status;
  return {
    directory,
    ok,
    free_bytes: space?.freeBytes,
    total_bytes: space?.totalBytes,
    used_percent: space && Number(space.usedPercent.toFixed(2)),
    max_used_percent: status.maxUsedPercent,
    backups: status.backupCount,
    backup_bytes: status.backupBytes,
    trash_bytes: status.trashBytes,
    growth_bytes_per_day: growthBytesPerDay === undefined ? undefined : Math.round(growthBytesPerDay),
    full_at: fullAt?.toISOString(),
    leftovers,
    last_runs: Object.fromEntries(
      [...lastRuns].map(([operation, { type: _, schema_version: __, ...run }]) => [operation, run]),
    ),
  };
}

function storeJson(status: StoreStatus, now: Date): Record<string, unknown> {
  const { store, kind, ok, isExpected, newest, newestGood, verified, drilled, lastRun } = status;
  return {
    store,
    kind,
    ok,
    is_expected: isExpected,
    reasons: status.problems.map(({ reason }) => reason),
    backups: status.backupCount,
    newest: newest?.stem ?? null,
    newest_good: newestGood ? backupJson(newestGood, now) : null,
    verified: verified ? proofJson(verified) : null,
    drilled: drilled ? proofJson(drilled) : null,
    sizes: status.sizes.map(({ at, bytes }) => ({ at: at.toISOString(), bytes })),
    schedule: status.schedule,
    due_at: status.dueAt?.toISOString(),
    last_run: lastRun && {
      at: lastRun.at.toISOString(),
      ok: lastRun.ok,
      duration_ms: lastRun.durationMs,
      failures_total: lastRun.failuresTotal,
    },
    pinned: status.pinned.map(({ stem, metadata: { pinned } }) => ({
      stem,
      ...(typeof pinned === 'string' && { reason: pinned }),
    })),
  };
}

type ListedBackup = NonNullable<StoreStatus['newestGood']>;

function backupJson({ stem, createdAt, metadata }: ListedBackup, now: Date): Record<string, unknown> {
  return {
    stem,
    created_at: createdAt.toISOString(),
    age_seconds: Math.round((now.getTime() - createdAt.getTime()) / 1000),
    size_bytes: metadata.size_bytes,
    set_id: metadata.set_id,
  };
}

function proofJson({ backup, at, recoveryMs }: Proof): Record<string, unknown> {
  return { stem: backup.stem, at: at.toISOString(), recovery_ms: recoveryMs };
}
