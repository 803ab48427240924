// The schedule layer: when. Cron expressions, the moments that they name in a time zone, and what was missed. Pure: it reads
// no clock and no file, and starts nothing; what the systems' own schedulers are told is in `schedulers`.
export { type DayRule, type Fields, parseExpression, readExpression } from './expression.ts';
export { type Job, jobsOf, neverScheduled, scheduleOf } from './jobs.ts';
export { missedRun } from './missed.ts';
export { nextTime, nextTimes, type Schedule, skippedTimes } from './times.ts';
export { isSameClock } from './zone.ts';
