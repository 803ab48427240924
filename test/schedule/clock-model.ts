// The plain way to say which moments a schedule names: look at the clock every minute. Slow, and hard to get wrong.
import type { DayRule, Fields } from '../../src/schedule/index.ts';

interface Shown {
  readonly ms: number;
  /** What the clock shows, as if it were UTC. */
  readonly shownMs: number;
}

const minuteMs = 60_000;

export function clockModel(timeZone: string, start: Date, minutes: number) {
  const format = new Intl.DateTimeFormat('en', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  });
  // What is shown a second time is told by what was shown before, also before the start.
  const first = start.getTime() - 180 * minuteMs;
  const shown = Array.from({ length: minutes + 180 }, (_, index): Shown => {
    const ms = first + index * minuteMs;
    const part = Object.fromEntries(format.formatToParts(ms).map(({ type, value }) => [type, Number(value)]));
    const { year = 0, month = 0, day = 0, hour, minute } = part;
    return { ms, shownMs: Date.UTC(year, month - 1, day, hour, minute) };
  });
  return {
    start,
    end: new Date(first + (shown.length - 1) * minuteMs),
    timesOf: (fields: Fields) => timesOf(fields, shown).filter((time) => time > start.toISOString()),
  };
}

function timesOf(fields: Fields, shown: readonly Shown[]): string[] {
  const seen = new Set<number>();
  const found = new Set<number>();
  const last = shown.at(-1)?.ms ?? 0;
  for (const [index, { ms, shownMs }] of shown.entries()) {
    const before = shown[index - 1]?.shownMs ?? shownMs - minuteMs;
    // Leapt over: as if it had gone on as before.
    for (let skippedMs = before + minuteMs; skippedMs < shownMs; skippedMs += minuteMs) {
      const wouldBe = ms + skippedMs - before - minuteMs;
      if (matches(fields, skippedMs) && wouldBe <= last) found.add(wouldBe);
    }
    if (matches(fields, shownMs) && (fields.hours.length === 24 || !seen.has(shownMs))) found.add(ms);
    seen.add(shownMs);
  }
  return [...found].sort((a, b) => a - b).map((ms) => new Date(ms).toISOString());
}

function matches({ minutes, hours, months, days }: Fields, shownMs: number): boolean {
  const time = new Date(shownMs);
  return (
    minutes.includes(time.getUTCMinutes()) &&
    hours.includes(time.getUTCHours()) &&
    months.includes(time.getUTCMonth() + 1) &&
    days.some((rule) => isOn(rule, time))
  );
}

/** Only the rules that the tests draw from. */
function isOn(rule: DayRule, time: Date): boolean {
  if (rule.on === 'every-day') return true;
  if (rule.on === 'dates') return rule.dates.includes(time.getUTCDate());
  if (rule.on === 'last-date') return new Date(time.getTime() + 24 * 60 * minuteMs).getUTCDate() === 1;
  throw new Error(`the model does not know "${rule.on}"`);
}
