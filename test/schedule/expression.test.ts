import { describe, expect, it } from 'vitest';
import { parseExpression, readExpression } from '../../src/schedule/index.ts';

const daysOf = (text: string) => parseExpression(text).days;

describe('a cron expression', () => {
  it('becomes numbers', () => {
    expect(parseExpression('*/20 2-4 * JAN,jul MON-FRI')).toEqual({
      minutes: [0, 20, 40],
      hours: [2, 3, 4],
      months: [1, 7],
      days: [{ on: 'weekdays', weekdays: [1, 2, 3, 4, 5] }],
    });
  });

  it.each([
    ['0 3 * * *', [{ on: 'every-day' }]],
    ['0 3 ? * ?', [{ on: 'every-day' }]],
    ['@weekly', [{ on: 'weekdays', weekdays: [0] }]],
    ['0 3 * * 7,6', [{ on: 'weekdays', weekdays: [0, 6] }]],
    ['0 3 1,L * *', [{ on: 'dates', dates: [1] }, { on: 'last-date' }]],
    ['0 3 * * 1#2', [{ on: 'nth-weekday', weekday: 1, nth: 2 }]],
    ['0 3 * * 7L', [{ on: 'last-weekday', weekday: 0 }]],
    [
      '0 3 13 * 5',
      [
        { on: 'dates', dates: [13] },
        { on: 'weekdays', weekdays: [5] },
      ],
    ],
  ])('"%s" has the days that cron gives it', (text, days) => {
    expect(daysOf(text)).toEqual(days);
  });

  it.each(['@hourly', '@daily', '@midnight', '@weekly', '@monthly', '@yearly', '@annually'])(
    '%s is known',
    (text) => {
      expect(typeof readExpression(text)).toBe('object');
    },
  );

  it.each([
    ['', 'with five fields'],
    ['0 3 * *', 'with five fields'],
    ['0 0 3 * * *', 'with five fields'],
    ['60 3 * * *', 'got value 60 expected range 0-59'],
    ['0 3 31 2,4 *', 'invalid explicit day of month'],
    ['0 3 30 2 *', 'invalid explicit day of month'],
    ['H 3 * * *', 'without "H"'],
    ['@secondly', 'expected one of @hourly'],
    ['daily', 'with five fields'],
    ['0 22-2 * * *', 'invalid range'],
  ])('"%s" is refused', (text, expected) => {
    expect(readExpression(text)).toContain(expected);
    expect(() => parseExpression(text)).toThrow(`got "${text}"`);
  });
});
