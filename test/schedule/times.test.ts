import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  missedRun,
  nextTime,
  nextTimes,
  parseExpression,
  type Schedule,
  skippedTimes,
} from '../../src/schedule/index.ts';
import { clockModel } from './clock-model.ts';

const scheduleOf = (expression: string, timeZone: string): Schedule => {
  return { expression, fields: parseExpression(expression), timeZone };
};
const next = (expression: string, timeZone: string, after: string, count = 3) => {
  return nextTimes(scheduleOf(expression, timeZone), new Date(after), count).map((time) =>
    time.toISOString(),
  );
};

describe('the night when the clock goes forward', () => {
  it.each([
    // 02:00 becomes 03:00.
    [
      'Europe/Berlin',
      '30 2 * * *',
      '2026-03-28T12:00Z',
      '2026-03-29T01:30:00.000Z',
      '2026-03-30T00:30:00.000Z',
    ],
    [
      'America/New_York',
      '30 2 * * *',
      '2026-03-07T12:00Z',
      '2026-03-08T07:30:00.000Z',
      '2026-03-09T06:30:00.000Z',
    ],
    // 02:00 becomes 02:30: 02:15 is 02:45.
    [
      'Australia/Lord_Howe',
      '15 2 * * *',
      '2026-10-03T00:00Z',
      '2026-10-03T15:45:00.000Z',
      '2026-10-04T15:15:00.000Z',
    ],
    // 00:00 becomes 01:00.
    [
      'Africa/Cairo',
      '30 0 * * *',
      '2026-04-23T12:00Z',
      '2026-04-23T22:30:00.000Z',
      '2026-04-24T21:30:00.000Z',
    ],
  ])('in %s, what it leaps over comes that much later', (timeZone, expression, after, ...expected) => {
    expect(next(expression, timeZone, after, 2)).toEqual(expected);
  });

  it('is a backup, not two, where the time after the leap is named too', () => {
    expect(next('0 2,3 * * *', 'Europe/Berlin', '2026-03-28T23:30Z', 2)).toEqual([
      '2026-03-29T01:00:00.000Z',
      '2026-03-30T00:00:00.000Z',
    ]);
  });

  it('is told, so that a scheduler that leaves it out can be warned of', () => {
    const year = [new Date('2026-01-01T00:00Z'), 365] as const;
    expect(skippedTimes(scheduleOf('30 2 * * *', 'Europe/Berlin'), ...year)).toEqual([
      new Date('2026-03-29T01:30:00Z'),
    ]);
    expect(skippedTimes(scheduleOf('30 3 * * *', 'Europe/Berlin'), ...year)).toEqual([]);
    expect(skippedTimes(scheduleOf('30 * * * *', 'Europe/Berlin'), ...year)).toEqual([]);
    expect(skippedTimes(scheduleOf('30 2 * * 1', 'Europe/Berlin'), ...year)).toEqual([]);
  });
});

describe('the night when the clock goes back', () => {
  it.each([
    [
      'Europe/Berlin',
      '30 2 * * *',
      '2026-10-24T12:00Z',
      '2026-10-25T00:30:00.000Z',
      '2026-10-26T01:30:00.000Z',
    ],
    [
      'America/New_York',
      '30 1 * * *',
      '2026-10-31T12:00Z',
      '2026-11-01T05:30:00.000Z',
      '2026-11-02T06:30:00.000Z',
    ],
    [
      'Australia/Lord_Howe',
      '45 1 * * *',
      '2026-04-04T00:00Z',
      '2026-04-04T14:45:00.000Z',
      '2026-04-05T15:15:00.000Z',
    ],
  ])('in %s, what comes twice is a backup the first time', (timeZone, expression, after, ...expected) => {
    expect(next(expression, timeZone, after, 2)).toEqual(expected);
    // Also for who asks between the two.
    expect(next(expression, timeZone, expected[0] ?? '', 1)).toEqual(expected.slice(1));
  });

  it('has an hour more for what comes every hour', () => {
    expect(next('30 * * * *', 'Europe/Berlin', '2026-10-24T23:40Z', 3)).toEqual([
      '2026-10-25T00:30:00.000Z',
      '2026-10-25T01:30:00.000Z',
      '2026-10-25T02:30:00.000Z',
    ]);
  });
});

