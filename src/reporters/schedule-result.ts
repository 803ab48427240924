// The answers of pkbackup schedule. Pure functions.
import type { Job, ScheduleText } from '../schedule/index.ts';
import { alignColumns, formatAge } from './format.ts';
import type { TextLook } from './text-look.ts';

export interface NextBackup {
  readonly at: Date;
  readonly job: Job;
}

/** Files one below the other, each with its name where there are several. */
export function textsText(texts: readonly ScheduleText[]): string[] {
  return texts.flatMap(({ name, text }, index) => {
    const lines = text.trimEnd().split(/\r?\n/);
    if (texts.length === 1) return lines;
    return [...(index === 0 ? [] : ['']), `== ${name}`, ...lines];
  });
}

/** The time on the clock that the schedule goes by. */
export function nextText(times: readonly NextBackup[], { now, paint }: TextLook): string[] {
  return alignColumns(
    times.map(({ at, job: { schedule, stores } }) => [
      clockTime(at, schedule.timeZone),
      schedule.timeZone,
      paint('dim', formatAge(at, now)),
      stores?.join(', ') ?? 'all stores',
    ]),
  );
}

export function nextJson(times: readonly NextBackup[]): unknown {
  return times.map(({ at, job: { schedule, stores } }) => ({
    at: at.toISOString(),
    schedule: schedule.expression,
    time_zone: schedule.timeZone,
    stores: stores ?? null,
  }));
}

/** `2026-11-21 03:00`; that is how Swedes write it. */
function clockTime(at: Date, timeZone: string): string {
  return new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'short' }).format(at);
}
