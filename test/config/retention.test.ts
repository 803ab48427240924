import { describe, expect, it } from 'vitest';
import { choosePolicy } from '../../src/config/choose-policy.ts';
import { durationMs, durationPattern } from '../../src/config/duration.ts';
import { retentionSchema } from '../../src/config/retention.ts';
import { sizeBytes, sizePattern } from '../../src/config/size.ts';

const day = 24 * 3_600_000;
const ofStores = new Map();
const nowhere = { policy: undefined, from: '', ofStores };
const config = { policy: { keepLast: 9 }, from: 'pkbackup.yaml', ofStores };

describe('durations', () => {
  it.each([
    ['90s', 90_000],
    ['90m', 90 * 60_000],
    ['12h', 12 * 3_600_000],
    ['30d', 30 * day],
    ['6w', 42 * day],
    ['1y', 365 * day],
  ])('%s is understood', (text, expected) => {
    expect(durationPattern.test(text)).toBe(true);
    expect(durationMs(text)).toBe(expected);
  });

  it.each(['', '30', 'd', '0d', '-1d', '1.5d', '30 d', '30days'])('%j is refused', (text) => {
    expect(durationPattern.test(text)).toBe(false);
  });
});

describe('the retention of the config file', () => {
  it('becomes a policy', () => {
    expect(retentionSchema.parse({ keep_daily: 7, keep_within: '30d' })).toEqual({
      keepDaily: 7,
      keepWithinMs: 30 * day,
    });
    expect(
      retentionSchema.parse({ max_size: '1GB', week_start: 'sunday', time_zone: 'UTC', keep_safety: '2w' }),
    ).toEqual({ maxSizeBytes: 1e9, weekStart: 7, timeZone: 'UTC', keepSafetyMs: 14 * day });
  });

  it.each([[{}], [{ keep_daily: 0 }], [{ keep_daily: '7' }], [{ keep_within: 30 }], [{ keep_hours: 1 }]])(
    'is refused: %j',
    (retention) => {
      expect(retentionSchema.safeParse(retention).success).toBe(false);
    },
  );
});

describe('sizes', () => {
  it.each([
    ['50GB', 50e9],
    ['1.5 TB', 1.5e12],
    ['500MiB', 500 * 1024 ** 2],
    ['10kb', 10_000],
  ])('%s is understood', (text, bytes) => {
    expect(sizePattern.test(text)).toBe(true);
    expect(sizeBytes(text)).toBe(bytes);
  });

  it.each(['', '50', 'GB', '-1GB', '1.GB', '5 0GB', '50 G'])('%j is refused', (text) => {
    expect(sizePattern.test(text)).toBe(false);
  });
});

