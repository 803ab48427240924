// What is not as it should be: each reason with what was found, and what to do about it. Pure functions.
import type { Problem } from '../operations/status.ts';
import { formatBytes, formatDays, formatLocalTime, formatSpan, oneLine, plural } from './format.ts';

export interface SaidProblem {
  readonly message: string;
  readonly hint: string;
}

/** Names of files are listed up to this many. */
const shownNames = 3;

export function sayProblem(problem: Problem, now: Date): SaidProblem {
  switch (problem.reason) {
    case 'never_backed_up':
      return {
        message: 'it was never backed up',
        hint: `make the first backup with: pkbackup backup ${problem.store}`,
      };
    case 'no_good_backup':
      return {
        message: 'every backup of it is known to be damaged',
        hint: `pkbackup backup ${problem.store} makes a new one; see to the disk of the repository`,
      };
    case 'missed_run': {
      const { dueAt, count, schedule, store } = problem;
      const others = count > 1 ? `, and ${plural(count - 1, 'more run')} since` : '';
      return {
        message: `the backup that was due ${formatLocalTime(dueAt)} is missing${others} (schedule "${oneLine(schedule)}")`,
        hint: `see why the scheduler did not make it, and make one now: pkbackup backup ${store}`,
      };
    }
    case 'too_old': {
      const { createdAt, maxAgeMs, store } = problem;
      return {
        message: `its newest good backup is ${sinceThen(createdAt, now)} old, and may be ${formatDays(maxAgeMs)} (max_age)`,
        hint: `make one now: pkbackup backup ${store}; then see why nothing makes one by itself`,
      };
    }
    case 'failing':
      return {
        message: failing('backup of it', problem, now),
        hint: `see to the reason, then: pkbackup backup ${problem.store}`,
      };
    case 'run_failing':
      return {
        message: failing(`pkbackup ${problem.operation}`, problem, now),
        hint: `see to the reason, then: pkbackup ${problem.operation}`,
      };
    case 'damaged': {
      const [stem = ''] = problem.stems;
      return {
        message: `${plural(problem.stems.length, 'damaged backup')}: ${namesOf(problem.stems)}`,
        hint: `pkbackup verify ${oneLine(stem)} looks again; what stays damaged is to be moved out of the repository, and its disk to be checked`,
      };
    }
    case 'shrunk': {
      const { store, before, shrink } = problem;
      return {
        message: `its newest backup has ${shrink.percent} % less than the one before: ${amounts(shrink)}`,
        hint: `if that is wrong, the data is in the one before: pkbackup pin ${oneLine(before)}; if it is right, raise max_shrink or back it up again: pkbackup backup ${store}`,
      };
    }
    case 'from_the_future':
      return {
        message: `its newest backup says that it is of ${formatLocalTime(problem.createdAt)}, which is in the future`,
        hint: `set the clock right; until then "${oneLine(problem.stem)}" counts as the newest, whatever is made after it`,
      };
    case 'not_verified':
      return {
        message: proofMissing('verified', problem, now),
        hint: `pkbackup verify ${problem.store} --level content`,
      };
    case 'not_drilled':
      return { message: proofMissing('drilled', problem, now), hint: `pkbackup drill ${problem.store}` };
    case 'no_repository':
      return {
        message: `there is no repository at "${oneLine(problem.directory)}"`,
        hint: 'see whether its disk is mounted; where it is new, pkbackup backup makes it',
      };
    case 'nothing_backed_up':
      return {
        message: 'nothing is backed up: no store is configured, and there is no backup',
        hint: 'pkbackup init finds what there is to back up; or name the right place with --config or --backup-dir',
      };
    case 'disk_full': {
      const { space, maxUsedPercent } = problem;
      return {
        message: `the disk of the repository is ${percentOf(space.usedPercent)} % full, and may be ${maxUsedPercent} % (max_disk_use); ${formatBytes(space.freeBytes)} are free`,
        hint: 'pkbackup prune --dry-run shows what can go; --empty-trash removes for good what is pruned already',
      };
    }
    case 'full_soon': {
      const { fullAt, space, perDayBytes } = problem;
      return {
        message: `the disk of the repository will be full in ${formatSpan(fullAt.getTime() - now.getTime())}: ${formatBytes(space.freeBytes)} are free, and backups take ${formatBytes(perDayBytes)} more every day`,
        hint: 'keep fewer (retention, after_backup: prune), or use a larger disk: pkbackup prune --dry-run shows what can go',
      };
    }
    case 'not_whole':
      return {
        message: `${plural(problem.names.length, 'file')} in the repository that ${problem.names.length === 1 ? 'was a backup and is' : 'were backups and are'} not whole any more: ${namesOf(problem.names)}`,
        hint: 'pkbackup list says what is wrong with each; bring back what is missing, or move it out of the repository',
      };
    case 'unfinished':
      return {
        message: `a run that died has left what it never finished: ${namesOf(problem.names)}`,
        hint: 'pkbackup recover finishes or removes it',
      };
    case 'crashed_run':
      return {
        message: `a run that died may have left containers stopped, or a restore or drill half done: ${namesOf(problem.journals)}`,
        hint: 'pkbackup recover lets go, undoes or ends it; with --dry-run it says what it would do',
      };
  }
}

function failing(
  what: string,
  { since, inARow, error }: { since: Date; inARow: number; error?: string },
  now: Date,
): string {
  const said = error === undefined ? '' : `: ${oneLine(error)}`;
  const count = inARow === 1 ? `the last ${what} failed` : `the last ${inARow} times, ${what} failed`;
  return `${count}, since ${formatLocalTime(since)} (${sinceThen(since, now)})${said}`;
}

function proofMissing(
  done: string,
  { since, maxAgeMs }: { since?: Date; maxAgeMs: number },
  now: Date,
): string {
  const key = `max_${done}_age`;
  const limit = `${formatDays(maxAgeMs)} (${key})`;
  if (since === undefined) return `none of its backups was ever ${done}, and one is to be every ${limit}`;
  return `nothing newer than ${sinceThen(since, now)} is ${done}, and it may be ${limit}`;
}

function amounts({ what, was, is }: { what: string; was: number; is: number }): string {
  if (what === 'bytes') return `${formatBytes(was)} then, ${formatBytes(is)} now`;
  return `${was} ${oneLine(what).replaceAll('_', ' ')} then, ${is} now`;
}

function namesOf(names: readonly string[]): string {
  const shown = names.slice(0, shownNames).map((name) => `"${oneLine(name)}"`);
  const more = names.length - shown.length;
  return [...shown, ...(more > 0 ? [`${more} more`] : [])].join(', ');
}

function sinceThen(then: Date, now: Date): string {
  return formatSpan(now.getTime() - then.getTime());
}

/** 85.2 is over 85, and must not look as if it were not. */
function percentOf(percent: number): string {
  return percent.toFixed(1).replace(/\.0$/, '');
}
