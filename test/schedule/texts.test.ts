// What cron, launchd and the Task Scheduler are told: read back as they read it, it must name the moments of the schedule and no
// others. systemd reads its own in units.docker.test.ts.
import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cronText, launchdTexts, nextTimes, type Schedule, taskTexts } from '../../src/schedule/index.ts';
import { intervalsOf } from '../../src/schedule/launchd-text.ts';
import { windowsQuoted } from '../../src/schedule/task-text.ts';
import { entryOf, expressions, hostile, now, scheduleOf } from './entries.ts';

const dayMs = 24 * 3600 * 1000;
/** A year with a leap day, from its first midnight. */
const start = new Date('2028-01-01T00:00Z');
const days = 366;

/** The moments within that year by a predicate of the clock (UTC). */
interface Clock {
  readonly minute: number;
  readonly hour: number;
  readonly date: number;
  readonly month: number;
  readonly weekday: number;
  readonly isLastDate: boolean;
  readonly week: number;
  readonly isLastWeek: boolean;
}

function momentsWhere(
  isDay: (clock: Clock) => boolean,
  isTime: (clock: Clock) => boolean,
  most: number,
): string[] {
  const found: string[] = [];
  for (let day = 0; day < days && found.length < most; day++) {
    const midnight = new Date(start.getTime() + day * dayMs);
    const lastDate = new Date(
      Date.UTC(midnight.getUTCFullYear(), midnight.getUTCMonth() + 1, 0),
    ).getUTCDate();
    const date = midnight.getUTCDate();
    const ofDay = {
      date,
      month: midnight.getUTCMonth() + 1,
      weekday: midnight.getUTCDay(),
      isLastDate: date === lastDate,
      week: Math.ceil(date / 7),
      isLastWeek: date > lastDate - 7,
      hour: 0,
      minute: 0,
    };
    if (!isDay(ofDay)) continue;
    for (let hour = 0; hour < 24; hour++)
      for (let minute = 0; minute < 60; minute++)
        if (isTime({ ...ofDay, hour, minute }))
          found.push(new Date(midnight.getTime() + (hour * 60 + minute) * 60_000).toISOString());
  }
  return found.slice(0, most);
}

const most = 100;
const end = new Date(start.getTime() + days * dayMs);

function expectedOf(schedule: Schedule): string[] {
  return nextTimes(schedule, new Date(start.getTime() - 1), most)
    .filter((time) => time < end)
    .map((time) => time.toISOString());
}

const crontabLines = (text: string) =>
  text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));

/** What the five fields mean to Vixie cron and its heirs. */
function cronMoments(line: string): string[] {
  const [minutes = '', hours = '', dates = '', months = '', weekdays = ''] = line.split(' ');
  const has = (field: string, value: number) =>
    field === '*' ||
    field.split(',').some((part) => {
      const [low = '', high = low] = part.split('-');
      return Number(low) <= value && value <= Number(high);
    });
  const isDay = ({ date, weekday, month }: Clock) => {
    const [isDate, isWeekday] = [has(dates, date), has(weekdays, weekday)];
    const either =
      dates.startsWith('*') || weekdays.startsWith('*') ? isDate && isWeekday : isDate || isWeekday;
    return has(months, month) && either;
  };
  return momentsWhere(isDay, ({ hour, minute }) => has(hours, hour) && has(minutes, minute), most);
}

