// The moments that a schedule names. A time that the clock leaps over comes as much later as the clock has leapt; one that the
// clock shows twice comes the first time, and both times where every hour is meant. So no night is left out, and none has two.
import type { DayRule, Fields } from './expression.ts';
import { clockOn, type LocalTime, localTime } from './zone.ts';

export interface Schedule {
  /** As people wrote it. */
  readonly expression: string;
  readonly fields: Fields;
  /** Name of the tz database. */
  readonly timeZone: string;
}

type Day = Omit<LocalTime, 'hour' | 'minute'>;

/** 29 February is eight years away where a century is no leap year. */
const furthestDays = 9 * 366;

/** The first moment later than `after`. */
export function nextTime(schedule: Schedule, after: Date): Date {
  const [time] = nextTimes(schedule, after, 1);
  if (time !== undefined) return time;
  throw new Error(`the schedule "${schedule.expression}" names no day within nine years`);
}

/** The first `count` moments later than `after`, in order. */
export function nextTimes(schedule: Schedule, after: Date, count: number): Date[] {
  return timesAfter(schedule, after).take(count).toArray();
}

/**
 * The moments in which the clock leaps over a time of the schedule; not where every hour is meant. Some schedulers leave that
 * time out.
 */
export function skippedTimes({ fields, timeZone }: Schedule, from: Date, days: number): Date[] {
  if (fields.hours.length === 24) return [];
  const found: Date[] = [];
  let day: Day = localTime(timeZone, from);
  for (let count = 0; count < days; count++, day = addDays(day, 1)) {
    if (!isOnDay(fields, day)) continue;
    const clock = clockOn(timeZone, day);
    const moments = timesOfDay(fields).map(([hour, minute]) => clock(hour, minute));
    found.push(...moments.filter(({ isSkipped }) => isSkipped).map(({ atMs }) => new Date(atMs[0] ?? 0)));
  }
  return found.filter((time) => time > from);
}

function* timesAfter(schedule: Schedule, after: Date): Generator<Date> {
  // A day earlier: what the clock leaps over before midnight comes after it.
  let day = addDays(localTime(schedule.timeZone, after), -1);
  let ofDay = momentsOn(schedule, day);
  let waiting: number[] = [];
  for (let idle = 0; idle < furthestDays; idle++) {
    day = addDays(day, 1);
    const ofNext = momentsOn(schedule, day);
    // For the same reason, those of two days are put in order together.
    const lastMs = Math.max(...ofDay);
    const known = new Set([...waiting, ...ofDay, ...ofNext].filter((ms) => ms > after.getTime()));
    const inOrder = [...known].sort((a, b) => a - b);
    waiting = inOrder.filter((ms) => ms > lastMs);
    for (const ms of inOrder.filter((ms) => ms <= lastMs)) {
      idle = 0;
      yield new Date(ms);
    }
    ofDay = ofNext;
  }
}

/** In milliseconds since 1970. */
function momentsOn({ fields, timeZone }: Schedule, day: Day): number[] {
  if (!isOnDay(fields, day)) return [];
  const clock = clockOn(timeZone, day);
  const isEveryHour = fields.hours.length === 24;
  return timesOfDay(fields).flatMap(([hour, minute]) => {
    const { atMs } = clock(hour, minute);
    return isEveryHour ? atMs : atMs.slice(0, 1);
  });
}

function timesOfDay({ hours, minutes }: Fields): [hour: number, minute: number][] {
  return hours.flatMap((hour) => minutes.map((minute): [number, number] => [hour, minute]));
}

function isOnDay({ months, days }: Fields, day: Day): boolean {
  return months.includes(day.month) && days.some((rule) => satisfies(rule, day));
}

function satisfies(rule: DayRule, day: Day): boolean {
  const weekday = new Date(Date.UTC(day.year, day.month - 1, day.date)).getUTCDay();
  const lastDate = new Date(Date.UTC(day.year, day.month, 0)).getUTCDate();
  switch (rule.on) {
    case 'every-day':
      return true;
    case 'dates':
      return rule.dates.includes(day.date);
    case 'last-date':
      return day.date === lastDate;
    case 'weekdays':
      return rule.weekdays.includes(weekday);
    case 'nth-weekday':
      return weekday === rule.weekday && Math.ceil(day.date / 7) === rule.nth;
    case 'last-weekday':
      return weekday === rule.weekday && day.date > lastDate - 7;
  }
}

function addDays({ year, month, date }: Day, days: number): Day {
  const moved = new Date(Date.UTC(year, month - 1, date + days));
  return { year: moved.getUTCFullYear(), month: moved.getUTCMonth() + 1, date: moved.getUTCDate() };
}
