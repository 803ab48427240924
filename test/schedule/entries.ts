// Schedules and entries for the tests of what schedulers are told.
import fc from 'fast-check';
import {
  type Entry,
  nextTimes,
  parseExpression,
  readExpression,
  type Schedule,
} from '../../src/schedule/index.ts';

export const now = new Date('2026-11-20T12:00Z');

export function scheduleOf(expression: string, timeZone = 'UTC'): Schedule {
  return { expression, fields: parseExpression(expression), timeZone };
}

export function entryOf(schedules: Schedule | Schedule[], more: Partial<Entry> = {}): Entry {
  return {
    id: 'pkbackup-stack-1f3a9c2e',
    source: '/srv/stack/pkbackup.yaml',
    directory: '/srv/stack',
    environment: { PATH: '/usr/bin:/bin' },
    systemZone: 'UTC',
    jobs: [schedules].flat().map((schedule, index) => ({
      schedule,
      argv: [
        '/usr/bin/node',
        '/opt/pkbackup/bin/pkbackup.js',
        '--config',
        '/srv/stack/pkbackup.yaml',
        'backup',
        `s${index}`,
      ],
    })),
    ...more,
  };
}

/** Paths and values that have everything in them that somebody gives a meaning to. */
export const hostile = [
  `it's 100% "a b"`,
  '$HOME `id` $(id)',
  'back\\slash \\% \\\\',
  '%h %n %% %Y',
  '<a> & --> ]]>',
  'ünï çödé 雪',
  '#no ;comment |pipe *',
  'trailing\\',
];

const numbers = (least: number, most: number, count: number) => {
  return fc
    .uniqueArray(fc.integer({ min: least, max: most }), { minLength: 1, maxLength: count })
    .map((all) => all.sort((a, b) => a - b).join(','));
};
const orStar = (field: fc.Arbitrary<string>) => fc.oneof(fc.constant('*'), field);
const dates = fc.oneof(numbers(1, 31, 4), fc.constantFrom('L', '1,L', '29-31'));
const weekdays = fc.oneof(numbers(0, 6, 3), fc.constantFrom('5L', '1#2', '3#5', '0#1', 'mon-fri'));

/** Any expression, with the days that only some schedulers know where `isRich`. */
export function expressions(isRich: boolean): fc.Arbitrary<string> {
  const day = isRich ? dates : numbers(1, 31, 4);
  const weekday = isRich ? weekdays : numbers(0, 6, 3);
  return fc
    .tuple(
      orStar(fc.oneof(numbers(0, 59, 3), fc.constantFrom('*/15', '*/7'))),
      orStar(fc.oneof(numbers(0, 23, 3), fc.constantFrom('*/6', '9-17'))),
      orStar(day),
      orStar(numbers(1, 12, 3)),
      orStar(weekday),
    )
    .map((fields) => fields.join(' '))
    .filter(namesDays);
}

/** The 31st of April is none, and the fifth Wednesday of February comes every 28 years. */
function namesDays(expression: string): boolean {
  if (typeof readExpression(expression) === 'string') return false;
  return nextTimes(scheduleOf(expression), now, 1).length > 0;
}
