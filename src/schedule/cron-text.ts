// The entry for a crontab: lines between two marks, so that nothing else in it is ever touched.
import { PkbackupError } from '../errors.ts';
import {
  type Entry,
  type EntryJob,
  header,
  isEveryHour,
  isEveryMinute,
  isEveryMonth,
  ranges,
  refuse,
  refuseLineBreaks,
  type ScheduleText,
} from './entry.ts';
import type { Fields } from './expression.ts';
import type { Schedule } from './times.ts';
import { isSameClock } from './zone.ts';

const name = 'cron';
/** Longer ones are refused by the crontab program of Vixie cron and its heirs. */
const longestCommand = 998;

/** `now` decides whether two zones have the same clock. */
export function cronText(entry: Entry, now: Date): ScheduleText {
  refuseLineBreaks(entry);
  const lines = entry.jobs.map((job) => {
    refuseOtherClock(name, job.schedule, entry.systemZone, now);
    return `${cronTimes(job.schedule)} ${cronCommand(entry, job)}`;
  });
  const { begin, end } = marksOf(entry.id);
  return { name: 'crontab', text: [`${begin} ${entry.source}`, `# ${header}`, ...lines, end, ''].join('\n') };
}

export function marksOf(id: string): { begin: string; end: string } {
  return { begin: `# BEGIN ${id}`, end: `# END ${id}` };
}

/** Cron and launchd know no time zones; CRON_TZ means one thing to one cron, another or nothing to the next. */
export function refuseOtherClock(scheduler: string, schedule: Schedule, systemZone: string, now: Date): void {
  if (isSameClock(schedule.timeZone, systemZone, now)) return;
  refuse(scheduler, schedule, `it goes by the clock of the system (${systemZone}), not ${schedule.timeZone}`);
}

/** The five fields, with stars and numbers only: the rest is read in another way by each cron. */
export function cronTimes(schedule: Schedule): string {
  const { fields } = schedule;
  // A star also says what becomes of a time when the clocks change.
  const minutes = isEveryMinute(fields) ? '*' : ranges(fields.minutes, '-');
  const hours = isEveryHour(fields) ? '*' : ranges(fields.hours, '-');
  const months = isEveryMonth(fields) ? '*' : ranges(fields.months, '-');
  const { dates, weekdays } = cronDays(schedule, fields);
  return [minutes, hours, dates, months, weekdays].join(' ');
}

/** Where both are numbers either is enough, as with us. */
function cronDays(schedule: Schedule, { days }: Fields): { dates: string; weekdays: string } {
  let [dates, weekdays] = ['*', '*'];
  for (const rule of days) {
    if (rule.on === 'dates') dates = ranges(rule.dates, '-');
    else if (rule.on === 'weekdays') weekdays = ranges(rule.weekdays, '-');
    else if (rule.on !== 'every-day')
      refuse(name, schedule, 'it knows no last day of a month, and no second Monday of one');
  }
  return { dates, weekdays };
}

function cronCommand({ directory, environment }: Entry, { argv }: EntryJob): string {
  const variables = Object.entries(environment).map(([key, value]) => `${key}=${quoted(value)}`);
  const command = [`cd ${quoted(directory)} &&`, ...variables, ...argv.map(quoted)].join(' ');
  if (Buffer.byteLength(command) <= longestCommand) return command;
  throw new PkbackupError(
    'config',
    `the command for cron is ${Buffer.byteLength(command)} bytes long, and cron takes ${longestCommand}`,
    { hint: 'a shorter PATH will do: PATH=/usr/local/bin:/usr/bin:/bin pkbackup schedule install cron' },
  );
}

/**
 * In single quotes for the shell. Cron makes a line end of `%` and takes the backslash off `\%`, and crons differ over a
 * backslash before another: so none ever stands before one, or before the `\%` of our own.
 */
function quoted(text: string): string {
  if (/^[\w./:@=+,-]+$/.test(text)) return text;
  const inner = text.replaceAll("'", `'"'"'`).replaceAll('\\', `\\''`).replaceAll('%', '\\%');
  return `'${inner}'`;
}
