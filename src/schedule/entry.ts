// What a scheduler of the system is told: which program it starts, where, with which variables, and when.
import { PkbackupError } from '../errors.ts';
import type { Fields } from './expression.ts';
import type { Schedule } from './times.ts';

export interface Entry {
  /** Names the entries of one config file among all others: `pkbackup-stack-1f3a9c2e`. */
  readonly id: string;
  /** The config file, for people. */
  readonly source: string;
  /** Where the program runs. */
  readonly directory: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly jobs: readonly EntryJob[];
  /** The zone of the clock that the scheduler goes by. */
  readonly systemZone: string;
}

export interface EntryJob {
  readonly schedule: Schedule;
  /** The program and its arguments, with whole paths. */
  readonly argv: readonly string[];
}

/** A text that goes into a file of this name, or is handed over under it. */
export interface ScheduleText {
  readonly name: string;
  readonly text: string;
}

/** `pkbackup-stack-1f3a9c2e` for the first job, `...-2` for the second. */
export function nameOfJob({ id }: Pick<Entry, 'id'>, index: number): string {
  return index === 0 ? id : `${id}-${index + 1}`;
}

/** Whether a name is one of those that this id may have. */
export function isNameOf(id: string, name: string): boolean {
  return name === id || (name.startsWith(`${id}-`) && /^[1-9]\d*$/.test(name.slice(id.length + 1)));
}

export const header = 'made by pkbackup schedule install; what is changed here is lost at the next one';

/** No scheduler can be told of a path with a line break in it, and one that tried would start something else. */
export function refuseLineBreaks({ source, directory, environment, jobs }: Entry): void {
  const texts = [source, directory, ...Object.values(environment), ...jobs.flatMap(({ argv }) => argv)];
  const wrong = texts.find((text) => /[\u0000-\u001f\u007f]/.test(text));
  if (wrong === undefined) return;
  throw new PkbackupError('config', `${JSON.stringify(wrong)} has a control character in it`, {
    hint: 'no scheduler can be told of it: choose another path or value',
  });
}

/** Throws `config` with what the scheduler cannot say, and what can. */
export function refuse(scheduler: string, { expression }: Schedule, why: string): never {
  throw new PkbackupError('config', `the schedule "${expression}" cannot be said to ${scheduler}: ${why}`, {
    hint: 'systemd timers and pkbackup run take every schedule',
  });
}

export const allMonths = 12;
export const allDates = 31;

export const isEveryMinute = ({ minutes }: Fields): boolean => minutes.length === 60;
export const isEveryHour = ({ hours }: Fields): boolean => hours.length === 24;
export const isEveryMonth = ({ months }: Fields): boolean => months.length === allMonths;
export const isEveryDay = ({ days }: Fields): boolean => days.some(({ on }) => on === 'every-day');

/** `1,2,3,7` as `1-3,7`; `to` stands between the ends of a range. */
export function ranges(
  numbers: readonly number[],
  to: string,
  write: (number: number) => string = String,
): string {
  const runs: number[][] = [];
  for (const number of numbers) {
    const run = runs.at(-1);
    if (run?.at(-1) === number - 1) run.push(number);
    else runs.push([number]);
  }
  return runs
    .flatMap((run) =>
      run.length > 2 ? `${write(run[0] ?? 0)}${to}${write(run.at(-1) ?? 0)}` : run.map(write),
    )
    .join(',');
}