describe('what cron is told', () => {
  it('names the moments of any schedule that it can say', () => {
    fc.assert(
      fc.property(expressions(false), (expression) => {
        const schedule = scheduleOf(expression);
        const [line = ''] = crontabLines(cronText(entryOf(schedule), now).text);
        expect(cronMoments(line)).toEqual(expectedOf(schedule));
      }),
      { numRuns: 30 },
    );
  });

  it('has a star where every one is meant, because that decides what becomes of it when the clocks change', () => {
    const fieldsOf = (expression: string) => {
      return crontabLines(cronText(entryOf(scheduleOf(expression)), now).text)[0]
        ?.split(' ')
        .slice(0, 5)
        .join(' ');
    };
    expect(fieldsOf('0-59 0-23 * 1-12 *')).toBe('* * * * *');
    expect(fieldsOf('@hourly')).toBe('0 * * * *');
    expect(fieldsOf('*/20 1,2,3,9 * jan-mar mon-fri')).toBe('0,20,40 1-3,9 * 1-3 1-5');
  });

  it.each([
    ['0 3 L * *', 'it knows no last day of a month'],
    ['0 3 * * 1#2', 'no second Monday'],
    ['0 3 * * 5L', 'no second Monday'],
  ])('is refused where it cannot be said: %s', (expression, why) => {
    expect(() => cronText(entryOf(scheduleOf(expression)), now)).toThrow(why);
  });

  it('is refused for another clock than that of the system, and not for the same under another name', () => {
    const inBerlin = scheduleOf('0 3 * * *', 'Europe/Berlin');
    expect(() => cronText(entryOf(inBerlin), now)).toThrow(
      'it goes by the clock of the system (UTC), not Europe/Berlin',
    );
    expect(() => cronText(entryOf(inBerlin, { systemZone: 'Europe/Paris' }), now)).not.toThrow();
    expect(() => cronText(entryOf(scheduleOf('0 3 * * *', 'Etc/UTC')), now)).not.toThrow();
  });

  /** As cron hands it to the shell; `isOld` takes the backslash off one before another, too. */
  const asCronReads = (command: string, isOld: boolean) => {
    let read = '';
    for (let at = 0; at < command.length; at++) {
      const [one, next] = [command[at], command[at + 1]];
      if (one === '%') return `${read}\n`;
      if (one === '\\' && next !== undefined) {
        read += next === '%' || (isOld && next === '\\') ? next : one + next;
        at++;
      } else read += one;
    }
    return read;
  };

  it.runIf(process.platform !== 'win32').each([true, false])(
    'reaches the program as it was, whatever is in it (old cron: %s)',
    (isOld) => {
      for (const text of hostile) {
        const argv = [
          process.execPath,
          '-e',
          'console.log(JSON.stringify([process.argv.slice(1), process.env.X]))',
          '--',
          text,
        ];
        const entry = entryOf([], {
          directory: '/',
          environment: { X: text },
          jobs: [{ schedule: scheduleOf('* * * * *'), argv }],
        });
        const command = crontabLines(cronText(entry, now).text)[0]?.split(' ').slice(5).join(' ') ?? '';
        const printed = execFileSync('/bin/sh', ['-c', asCronReads(command, isOld)], { encoding: 'utf8' });
        expect(JSON.parse(printed)).toEqual([[text], text]);
      }
    },
  );

  it('is refused where cron would cut it off, and where a line would end in the middle', () => {
    const long = entryOf(scheduleOf('0 3 * * *'), { environment: { PATH: `/${'x'.repeat(1000)}` } });
    expect(() => cronText(long, now)).toThrow(/bytes long, and cron takes 998/);
    const broken = entryOf(scheduleOf('0 3 * * *'), { directory: '/srv/a\n* * * * * id' });
    for (const texts of [cronText, (entry = broken) => taskTexts(entry, { scope: 'user', now })])
      expect(() => texts(broken, now)).toThrow('has a control character in it');
  });
});

describe('what launchd is told', () => {
  /** Undefined where it cannot be said because it would be too much. */
  function sayable(schedule: Schedule): ReturnType<typeof intervalsOf> | undefined {
    try {
      return intervalsOf(schedule);
    } catch (error) {
      const [, count] = /it would take (\d+) entries, and 500 are the most$/.exec(String(error)) ?? [];
      if (count === undefined) throw error;
      expect(Number(count)).toBeGreaterThan(500);
      return undefined;
    }
  }

  it('names the moments of any schedule that it can say', () => {
    fc.assert(
      fc.property(expressions(false), (expression) => {
        const schedule = scheduleOf(expression);
        const intervals = sayable(schedule);
        fc.pre(intervals !== undefined);
        const keys = {
          Month: 'month',
          Day: 'date',
          Weekday: 'weekday',
          Hour: 'hour',
          Minute: 'minute',
        } as const;
        const fits = (clock: Clock, only: (keyof typeof keys)[]) =>
          intervals.some((interval) =>
            only.every((key) => (interval[key] ?? clock[keys[key]]) === clock[keys[key]]),
          );
        const found = momentsWhere(
          (clock) => fits(clock, ['Month', 'Day', 'Weekday']),
          (clock) => fits(clock, ['Month', 'Day', 'Weekday', 'Hour', 'Minute']),
          most,
        );
        expect(found).toEqual(expectedOf(schedule));
        // Which of the two counts differs from version to version.
        for (const interval of intervals) expect('Day' in interval && 'Weekday' in interval).toBe(false);
      }),
      { numRuns: 30 },
    );
  });

  it('is refused where it cannot be said, or would be too much', () => {
    const told =
      (expression: string, timeZone = 'UTC') =>
      () =>
        launchdTexts(entryOf(scheduleOf(expression, timeZone)), { logDirectory: '/l', now });
    expect(told('0 3 L * *')).toThrow('it knows no last day of a month');
    expect(told('0 3 * * *', 'Asia/Tokyo')).toThrow('it goes by the clock of the system');
    expect(told('*/2 9-20 1-15 * *')).toThrow('5400 entries');
  });
});

