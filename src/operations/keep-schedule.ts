// pkbackup run: waits for the moments of the schedules and has the backups made, one after the other, until it is ended. A
// time that passed meanwhile (a machine asleep, a backup that took long, no loop at all) is made up for, once.
import { messageOf } from '../errors.ts';
import { type Job, nextTime } from '../schedule/index.ts';
import type { Run } from './run.ts';

export interface Clock {
  now(): Date;
  /** Returns early, without an error, when `signal` aborts. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

export interface KeepScheduleOptions extends Pick<Run, 'emit' | 'signal'> {
  /** Asked again and again: the config file may change at any time. */
  readonly jobs: () => Promise<readonly Job[]>;
  /** When the stores of a job were backed up the last time, each of them; undefined where that is not known. */
  readonly lastBackup: (job: Job) => Promise<Date | undefined>;
  /** Makes the backups of a job. MUST NOT throw for a backup that fails. */
  readonly perform: (job: Job) => Promise<void>;
  readonly clock: Clock;
  /** The next moment, each time that another one comes first. */
  readonly onNext?: (next: Next | undefined) => void;
}

export interface Next {
  readonly job: Job;
  readonly at: Date;
}

/** The clock may be set, and the machine may sleep: it is looked at so often. */
const longestWaitMs = 30_000;

/** Returns when it is ended. */
export async function keepSchedule(options: KeepScheduleOptions): Promise<void> {
  const { signal, clock } = options;
  const loop = new Loop(options);
  for (let isFirst = true; !signal.aborted; isFirst = false) {
    const next = await loop.turn(isFirst);
    if (signal.aborted) return;
    const leftMs = next === undefined ? longestWaitMs : next.at.getTime() - clock.now().getTime();
    await clock.wait(Math.min(Math.max(leftMs, 0), longestWaitMs), signal);
  }
}

class Loop {
  readonly #options: KeepScheduleOptions;
  /** By job: the moments up to then are dealt with. */
  #dealtWith = new Map<string, Date>();
  #jobs: readonly Job[] = [];
  #problem: string | undefined;
  #told: string | undefined;

  constructor(options: KeepScheduleOptions) {
    this.#options = options;
  }

  /** Does what is due, and gives what comes next. */
  async turn(isFirst: boolean): Promise<Next | undefined> {
    await this.#readJobs(isFirst);
    for (const job of this.#jobs) {
      if (this.#options.signal.aborted) return undefined;
      if (this.#nextOf(job) <= this.#options.clock.now()) await this.#perform(job);
    }
    return this.#tellNext();
  }

  /** What cannot be read once it runs leaves the schedule as it was. */
  async #readJobs(isFirst: boolean): Promise<void> {
    try {
      this.#jobs = await this.#options.jobs();
      this.#problem = undefined;
    } catch (error) {
      if (isFirst) throw error;
      const problem = messageOf(error);
      if (problem !== this.#problem) {
        const message = `the schedule stays as it was: ${problem}`;
        this.#options.emit({ type: 'warning', message });
      }
      this.#problem = problem;
    }
    const before = this.#dealtWith;
    this.#dealtWith = new Map();
    for (const job of this.#jobs) {
      const key = keyOf(job);
      this.#dealtWith.set(key, before.get(key) ?? (await this.#startOf(job, isFirst)));
    }
  }

  /** At the start, what was missed is made up for; a schedule that is new begins now. */
  async #startOf(job: Job, isFirst: boolean): Promise<Date> {
    const now = this.#options.clock.now();
    if (!isFirst) return now;
    const last = await this.#options.lastBackup(job);
    return last === undefined || last > now ? now : last;
  }

  async #perform(job: Job): Promise<void> {
    this.#dealtWith.set(keyOf(job), this.#options.clock.now());
    await this.#options.perform(job);
  }

  #nextOf(job: Job): Date {
    const key = keyOf(job);
    const now = this.#options.clock.now();
    const known = this.#dealtWith.get(key) ?? now;
    // The clock may have been set back.
    const since = known > now ? now : known;
    this.#dealtWith.set(key, since);
    return nextTime(job.schedule, since);
  }

  #tellNext(): Next | undefined {
    const all = this.#jobs.map((job) => ({ job, at: this.#nextOf(job) }));
    const next = all.sort((a, b) => a.at.getTime() - b.at.getTime())[0];
    const text = next && `${next.at.toISOString()} ${keyOf(next.job)}`;
    if (text !== this.#told) this.#options.onNext?.(next);
    this.#told = text;
    return next;
  }
}

function keyOf({ schedule: { fields, timeZone }, stores }: Job): string {
  return JSON.stringify([fields, timeZone, stores]);
}
