// Hours, days, weeks, months, quarters and years as people count them where they live: two moments of one period have the
// same bucket.
export const periodNames = [
  'keepHourly',
  'keepDaily',
  'keepWeekly',
  'keepMonthly',
  'keepQuarterly',
  'keepYearly',
] as const;
export type PeriodName = (typeof periodNames)[number];

interface Zone {
  readonly timeZone?: string;
  readonly weekStart?: number;
}

interface LocalTime {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  /** `GMT+2`: the hour that a clock set back has twice is two hours. */
  readonly offset: string;
}

const dayMs = 24 * 3600 * 1000;

const buckets: Readonly<
  Record<PeriodName, { label: string; bucketOf: (at: LocalTime, zone: Zone) => string }>
> = {
  keepHourly: { label: 'hourly', bucketOf: (at) => `${dayOf(at)} ${at.hour} ${at.offset}` },
  keepDaily: { label: 'daily', bucketOf: dayOf },
  keepWeekly: { label: 'weekly', bucketOf: (at, zone) => String(weekOf(at, zone.weekStart ?? 1)) },
  keepMonthly: { label: 'monthly', bucketOf: (at) => `${at.year}-${at.month}` },
  keepQuarterly: { label: 'quarterly', bucketOf: (at) => `${at.year} ${Math.ceil(at.month / 3)}` },
  keepYearly: { label: 'yearly', bucketOf: (at) => String(at.year) },
};

export function bucketsIn(name: PeriodName, zone: Zone): { label: string; bucketOf: (at: Date) => string } {
  const { label, bucketOf } = buckets[name];
  const localTime = localTimeIn(zone.timeZone);
  return { label, bucketOf: (at) => bucketOf(localTime(at), zone) };
}

function dayOf({ year, month, day }: LocalTime): string {
  return `${year}-${month}-${day}`;
}

/** Weeks since the epoch, which was a Thursday. */
function weekOf({ year, month, day }: LocalTime, weekStart: number): number {
  const days = Date.UTC(year, month - 1, day) / dayMs;
  return Math.floor((days + 4 - weekStart) / 7);
}

const readers = new Map<string | undefined, (at: Date) => LocalTime>();

function localTimeIn(timeZone: string | undefined): (at: Date) => LocalTime {
  const known = readers.get(timeZone);
  if (known) return known;
  const format = new Intl.DateTimeFormat('en-US', {
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    hourCycle: 'h23',
    timeZoneName: 'longOffset',
    ...(timeZone ? { timeZone } : {}),
  });
  const read = (at: Date): LocalTime => {
    const parts = new Map(format.formatToParts(at).map(({ type, value }) => [type, value]));
    const number = (type: Intl.DateTimeFormatPartTypes) => Number(parts.get(type));
    return {
      year: number('year'),
      month: number('month'),
      day: number('day'),
      hour: number('hour'),
      offset: parts.get('timeZoneName') ?? '',
    };
  };
  readers.set(timeZone, read);
  return read;
}
