// A service and a timer of systemd for each job. A timer can say every schedule, in its own time zone, if need be with
// several lines; what it would leave out when the clocks change is said with lines of their own.
import {
  type Entry,
  type EntryJob,
  header,
  isEveryDay,
  isEveryHour,
  isEveryMinute,
  isEveryMonth,
  nameOfJob,
  ranges,
  refuseLineBreaks,
  type ScheduleText,
} from './entry.ts';
import type { DayRule, Fields } from './expression.ts';
import { type Schedule, skippedTimes } from './times.ts';
import { hasWholeHours } from './zone.ts';

export interface SystemdOptions {
  /** Of the machine, or of one user. */
  readonly scope: 'system' | 'user';
  readonly now: Date;
}

export function systemdTexts(entry: Entry, options: SystemdOptions): ScheduleText[] {
  refuseLineBreaks(entry);
  return entry.jobs.flatMap((job, index) => {
    const name = nameOfJob(entry, index);
    return [
      { name: `${name}.service`, text: serviceText(entry, job, options) },
      { name: `${name}.timer`, text: timerText(entry, job, options) },
    ];
  });
}

/**
 * KillMode: what pkbackup leaves behind when it is killed is the watchdog, which starts what was stopped; systemd must not end
 * that one too. A backup may take as long as it takes, and has time to let go of what it holds.
 */
function serviceText(entry: Entry, { argv }: EntryJob, { scope }: SystemdOptions): string {
  const after =
    scope === 'system' ? ['Wants=network-online.target', 'After=network-online.target docker.service'] : [];
  return lines(
    `# ${header}`,
    '[Unit]',
    `Description=pkbackup of ${percents(entry.source)}`,
    ...after,
    '',
    '[Service]',
    'Type=oneshot',
    `WorkingDirectory=${percents(entry.directory.replace(/[\s\\]$/, '$&/'))}`,
    ...Object.entries(entry.environment).map(([key, value]) => `Environment=${quoted(`${key}=${value}`)}`),
    `ExecStart=${argv.map((text, index) => (index === 0 ? quoted(text) : quoted(text.replaceAll('$', '$$$$')))).join(' ')}`,
    'TimeoutStartSec=infinity',
    'TimeoutStopSec=10min',
    'KillMode=process',
    'Nice=10',
  );
}

function timerText(entry: Entry, { schedule }: EntryJob, { now }: SystemdOptions): string {
  return lines(
    `# ${header}`,
    '[Unit]',
    `Description=times of pkbackup of ${percents(entry.source)}`,
    '',
    '[Timer]',
    ...calendarLines(schedule, entry.systemZone, now).map((line) => `OnCalendar=${line}`),
    'Persistent=true',
    'AccuracySec=1s',
    '',
    '[Install]',
    'WantedBy=timers.target',
  );
}

const yearsAhead = 10;

/** All moments of the schedule, and no others. The zone of the system is not named: it may change. */
export function calendarLines(schedule: Schedule, systemZone: string, now: Date): string[] {
  const { fields, timeZone } = schedule;
  const year = now.getUTCFullYear();
  const from = new Date(Date.UTC(year, 0, 1));
  // In the hour that the clock shows twice a timer elapses once.
  if (isEveryHour(fields) && isEveryDay(fields) && isEveryMonth(fields) && hasWholeHours(timeZone, from))
    return [`*-*-* ${timesOf(fields)} UTC`];
  const zone = timeZone === systemZone ? '' : ` ${timeZone}`;
  const skipped = skippedTimes(schedule, from, yearsAhead * 366);
  return [
    ...fields.days.map((rule) => `${dayOf(rule, fields)} ${timesOf(fields)}${zone}`),
    ...new Set(skipped.map((time) => `${time.toISOString().slice(0, 16).replace('T', ' ')}:00 UTC`)),
  ];
}

function dayOf(rule: DayRule, fields: Fields): string {
  const months = isEveryMonth(fields) ? '*' : ranges(fields.months, '..', twoDigits);
  switch (rule.on) {
    case 'every-day':
      return `*-${months}-*`;
    case 'dates':
      return `*-${months}-${ranges(rule.dates, '..', twoDigits)}`;
    case 'last-date':
      return `*-${months}~01`;
    case 'weekdays':
      return `${rule.weekdays.map((day) => weekdays[day]).join(',')} *-${months}-*`;
    case 'nth-weekday': {
      const first = (rule.nth - 1) * 7 + 1;
      return `${weekdays[rule.weekday]} *-${months}-${twoDigits(first)}..${twoDigits(Math.min(first + 6, 31))}`;
    }
    case 'last-weekday':
      return `${weekdays[rule.weekday]} *-${months}~07/1`;
  }
}

const weekdays = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];

function timesOf(fields: Fields): string {
  const hours = isEveryHour(fields) ? '*' : ranges(fields.hours, '..', twoDigits);
  const minutes = isEveryMinute(fields) ? '*' : ranges(fields.minutes, '..', twoDigits);
  return `${hours}:${minutes}:00`;
}

const twoDigits = (number: number) => String(number).padStart(2, '0');
const percents = (text: string) => text.replaceAll('%', '%%');

function quoted(text: string): string {
  if (/^[\w./:@=+,-]+$/.test(text)) return text;
  return `"${percents(text).replace(/["\\]/g, '\\$&')}"`;
}

function lines(...all: readonly string[]): string {
  return `${all.join('\n')}\n`;
}
