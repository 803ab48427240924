// Clocks of time zones: how far they are from UTC, and which moments a time on them names. The rules are those that come with
// Node.

export interface LocalTime {
  readonly year: number;
  /** 1 to 12. */
  readonly month: number;
  readonly date: number;
  readonly hour: number;
  readonly minute: number;
}

export const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

const formats = new Map<string, Intl.DateTimeFormat>();

function formatFor(timeZone: string): Intl.DateTimeFormat {
  const known = formats.get(timeZone);
  if (known !== undefined) return known;
  const made = new Intl.DateTimeFormat('en', { timeZone, timeZoneName: 'longOffset' });
  formats.set(timeZone, made);
  return made;
}

/** Whether two zones have the same time for the two years after `from`: `UTC` and `Etc/UTC`, or Berlin and Paris. */
export function isSameClock(one: string, other: string, from: Date): boolean {
  if (one === other) return true;
  for (let ms = from.getTime(); ms < from.getTime() + 2 * 366 * dayMs; ms += 12 * hourMs) {
    if (offsetMs(one, ms) !== offsetMs(other, ms)) return false;
  }
  return true;
}

/** How far the clock is ahead of UTC. */
export function offsetMs(timeZone: string, atMs: number): number {
  // `11/20/2026, GMT-03:30`, or only `GMT`.
  const [, sign, hours = '0', minutes = '0', seconds = '0'] =
    /GMT(?:([+-])(\d+):(\d+)(?::(\d+))?)?$/.exec(formatFor(timeZone).format(atMs)) ?? [];
  const ms = Number(hours) * hourMs + Number(minutes) * minuteMs + Number(seconds) * 1000;
  return sign === '-' ? -ms : ms;
}

export function localTime(timeZone: string, at: Date): LocalTime {
  const there = new Date(at.getTime() + offsetMs(timeZone, at.getTime()));
  return {
    year: there.getUTCFullYear(),
    month: there.getUTCMonth() + 1,
    date: there.getUTCDate(),
    hour: there.getUTCHours(),
    minute: there.getUTCMinutes(),
  };
}

/** A time that the clock shows not at all, once or twice on its day; not at all has the moment that it would have been. */
export interface Moments {
  readonly isSkipped: boolean;
  /** In milliseconds since 1970, in order; never empty. */
  readonly atMs: readonly number[];
}

/** What the clock of a zone does on one day: gives the moments of each of its times. */
export function clockOn(
  timeZone: string,
  { year, month, date }: Omit<LocalTime, 'hour' | 'minute'>,
): (hour: number, minute: number) => Moments {
  const midnightMs = Date.UTC(year, month - 1, date);
  const before = offsetMs(timeZone, midnightMs - dayMs);
  const after = offsetMs(timeZone, midnightMs + 2 * dayMs);
  if (before === after) {
    return (hour, minute) => ({
      isSkipped: false,
      atMs: [midnightMs + hour * hourMs + minute * minuteMs - before],
    });
  }
  const changeMs = changeBetween(timeZone, midnightMs - dayMs, midnightMs + 2 * dayMs);
  return (hour, minute) => {
    const shownMs = midnightMs + hour * hourMs + minute * minuteMs;
    const asBefore = shownMs - before;
    const asAfter = shownMs - after;
    const atMs = [...(asBefore < changeMs ? [asBefore] : []), ...(asAfter >= changeMs ? [asAfter] : [])];
    // As long after midnight as on other days: 02:30 is 03:30 on the day when 02:00 becomes 03:00.
    return atMs.length > 0 ? { isSkipped: false, atMs } : { isSkipped: true, atMs: [asBefore] };
  };
}

/** The first moment of the offset that the zone has at `toMs`; there is one change between the two. */
function changeBetween(timeZone: string, fromMs: number, toMs: number): number {
  const after = offsetMs(timeZone, toMs);
  let [low, high] = [fromMs, toMs];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (offsetMs(timeZone, middle) === after) high = middle;
    else low = middle;
  }
  return high;
}

/** Whether the clock is whole hours away from UTC, for the two years after `from`. */
export function hasWholeHours(timeZone: string, from: Date): boolean {
  for (let ms = from.getTime(); ms < from.getTime() + 2 * 366 * dayMs; ms += 12 * hourMs) {
    if (offsetMs(timeZone, ms) % hourMs !== 0) return false;
  }
  return true;
}
