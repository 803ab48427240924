// A property list for launchd, for each job. It knows months, days, weekdays, hours and minutes of the system's clock, one
// number of each at a time, so that a list of them is many entries.
import { refuseOtherClock } from './cron-text.ts';
import {
  type Entry,
  type EntryJob,
  header,
  isEveryHour,
  isEveryMinute,
  isEveryMonth,
  nameOfJob,
  refuse,
  refuseLineBreaks,
  type ScheduleText,
} from './entry.ts';
import type { DayRule } from './expression.ts';
import type { Schedule } from './times.ts';
import { escapeXml } from './xml.ts';

const name = 'launchd';
const mostIntervals = 500;

export interface LaunchdOptions {
  /** What is printed goes there: the directory must be there. */
  readonly logDirectory: string;
  readonly now: Date;
}

export function launchdTexts(entry: Entry, { logDirectory, now }: LaunchdOptions): ScheduleText[] {
  refuseLineBreaks(entry);
  return entry.jobs.map((job, index) => {
    refuseOtherClock(name, job.schedule, entry.systemZone, now);
    const label = nameOfJob(entry, index);
    const log = `${logDirectory.replace(/\/$/, '')}/${label}.log`;
    return { name: `${label}.plist`, text: plistText(entry, job, { label, log }) };
  });
}

/** AbandonProcessGroup: the watchdog outlives a pkbackup that is killed, and starts what was stopped. */
function plistText(
  { directory, environment, source }: Entry,
  { argv, schedule }: EntryJob,
  { label, log }: { label: string; log: string },
): string {
  const document = {
    Label: label,
    ProgramArguments: argv,
    WorkingDirectory: directory,
    EnvironmentVariables: environment,
    StartCalendarInterval: intervalsOf(schedule),
    StandardOutPath: log,
    StandardErrorPath: log,
    ProcessType: 'Background',
    AbandonProcessGroup: true,
    ExitTimeOut: 600,
  };
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">',
    // Two hyphens end a comment.
    `<!-- ${header}: ${escapeXml(source).replaceAll('--', '- -')} -->`,
    '<plist version="1.0">',
    ...plistValue(document, ''),
    '</plist>',
    '',
  ].join('\n');
}

type Interval = Readonly<Record<string, number>>;

/** A key that is missing means every one. */
export function intervalsOf(schedule: Schedule): Interval[] {
  const { fields } = schedule;
  const every = (key: string, isAll: boolean, values: readonly number[]): Interval[] => {
    return isAll ? [{}] : values.map((value) => ({ [key]: value }));
  };
  const parts = [
    every('Month', isEveryMonth(fields), fields.months),
    fields.days.flatMap((rule) => daysOf(rule, schedule)),
    every('Hour', isEveryHour(fields), fields.hours),
    every('Minute', isEveryMinute(fields), fields.minutes),
  ];
  const count = parts.reduce((product, { length }) => product * length, 1);
  if (count > mostIntervals)
    refuse(name, schedule, `it would take ${count} entries, and ${mostIntervals} are the most`);
  return parts.reduce<Interval[]>(
    (before, part) => before.flatMap((one) => part.map((other) => ({ ...one, ...other }))),
    [{}],
  );
}

function daysOf(rule: DayRule, schedule: Schedule): Interval[] {
  switch (rule.on) {
    case 'every-day':
      return [{}];
    case 'dates':
      return rule.dates.map((date) => ({ Day: date }));
    case 'weekdays':
      return rule.weekdays.map((weekday) => ({ Weekday: weekday }));
    default:
      return refuse(name, schedule, 'it knows no last day of a month, and no second Monday of one');
  }
}

function plistValue(value: unknown, indent: string): string[] {
  if (value === true) return [`${indent}<true/>`];
  if (typeof value === 'number') return [`${indent}<integer>${value}</integer>`];
  if (typeof value === 'string') return [`${indent}<string>${escapeXml(value)}</string>`];
  const inner = `${indent}  `;
  if (Array.isArray(value))
    return [`${indent}<array>`, ...value.flatMap((each) => plistValue(each, inner)), `${indent}</array>`];
  const entries = Object.entries(Object(value)).flatMap(([key, each]) => {
    return [`${inner}<key>${escapeXml(key)}</key>`, ...plistValue(each, inner)];
  });
  return [`${indent}<dict>`, ...entries, `${indent}</dict>`];
}