describe('choosePolicy', () => {
  it('takes what is no rule from the file in any case', () => {
    const zoned = {
      policy: { keepLast: 9, timeZone: 'UTC', weekStart: 7, keepSetsWhole: false },
      from: 'pkbackup.yaml',
      ofStores,
    };
    expect(choosePolicy({ keepDaily: '2', maxSize: '1GB' }, {}, zoned).policy).toEqual({
      keepDaily: 2,
      maxSizeBytes: 1e9,
      timeZone: 'UTC',
      weekStart: 7,
      keepSetsWhole: false,
    });
    expect(choosePolicy({}, {}, zoned)).toEqual(zoned);
  });

  it('takes flags first, then the environment, then the file, then the 30 days of the replaced scripts', () => {
    const environment = { KEEP_DAILY: '7', KEEP_WEEKLY: '4' };
    expect(choosePolicy({ keepLast: '3' }, environment, config)).toEqual({
      policy: { keepLast: 3 },
      from: 'flags',
      ofStores,
    });
    expect(choosePolicy({}, environment, config)).toEqual({
      policy: { keepDaily: 7, keepWeekly: 4 },
      from: 'environment',
      ofStores,
    });
    expect(choosePolicy({}, {}, config)).toEqual(config);
    expect(choosePolicy({}, {}, nowhere)).toEqual({
      policy: { keepWithinMs: 30 * day },
      from: 'default',
      ofStores,
    });
  });

  it('knows the days of the replaced scripts, and that none turn retention off', () => {
    expect(choosePolicy({ retention: '14' }, {}, nowhere).policy).toEqual({ keepWithinMs: 14 * day });
    expect(choosePolicy({}, { RETENTION_DAYS: '14' }, nowhere).policy).toEqual({ keepWithinMs: 14 * day });
    expect(choosePolicy({ retention: '0' }, {}, config).policy).toBeUndefined();
    expect(choosePolicy({}, { RETENTION_DAYS: '-1' }, config).policy).toBeUndefined();
    expect(choosePolicy({ retention: '0', keepLast: '2' }, {}, config).policy).toEqual({ keepLast: 2 });
  });

  it('takes what is no rule from flags and KEEP_ variables too', () => {
    const zoned = { ...config, policy: { keepLast: 9, timeZone: 'UTC', weekStart: 1, keepSetsWhole: true } };
    const flags = { timeZone: 'Europe/Berlin', weekStart: 'sunday', keepSafety: '2d', keepSetsWhole: false };
    expect(choosePolicy(flags, {}, zoned)).toMatchObject({
      policy: {
        keepLast: 9,
        timeZone: 'Europe/Berlin',
        weekStart: 7,
        keepSafetyMs: 2 * day,
        keepSetsWhole: false,
      },
      from: 'pkbackup.yaml',
    });
    const variables = { KEEP_SAFETY: '3d', KEEP_SETS_WHOLE: 'false', TIME_ZONE: 'Mars' };
    expect(choosePolicy({}, variables, zoned).policy).toMatchObject({
      keepSafetyMs: 3 * day,
      keepSetsWhole: false,
      timeZone: 'UTC',
    });
    expect(choosePolicy({ keepSafety: '1d', keepSetsWhole: true }, variables, zoned).policy).toMatchObject({
      keepSafetyMs: day,
      keepSetsWhole: true,
    });
  });

  it('knows every rule as a flag, as a variable and as a key', () => {
    const keys = {
      keep_last: 3,
      keep_within: '30d',
      keep_hourly: 24,
      keep_daily: 7,
      keep_weekly: 4,
      keep_monthly: 3,
      keep_quarterly: 4,
      keep_yearly: 2,
      max_size: '50GB',
      keep_safety: '2d',
      keep_sets_whole: false,
    };
    const policy = retentionSchema.parse(keys);
    const inCamelCase = (key: string) => key.replace(/_[a-z]/g, (letter) => letter.slice(1).toUpperCase());
    const flags = Object.entries(keys).map(([key, value]) => {
      return [inCamelCase(key), typeof value === 'number' ? String(value) : value];
    });
    const variables = Object.entries(keys).map(([key, value]) => [key.toUpperCase(), String(value)]);
    expect(choosePolicy(Object.fromEntries(flags), {}, nowhere).policy).toEqual(policy);
    expect(choosePolicy({}, Object.fromEntries(variables), nowhere).policy).toEqual(policy);
  });

  it('gives a store its own rules, over what else the file says, unless flags or variables give rules', () => {
    const own = { keepDaily: 30, weekStart: 7, keepSetsWhole: false };
    const both = {
      policy: { keepLast: 9, maxSizeBytes: 1e9, timeZone: 'UTC', weekStart: 1 },
      from: 'pkbackup.yaml',
      ofStores: new Map([['memory', own]]),
    };
    const ofMemory = (flags = {}, environment = {}, config = both) =>
      choosePolicy(flags, environment, config).ofStores.get('memory');
    expect(ofMemory()).toEqual({ ...own, timeZone: 'UTC' });
    expect(ofMemory({ weekStart: 'tuesday' })).toEqual({ ...own, timeZone: 'UTC', weekStart: 2 });
    const settings = { timeZone: 'UTC', weekStart: 7, keepSetsWhole: false };
    // The size that a flag allows is that of all stores together.
    expect(ofMemory({ keepLast: '2', maxSize: '1GB' })).toEqual({ ...settings, keepLast: 2 });
    expect(ofMemory({}, { KEEP_LAST: '3' })).toEqual({ ...settings, keepLast: 3 });
    expect(ofMemory({ retention: '0' })).toBeUndefined();
    expect(choosePolicy({}, {}, { ...both, policy: undefined })).toMatchObject({
      policy: { keepWithinMs: 30 * day },
      from: 'default',
    });
  });

  it('counts on the clock of the whole file, unless something nearer says another', () => {
    const said = { ...config, timeZone: 'Asia/Tokyo', ofStores: new Map([['memory', { keepDaily: 30 }]]) };
    expect(choosePolicy({}, {}, said).policy).toEqual({ keepLast: 9, timeZone: 'Asia/Tokyo' });
    expect(choosePolicy({}, {}, said).ofStores.get('memory')).toMatchObject({ timeZone: 'Asia/Tokyo' });
    expect(choosePolicy({}, {}, { ...said, policy: undefined }).policy?.timeZone).toBe('Asia/Tokyo');
    const nearer = { ...said, policy: { keepLast: 9, timeZone: 'UTC' } };
    expect(choosePolicy({}, {}, nearer).policy?.timeZone).toBe('UTC');
    expect(choosePolicy({ timeZone: 'Europe/Oslo' }, {}, nearer).policy?.timeZone).toBe('Europe/Oslo');
  });

  it('says which flag or variable is wrong', () => {
    expect(() => choosePolicy({ keepDaily: 'seven' }, {}, nowhere)).toThrow(
      '--keep-daily: expected a whole number of at least 1, got "seven"',
    );
    expect(() => choosePolicy({ keepWithin: '30' }, {}, nowhere)).toThrow(
      '--keep-within: expected a duration',
    );
    expect(() => choosePolicy({}, { RETENTION_DAYS: 'x' }, nowhere)).toThrow(
      'RETENTION_DAYS: expected a number',
    );
    expect(() => choosePolicy({ timeZone: 'Mars' }, {}, nowhere)).toThrow(
      '--time-zone: expected a time zone',
    );
    expect(() => choosePolicy({ weekStart: 'now' }, {}, nowhere)).toThrow('--week-start: expected one of');
    expect(() => choosePolicy({ keepSafety: '7' }, {}, nowhere)).toThrow(
      '--keep-safety: expected a duration',
    );
    expect(() => choosePolicy({}, { KEEP_SETS_WHOLE: 'no' }, nowhere)).toThrow(
      'KEEP_SETS_WHOLE: expected true or false',
    );
  });
});
