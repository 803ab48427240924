// A task of the Windows Task Scheduler for each job, as XML that schtasks takes. A task has at most 48 triggers, and a
// trigger is a time of day on some days; what comes every hour is one trigger that repeats itself.
import { refuseOtherClock } from './cron-text.ts';
import {
  allDates,
  type Entry,
  type EntryJob,
  header,
  isEveryDay,
  isEveryHour,
  isEveryMonth,
  nameOfJob,
  refuse,
  refuseLineBreaks,
  type ScheduleText,
} from './entry.ts';
import type { DayRule, Fields } from './expression.ts';
import { nextTime, type Schedule } from './times.ts';
import { escapeXml } from './xml.ts';

const name = 'the Task Scheduler';
const mostTriggers = 48;
/** Tasks begin with the past, so that the text does not change from day to day. */
const beginning = '2024-01-01';

export interface TaskOptions {
  /** Of the machine: as SYSTEM, whoever is logged on. Of a user: while that one is logged on. */
  readonly scope: 'system' | 'user';
  readonly now: Date;
}

/** The names are those of the tasks, below the folder `\pkbackup`. */
export function taskTexts(entry: Entry, { scope, now }: TaskOptions): ScheduleText[] {
  refuseLineBreaks(entry);
  return entry.jobs.map((job, index) => {
    refuseOtherClock(name, job.schedule, entry.systemZone, now);
    return { name: `\\pkbackup\\${nameOfJob(entry, index)}`, text: taskText(entry, job, scope) };
  });
}

function taskText({ directory, source }: Entry, job: EntryJob, scope: TaskOptions['scope']): string {
  const [program = '', ...args] = job.argv;
  const principal =
    scope === 'system'
      ? ['<UserId>S-1-5-18</UserId>', '<RunLevel>HighestAvailable</RunLevel>']
      : ['<LogonType>InteractiveToken</LogonType>', '<RunLevel>LeastPrivilege</RunLevel>'];
  return [
    '<?xml version="1.0" encoding="UTF-16"?>',
    '<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">',
    '  <RegistrationInfo>',
    `    <Description>pkbackup of ${escapeXml(source)} (${header})</Description>`,
    '  </RegistrationInfo>',
    '  <Triggers>',
    ...triggersOf(job.schedule).flatMap(indented),
    '  </Triggers>',
    '  <Principals>',
    '    <Principal id="Author">',
    ...principal.map((line) => `      ${line}`),
    '    </Principal>',
    '  </Principals>',
    '  <Settings>',
    '    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>',
    '    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>',
    '    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>',
    '    <StartWhenAvailable>true</StartWhenAvailable>',
    '    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>',
    '  </Settings>',
    '  <Actions Context="Author">',
    '    <Exec>',
    `      <Command>${escapeXml(program)}</Command>`,
    `      <Arguments>${escapeXml(args.map(windowsQuoted).join(' '))}</Arguments>`,
    `      <WorkingDirectory>${escapeXml(directory)}</WorkingDirectory>`,
    '    </Exec>',
    '  </Actions>',
    '</Task>',
    '',
  ].join('\r\n');
}

const indented = (lines: readonly string[]) => lines.map((line) => `    ${line}`);

function triggersOf(schedule: Schedule): string[][] {
  const { fields } = schedule;
  const interval = intervalOf(fields);
  if (interval !== undefined) return [repeatedTrigger(schedule, interval)];
  const days = fields.days.map((rule) => scheduleOf(rule, schedule));
  const triggers = fields.hours.flatMap((hour) =>
    fields.minutes.flatMap((minute) => days.map((day) => calendarTrigger(hour, minute, day))),
  );
  if (triggers.length <= mostTriggers) return triggers;
  return refuse(
    name,
    schedule,
    `it would take ${triggers.length} triggers, and ${mostTriggers} are the most`,
  );
}

