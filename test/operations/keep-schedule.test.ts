// The loop of pkbackup run, with a clock that passes as fast as it is read.
import { describe, expect, it } from 'vitest';
import type { Event } from '../../src/events.ts';
import { type KeepScheduleOptions, keepSchedule } from '../../src/operations/keep-schedule.ts';
import { type Job, jobsOf } from '../../src/schedule/index.ts';

const minuteMs = 60_000;

interface World {
  nowMs: number;
  readonly until: Date;
  readonly done: string[];
  readonly events: Event[];
  readonly waits: number[];
}

const worldFrom = (from: string, until: string): World => ({
  nowMs: Date.parse(from),
  until: new Date(until),
  done: [],
  events: [],
  waits: [],
});

const jobs = (schedule: string, timeZone = 'UTC'): Job[] => {
  return jobsOf({ schedule, timeZone, stores: [{ name: 'a' }] }, 'UTC');
};

/** Runs until `world.until`; a backup takes `takesMs`. */
async function live(
  world: World,
  options: Partial<KeepScheduleOptions> & { schedule?: string; takesMs?: number; last?: string },
): Promise<void> {
  const { schedule = '0 3 * * *', takesMs = minuteMs, last } = options;
  const controller = new AbortController();
  let isRunning = false;
  const pass = (ms: number) => {
    world.nowMs += ms;
    if (world.nowMs >= world.until.getTime()) controller.abort();
  };
  await keepSchedule({
    signal: controller.signal,
    emit: (event) => world.events.push(event),
    clock: {
      now: () => new Date(world.nowMs),
      wait: async (ms) => {
        world.waits.push(ms);
        pass(Math.max(ms, 1));
      },
    },
    jobs: async () => jobs(schedule),
    lastBackup: async () => (last === undefined ? undefined : new Date(last)),
    perform: async () => {
      expect(isRunning).toBe(false);
      isRunning = true;
      world.done.push(new Date(world.nowMs).toISOString().slice(0, 16));
      await Promise.resolve();
      pass(takesMs);
      isRunning = false;
    },
    ...options,
  });
}

describe('the loop', () => {
  it('makes each backup at its time, and looks at the clock often enough to notice that it was set', async () => {
    const world = worldFrom('2026-11-20T12:00Z', '2026-11-23T12:00Z');
    await live(world, {});
    expect(world.done).toEqual(['2026-11-21T03:00', '2026-11-22T03:00', '2026-11-23T03:00']);
    expect(Math.max(...world.waits)).toBeLessThanOrEqual(30_000);
  });

  it('makes up at its start for what was missed, once, and not for what nobody had asked for yet', async () => {
    const missed = worldFrom('2026-11-20T12:00Z', '2026-11-20T23:00Z');
    await live(missed, { last: '2026-11-13T03:00:02Z' });
    expect(missed.done).toEqual(['2026-11-20T12:00']);
    const current = worldFrom('2026-11-20T12:00Z', '2026-11-20T23:00Z');
    await live(current, { last: '2026-11-20T03:00:02Z' });
    expect(current.done).toEqual([]);
    const fresh = worldFrom('2026-11-20T12:00Z', '2026-11-20T23:00Z');
    await live(fresh, {});
    expect(fresh.done).toEqual([]);
  });

  it('makes up for the times that pass during a backup, once, and never runs two at a time', async () => {
    const world = worldFrom('2026-11-20T12:00:30Z', '2026-11-20T12:12Z');
    await live(world, { schedule: '* * * * *', takesMs: 3.5 * minuteMs });
    expect(world.done).toEqual([
      '2026-11-20T12:01',
      '2026-11-20T12:04',
      '2026-11-20T12:08',
      '2026-11-20T12:11',
    ]);
  });

  it('makes up for a night that the machine slept through', async () => {
    const world = worldFrom('2026-11-20T23:00Z', '2026-11-22T02:00Z');
    let slept = false;
    await live(world, {
      clock: {
        now: () => new Date(world.nowMs),
        wait: async (ms) => {
          world.nowMs += slept ? ms : 11 * 60 * minuteMs;
          slept = true;
        },
      },
      jobs: async () => {
        if (world.nowMs > world.until.getTime()) throw new Error('over');
        return jobs('0 3 * * *');
      },
      emit: () => {
        throw new Error('over');
      },
    }).catch(() => {});
    expect(world.done).toEqual(['2026-11-21T10:00']);
  });

  it('goes on where the clock was set back', async () => {
    const world = worldFrom('2036-11-20T02:59Z', '2026-11-22T12:00Z');
    const signal = new AbortController();
    await live(world, {
      signal: signal.signal,
      clock: {
        now: () => new Date(world.nowMs),
        wait: async (ms) => {
          if (world.done.length > 0 && world.nowMs > Date.parse('2036-01-01'))
            world.nowMs = Date.parse('2026-11-21T00:00Z');
          world.nowMs += ms;
          if (world.done.length > 1) signal.abort();
        },
      },
    });
    expect(world.done).toEqual(['2036-11-20T03:00', '2026-11-21T03:00']);
  });

  it('follows the config file as it changes, and keeps to what it knew where that is wrong', async () => {
    const world = worldFrom('2026-11-20T12:00Z', '2026-11-20T18:00Z');
    await live(world, {
      jobs: async () => {
        const time = new Date(world.nowMs).getUTCHours();
        if (time === 14) throw new Error('pkbackup.yaml:1: no');
        return jobs(time < 13 ? '0 3 * * *' : '30 * * * *');
      },
    });
    expect(world.done.map((at) => at.slice(11))).toEqual(['13:30', '14:30', '15:30', '16:30', '17:30']);
    expect(world.events).toEqual([
      { type: 'warning', message: 'the schedule stays as it was: pkbackup.yaml:1: no' },
    ]);
  });

  it('says the next time once, and again when another comes first', async () => {
    const world = worldFrom('2026-11-20T12:00Z', '2026-11-20T14:10Z');
    const told: (string | undefined)[] = [];
    await live(world, {
      schedule: '@hourly',
      onNext: (next) => told.push(next?.at.toISOString().slice(11, 16)),
    });
    expect(told).toEqual(['13:00', '14:00', '15:00']);
  });

  it('does not begin another backup once it was ended', async () => {
    const world = worldFrom('2026-11-20T02:59:59Z', '2026-11-20T03:00:30Z');
    const two = jobsOf(
      {
        stores: [
          { name: 'a', schedule: '0 3 * * *' },
          { name: 'b', schedule: '0 3 * * *', timeZone: 'Europe/London' },
        ],
      },
      'UTC',
    );
    await live(world, { jobs: async () => two });
    expect(world.done).toEqual(['2026-11-20T03:00']);
  });
});
