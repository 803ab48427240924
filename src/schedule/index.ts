// The schedule layer: when. Cron expressions, the moments that they name in a time zone, what was missed, and the texts that
// the systems' own schedulers take. Pure: it reads no clock and no file, and starts nothing; who is told what, and how, is in
// `schedulers`.
export { cronText, marksOf } from './cron-text.ts';
export { type Entry, type EntryJob, isNameOf, nameOfJob, type ScheduleText } from './entry.ts';
export { type DayRule, type Fields, parseExpression, readExpression } from './expression.ts';
export { type Job, jobsOf, neverScheduled, scheduleOf } from './jobs.ts';
export { type LaunchdOptions, launchdTexts } from './launchd-text.ts';
export { missedRun } from './missed.ts';
export { type SystemdOptions, systemdTexts } from './systemd-text.ts';
export { type TaskOptions, taskTexts } from './task-text.ts';
export { nextTime, nextTimes, type Schedule, skippedTimes } from './times.ts';
export { isSameClock } from './zone.ts';
