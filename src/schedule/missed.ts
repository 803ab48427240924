// Whether a store was to be backed up and was not: by its newest backup, whoever made it.
import { nextTime, type Schedule } from './times.ts';

/**
 * The first moment since `newest` for which there is no backup, where it is more than `graceMs` ago: a backup takes its time.
 * Undefined where nothing was missed.
 */
export function missedRun(schedule: Schedule, newest: Date, now: Date, graceMs = 0): Date | undefined {
  const due = nextTime(schedule, newest);
  return due.getTime() + graceMs < now.getTime() ? due : undefined;
}