describe('what the Task Scheduler is told', () => {
  const xmlOf = (schedule: Schedule) => taskTexts(entryOf(schedule), { scope: 'user', now })[0]?.text ?? '';
  const weekdayNames = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
  const monthNames =
    'January February March April May June July August September October November December'.split(' ');

  /** What a trigger means, by the reference of its elements. */
  function readTrigger(xml: string): { isDay: (clock: Clock) => boolean; isTime: (clock: Clock) => boolean } {
    const [, hour, minute] = /<StartBoundary>[\d-]+T(\d\d):(\d\d):00/.exec(xml) ?? [];
    const at = Number(hour) * 60 + Number(minute);
    const interval = Number(/<Interval>PT(\d+)M/.exec(xml)?.[1] ?? 0);
    const all = (name: string) =>
      [...xml.matchAll(new RegExp(`<${name}>(\\w+)</${name}>`, 'g'))].map(([, value]) => value);
    const [months, weekdays] = [monthNames, weekdayNames].map((names) =>
      names.map((name) => xml.includes(`<${name} />`)),
    );
    const [dates, weeks] = [all('Day'), all('Week')];
    return {
      isTime: (clock) => {
        const time = clock.hour * 60 + clock.minute;
        return interval > 0 ? (time - at + 1440) % interval === 0 : time === at;
      },
      isDay: (clock) =>
        (!months?.includes(true) || months[clock.month - 1] === true) &&
        (!weekdays?.includes(true) || weekdays[clock.weekday] === true) &&
        (dates.length === 0 ||
          dates.includes(String(clock.date)) ||
          (dates.includes('Last') && clock.isLastDate)) &&
        (weeks.length === 0 ||
          weeks.includes(String(clock.week)) ||
          (weeks.includes('Last') && clock.isLastWeek)),
    };
  }

  it('names the moments of any schedule that it can say', () => {
    let said = 0;
    fc.assert(
      fc.property(expressions(true), (expression) => {
        const schedule = scheduleOf(expression);
        let xml: string;
        try {
          xml = xmlOf(schedule);
        } catch (error) {
          expect(String(error)).toMatch(/triggers, and 48 are the most|no fifth weekday/);
          return;
        }
        said++;
        const triggers = [...xml.matchAll(/<(Time|Calendar)Trigger>[\s\S]*?<\/\1Trigger>/g)].map(([one]) =>
          readTrigger(one),
        );
        expect(triggers.length).toBeLessThanOrEqual(48);
        const found = momentsWhere(
          (clock) => triggers.some(({ isDay }) => isDay(clock)),
          (clock) => triggers.some(({ isDay, isTime }) => isDay(clock) && isTime(clock)),
          most,
        );
        expect(found).toEqual(expectedOf(schedule));
      }),
      {
        numRuns: 60,
        examples: [
          '0 3 * 1,5 1',
          '0 3 * 2 4,5',
          '0 3 L * *',
          '0 3 * * 5L',
          '0 3 * * 1#2',
          '0 3 13 * 5',
          '0 3 * 4 *',
        ].map((one) => [one] as [string]),
      },
    );
    expect(said).toBeGreaterThan(10);
  });

  it('is one trigger that repeats itself where it comes every hour, by a clock that does not change', () => {
    const xml = xmlOf(scheduleOf('*/15 * * * *'));
    expect(xml.match(/Trigger>/g)).toHaveLength(2);
    expect(xml).toContain('<Interval>PT15M</Interval>');
    expect(xml).toMatch(/<StartBoundary>[\d-]+T\d\d:(00|15|30|45):00Z</);
  });

  /** As CommandLineToArgvW and the C runtime take it apart. */
  function windowsArguments(line: string): string[] {
    const found: string[] = [];
    let [word, isIn, isQuoted] = ['', false, false];
    for (let at = 0; at < line.length; at++) {
      const slashes = /^\\*/.exec(line.slice(at))?.[0].length ?? 0;
      const isBeforeQuote = line[at + slashes] === '"';
      if (slashes > 0) {
        word += '\\'.repeat(isBeforeQuote ? Math.floor(slashes / 2) : slashes);
        isIn = true;
        at += slashes - 1;
        if (isBeforeQuote && slashes % 2 === 1) {
          word += '"';
          at++;
        }
      } else if (line[at] === '"') {
        isQuoted = !isQuoted;
        isIn = true;
      } else if (/\s/.test(line[at] ?? '') && !isQuoted) {
        if (isIn) found.push(word);
        [word, isIn] = ['', false];
      } else {
        word += line[at];
        isIn = true;
      }
    }
    return isIn ? [...found, word] : found;
  }

  it('reaches the program as it was, whatever is in it', () => {
    const all = [...hostile, '', 'C:\\Program Files\\node\\', 'a\\"b', '\\\\server\\share\\x y\\'];
    expect(windowsArguments(all.map(windowsQuoted).join(' '))).toEqual(all);
  });
});
