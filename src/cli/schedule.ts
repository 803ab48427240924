// pkbackup schedule: what a scheduler of the system is told, telling it, and when the next backups are.
import { homedir } from 'node:os';
import process from 'node:process';
import { PkbackupError } from '../errors.ts';
import { nextJson, nextText, textsText } from '../reporters/schedule-result.ts';
import { nextTimes, skippedTimes } from '../schedule/index.ts';
import {
  isRunningSystemd,
  type Place,
  type Scheduler,
  type Scope,
  schedulerNames,
  schedulers,
} from '../schedulers/index.ts';
import { scheduledJobs } from './run.ts';
import { configPath, entryFor, idOf } from './schedule-entry.ts';
import type { Session } from './session.ts';
import { oneOf, wholeNumber } from './values.ts';

export interface ScheduleFlags {
  readonly system?: boolean;
  readonly user?: boolean;
}

export interface NextFlags {
  readonly count: string;
}

export async function runSchedulePrint(
  session: Session,
  name: string | undefined,
  flags: ScheduleFlags,
): Promise<number> {
  const scheduler = await schedulerFor(name);
  const entry = await entryFor(session, scheduler);
  const texts = scheduler.texts(entry, placeFor(scheduler, flags), new Date());
  session.answer({
    text: () => textsText(texts),
    json: () => ({ scheduler: scheduler.name, id: entry.id, texts }),
    isAsked: true,
  });
  return 0;
}

export async function runScheduleInstall(
  session: Session,
  name: string | undefined,
  flags: ScheduleFlags,
): Promise<number> {
  const scheduler = await schedulerFor(name);
  refuseOtherPlatform(scheduler);
  const place = placeFor(scheduler, flags);
  refuseWithoutRights(place);
  const entry = await entryFor(session, scheduler);
  warnOfSkipped(session, scheduler, entry.jobs);
  const { names, hasChanged, remark } = await scheduler.install(entry, place, new Date());
  const others = await removeAll(entry.id, { scheduler, scope: place.scope });
  const verb = hasChanged ? 'installed' : 'was installed already';
  session.answer({
    text: () => [
      ...names.map((each) => `${each} ${verb}`),
      ...others.map((each) => `${each} removed: it did the same`),
      ...(remark === undefined ? [] : [remark]),
    ],
    json: () => ({
      scheduler: scheduler.name,
      id: entry.id,
      installed: names,
      changed: hasChanged,
      removed: others,
      ...(remark !== undefined && { remark }),
    }),
  });
  return 0;
}

export async function runScheduleRemove(session: Session): Promise<number> {
  const id = idOf(await configPath(session.flags.config));
  const removed = await removeAll(id);
  session.answer({
    text: () => (removed.length === 0 ? ['nothing was installed'] : removed.map((name) => `${name} removed`)),
    json: () => ({ id, removed }),
  });
  return 0;
}

const mostTimes = 1000;

export async function runScheduleNext(session: Session, { count }: NextFlags): Promise<number> {
  const wanted = wholeNumber('--count', count, 1, mostTimes);
  const now = new Date();
  const times = scheduledJobs(await session.settings())
    .flatMap((job) => nextTimes(job.schedule, now, wanted).map((at) => ({ at, job })))
    .sort((a, b) => a.at.getTime() - b.at.getTime())
    .slice(0, wanted);
  session.answer({ text: (look) => nextText(times, look), json: () => nextJson(times), isAsked: true });
  return 0;
}

/** Where none is named, the one that this system has. */
async function schedulerFor(name: string | undefined): Promise<Scheduler> {
  const wanted = name === undefined ? await usualScheduler() : oneOf('SCHEDULER', name, schedulerNames);
  const found = schedulers.find((scheduler) => scheduler.name === wanted);
  if (found === undefined) throw new Error(`the scheduler "${wanted}" is not in the list`);
  return found;
}

async function usualScheduler(): Promise<(typeof schedulerNames)[number]> {
  if (process.platform === 'win32') return 'task-scheduler';
  if (process.platform === 'darwin') return 'launchd';
  return (await isRunningSystemd()) ? 'systemd' : 'cron';
}

function placeFor({ name, scopes }: Scheduler, { system, user }: ScheduleFlags): Place {
  if (system && user) throw new PkbackupError('usage', '--system goes not with --user');
  if (system && !scopes.includes('system'))
    throw new PkbackupError('usage', `${name} has no --system: a crontab belongs to a user, root among them`);
  const isRoot = process.getuid?.() === 0;
  const usual: Scope = name === 'systemd' && isRoot ? 'system' : 'user';
  const scope = system ? 'system' : user ? 'user' : usual;
  return { scope, homeDirectory: homedir(), environment: process.env, userId: process.getuid?.() };
}

function refuseOtherPlatform({ name, platforms }: Scheduler): void {
  if (platforms.includes(process.platform)) return;
  const here = schedulers.filter((one) => one.platforms.includes(process.platform));
  throw new PkbackupError('usage', `"${name}" is not of this system (${process.platform})`, {
    hint: `here: ${here.map((one) => one.name).join(', ') || 'none; pkbackup run does without'}`,
  });
}

function refuseWithoutRights({ scope, userId }: Place): void {
  if (scope === 'user' || userId === undefined || userId === 0) return;
  throw new PkbackupError('usage', '--system needs the rights of root', { hint: 'use sudo, or --user' });
}

/** Everywhere it may be on this system; what belongs to root only where we are root. */
async function removeAll(id: string, but?: { scheduler: Scheduler; scope: Scope }): Promise<string[]> {
  const removed: string[] = [];
  for (const scheduler of schedulers.filter(({ platforms }) => platforms.includes(process.platform))) {
    for (const scope of scheduler.scopes) {
      if (scheduler === but?.scheduler && scope === but.scope) continue;
      const place = placeFor(scheduler, { [scope]: true });
      if (scope === 'system' && place.userId !== undefined && place.userId !== 0) continue;
      // Tasks have one namespace for both.
      if (but?.scheduler === scheduler && scheduler.name === 'task-scheduler') continue;
      removed.push(...(await scheduler.remove(id, place)));
    }
  }
  return removed;
}

const yearDays = 366;

/** Cron makes up for it, systemd is told of it; of the others it is not known. */
function warnOfSkipped(
  { emit }: Session,
  { name }: Scheduler,
  jobs: readonly { schedule: Parameters<typeof skippedTimes>[0] }[],
): void {
  if (name === 'cron' || name === 'systemd') return;
  for (const { schedule } of jobs) {
    const [first] = skippedTimes(schedule, new Date(), yearDays);
    if (first === undefined) continue;
    emit({
      type: 'warning',
      message: `on ${first.toISOString().slice(0, 10)} the clock leaps over a time of "${schedule.expression}", and ${name} may leave it out`,
      hint: 'choose a time at which the clock does not change, such as 03:30 instead of 02:30',
    });
  }
}