/** Minutes between the times, where they are the same at all hours of all days. */
function intervalOf(fields: Fields): number | undefined {
  if (!isEveryHour(fields) || !isEveryDay(fields) || !isEveryMonth(fields)) return undefined;
  const { minutes } = fields;
  const step = 60 / minutes.length;
  const isEven = minutes.every((minute, index) => minute === (minutes[0] ?? 0) + index * step);
  return isEven && Number.isInteger(step) ? step : undefined;
}

/** Begins at a moment in UTC, and takes no notice of the clocks when they change. */
function repeatedTrigger(schedule: Schedule, minutes: number): string[] {
  const first = nextTime(schedule, new Date(`${beginning}T00:00:00Z`));
  return [
    '<TimeTrigger>',
    '  <Enabled>true</Enabled>',
    `  <StartBoundary>${first.toISOString().slice(0, 19)}Z</StartBoundary>`,
    `  <Repetition><Interval>PT${minutes}M</Interval></Repetition>`,
    '</TimeTrigger>',
  ];
}

function calendarTrigger(hour: number, minute: number, day: readonly string[]): string[] {
  const time = [hour, minute].map((number) => String(number).padStart(2, '0')).join(':');
  return [
    '<CalendarTrigger>',
    '  <Enabled>true</Enabled>',
    `  <StartBoundary>${beginning}T${time}:00</StartBoundary>`,
    ...day.map((line) => `  ${line}`),
    '</CalendarTrigger>',
  ];
}

function scheduleOf(rule: DayRule, schedule: Schedule): string[] {
  const { fields } = schedule;
  const months = `<Months>${fields.months.map((month) => `<${monthNames[month - 1]} />`).join('')}</Months>`;
  switch (rule.on) {
    case 'every-day':
      return isEveryMonth(fields)
        ? ['<ScheduleByDay><DaysInterval>1</DaysInterval></ScheduleByDay>']
        : byMonth(everyDate, months);
    case 'dates':
      return byMonth(rule.dates, months);
    case 'last-date':
      return byMonth(['Last'], months);
    case 'weekdays':
      return isEveryMonth(fields)
        ? [
            '<ScheduleByWeek>',
            `  ${weekdaysOf(rule.weekdays)}`,
            '  <WeeksInterval>1</WeeksInterval>',
            '</ScheduleByWeek>',
          ]
        : byWeekday([1, 2, 3, 4, 'Last'], rule.weekdays, months);
    case 'nth-weekday':
      if (rule.nth > 4) refuse(name, schedule, 'it knows no fifth weekday of a month');
      return byWeekday([rule.nth], [rule.weekday], months);
    case 'last-weekday':
      return byWeekday(['Last'], [rule.weekday], months);
  }
}

function byMonth(dates: readonly (number | 'Last')[], months: string): string[] {
  const days = dates.map((date) => `<Day>${date}</Day>`).join('');
  return ['<ScheduleByMonth>', `  <DaysOfMonth>${days}</DaysOfMonth>`, `  ${months}`, '</ScheduleByMonth>'];
}

/** The fifth of a month is its last, where there is one. */
function byWeekday(
  weeks: readonly (number | 'Last')[],
  weekdays: readonly number[],
  months: string,
): string[] {
  return [
    '<ScheduleByMonthDayOfWeek>',
    `  <Weeks>${weeks.map((week) => `<Week>${week}</Week>`).join('')}</Weeks>`,
    `  ${weekdaysOf(weekdays)}`,
    `  ${months}`,
    '</ScheduleByMonthDayOfWeek>',
  ];
}

const weekdaysOf = (days: readonly number[]) => {
  return `<DaysOfWeek>${days.map((day) => `<${weekdayNames[day]} />`).join('')}</DaysOfWeek>`;
};
const everyDate = Array.from({ length: allDates }, (_, index) => index + 1);
const weekdayNames = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const monthNames = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];

/** As programs of Windows take their command line apart: backslashes count only before a quote. */
export function windowsQuoted(argument: string): string {
  if (/^[^\s"]+$/.test(argument)) return argument;
  return `"${argument.replace(/(\\*)"/g, '$1$1\\"').replace(/\\+$/, '$&$&')}"`;
}
