// The retention policy as people write it in the config file: `retention:`, at the top and of single stores.
import { z } from 'zod';
import type { RetentionPolicy } from '../retention/index.ts';
import { durationMs, durationPattern } from './duration.ts';
import { sizeBytes, sizePattern } from './size.ts';

type Rule =
  | 'keepLast'
  | 'keepWithinMs'
  | 'keepHourly'
  | 'keepDaily'
  | 'keepWeekly'
  | 'keepMonthly'
  | 'keepQuarterly'
  | 'keepYearly'
  | 'maxSizeBytes';

const counts: readonly (readonly [key: string, rule: Rule])[] = [
  ['keep_last', 'keepLast'],
  ['keep_hourly', 'keepHourly'],
  ['keep_daily', 'keepDaily'],
  ['keep_weekly', 'keepWeekly'],
  ['keep_monthly', 'keepMonthly'],
  ['keep_quarterly', 'keepQuarterly'],
  ['keep_yearly', 'keepYearly'],
];

/** For messages. */
export const expected = {
  duration: 'a duration such as 30d, 12h or 6w',
  size: 'a size such as 50GB or 500MiB',
  count: 'a whole number of at least 1',
  timeZone: 'a time zone such as Europe/Berlin',
};

const count = z.int().min(1).optional();
const duration = z.string().regex(durationPattern, `expected ${expected.duration}`).optional();
export const weekdays = [
  'monday',
  'tuesday',
  'wednesday',
  'thursday',
  'friday',
  'saturday',
  'sunday',
] as const;

export const retentionSchema = z
  .strictObject({
    keep_last: count,
    keep_within: duration,
    keep_hourly: count,
    keep_daily: count,
    keep_weekly: count,
    keep_monthly: count,
    keep_quarterly: count,
    keep_yearly: count,
    max_size: z.string().regex(sizePattern, `expected ${expected.size}`).optional(),
    keep_safety: duration,
    keep_sets_whole: z.boolean().optional(),
    time_zone: z.string().refine(isTimeZone, `expected ${expected.timeZone}`).optional(),
    week_start: z.enum(weekdays).optional(),
  })
  .refine((said) => Object.keys(said).some((key) => /^keep_(?!safety|sets)|^max_/.test(key)), {
    error: 'expected at least one rule: keep_last, keep_within, keep_daily ...',
    when: ({ issues }) => issues.length === 0,
  })
  .transform((said): RetentionPolicy => {
    const rules = counts.map(([key, rule]) => ({ [rule]: Reflect.get(said, key) }));
    return withoutUndefined(
      Object.assign({}, ...rules, {
        keepWithinMs: said.keep_within && durationMs(said.keep_within),
        maxSizeBytes: said.max_size && sizeBytes(said.max_size),
        keepSafetyMs: said.keep_safety && durationMs(said.keep_safety),
        keepSetsWhole: said.keep_sets_whole,
        timeZone: said.time_zone,
        weekStart: said.week_start && weekdays.indexOf(said.week_start) + 1,
      }),
    );
  });

export function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }) !== undefined;
  } catch {
    return false;
  }
}

export function withoutUndefined(
  object: { [Key in keyof RetentionPolicy]: RetentionPolicy[Key] | undefined },
): RetentionPolicy {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}