describe('leap days', () => {
  it('come every four years, and not in 2100', () => {
    expect(next('0 3 29 2 *', 'UTC', '2026-01-01T00:00Z', 2)).toEqual([
      '2028-02-29T03:00:00.000Z',
      '2032-02-29T03:00:00.000Z',
    ]);
    expect(next('0 3 29 2 *', 'Europe/Berlin', '2096-03-01T00:00Z', 1)).toEqual(['2104-02-29T02:00:00.000Z']);
  });

  it('are the last day of February, and the fifth Sunday of one', () => {
    expect(next('0 3 L 2 *', 'UTC', '2027-01-01T00:00Z', 2)).toEqual([
      '2027-02-28T03:00:00.000Z',
      '2028-02-29T03:00:00.000Z',
    ]);
    expect(next('0 3 * 2 2#5', 'UTC', '2026-01-01T00:00Z', 1)).toEqual(['2028-02-29T03:00:00.000Z']);
  });

  it('move no weekday', () => {
    expect(next('0 3 * * 3', 'America/New_York', '2028-02-23T12:00Z', 2)).toEqual([
      '2028-03-01T08:00:00.000Z',
      '2028-03-08T08:00:00.000Z',
    ]);
  });
});

describe('any schedule around any change of any clock', () => {
  const changes: [timeZone: string, from: string][] = [
    ['Europe/Berlin', '2026-03-28T18:00Z'],
    ['Europe/Berlin', '2026-10-24T18:00Z'],
    ['America/New_York', '2026-03-08T00:00Z'],
    ['America/New_York', '2026-11-01T00:00Z'],
    ['Australia/Lord_Howe', '2026-10-03T06:00Z'],
    ['Australia/Lord_Howe', '2026-04-04T06:00Z'],
    ['Africa/Cairo', '2026-04-23T12:00Z'],
    ['America/St_Johns', '2028-03-11T20:00Z'],
    ['Pacific/Chatham', '2026-09-26T06:00Z'],
    ['Asia/Kathmandu', '2028-02-28T12:00Z'],
  ];
  const numbers = (most: number) => fc.uniqueArray(fc.nat(most), { minLength: 1, maxLength: 5 });
  const field = (most: number) => fc.oneof(fc.constant('*'), numbers(most).map(String));

  it.each(changes)('%s, %s: minute by minute what a clock on the wall would show', (timeZone, from) => {
    const model = clockModel(timeZone, new Date(from), 30 * 60);
    const expressions = fc.tuple(field(59), field(4), fc.constantFrom('*', '*', '1,29', 'L', '4'));
    fc.assert(
      fc.property(expressions, ([minute, hour, date]) => {
        const schedule = scheduleOf(`${minute} ${hour} ${date} * *`, timeZone);
        const expected = model.timesOf(schedule.fields);
        const found = nextTimes(schedule, model.start, expected.length + 1);
        expect(found.pop()?.getTime()).toBeGreaterThan(model.end.getTime());
        expect(found.map((time) => time.toISOString())).toEqual(expected);
        // It is the same for those who ask later.
        const at = Math.floor(expected.length / 2);
        if (found[at]) expect(nextTime(schedule, new Date(found[at].getTime() - 1))).toEqual(found[at]);
      }),
      { numRuns: 50 },
    );
  });
});

describe('a missed run', () => {
  const nightly = scheduleOf('0 3 * * *', 'Europe/Berlin');
  const missed = (newest: string, now: string, graceMs?: number) => {
    return missedRun(nightly, new Date(newest), new Date(now), graceMs)?.toISOString();
  };

  it('is a moment since the newest backup that has passed', () => {
    expect(missed('2026-11-20T02:00:04Z', '2026-11-21T01:59Z')).toBeUndefined();
    expect(missed('2026-11-20T02:00:04Z', '2026-11-21T02:01Z')).toBe('2026-11-21T02:00:00.000Z');
    expect(missed('2026-11-17T02:00:04Z', '2026-11-21T02:01Z')).toBe('2026-11-18T02:00:00.000Z');
  });

  it('is none while there is time to end it', () => {
    expect(missed('2026-11-20T02:00:04Z', '2026-11-21T02:59Z', 3_600_000)).toBeUndefined();
    expect(missed('2026-11-20T02:00:04Z', '2026-11-21T03:01Z', 3_600_000)).toBe('2026-11-21T02:00:00.000Z');
  });

  it('is made up for by a backup by hand, and not by one from before', () => {
    expect(missed('2026-11-21T09:00Z', '2026-11-21T10:00Z')).toBeUndefined();
    expect(missed('2026-11-21T01:50Z', '2026-11-21T10:00Z')).toBe('2026-11-21T02:00:00.000Z');
  });

  it('is none in the night when the clock goes back, where one backup was made', () => {
    const schedule = scheduleOf('30 2 * * *', 'Europe/Berlin');
    const now = new Date('2026-10-25T12:00Z');
    expect(missedRun(schedule, new Date('2026-10-25T00:30:05Z'), now)).toBeUndefined();
  });
});
