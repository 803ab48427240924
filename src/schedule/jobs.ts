// Jobs: stores with the same schedule on the same clock are backed up together, as one set.
import { parseExpression } from './expression.ts';
import type { Schedule } from './times.ts';

export interface Job {
  readonly schedule: Schedule;
  /** Missing where all stores are meant, also those that nobody knows of yet. */
  readonly stores?: readonly string[];
}

/** A store, and what it says of its own. */
export interface ScheduledStore {
  readonly name: string;
  /** `never` where it is not to be backed up by any schedule. */
  readonly schedule?: string | undefined;
  readonly timeZone?: string | undefined;
}

export interface ScheduleSettings {
  readonly schedule?: string | undefined;
  readonly timeZone?: string | undefined;
  /** None where they are to be discovered. */
  readonly stores: readonly ScheduledStore[];
}

export const neverScheduled = 'never';

/** `systemZone` counts where no time zone is said. In the order of the stores. Throws `config`. */
export function jobsOf(settings: ScheduleSettings, systemZone: string): Job[] {
  const { stores } = settings;
  if (stores.length === 0) {
    const schedule = scheduleOf(settings, {}, systemZone);
    return schedule === undefined ? [] : [{ schedule }];
  }
  const groups = new Map<string, { schedule: Schedule; stores: string[] }>();
  for (const store of stores) {
    const schedule = scheduleOf(settings, store, systemZone);
    if (schedule === undefined) continue;
    const key = JSON.stringify([schedule.fields, schedule.timeZone]);
    const group = groups.get(key) ?? { schedule, stores: [] };
    group.stores.push(store.name);
    groups.set(key, group);
  }
  return [...groups.values()].map((group) => {
    return group.stores.length === stores.length ? { schedule: group.schedule } : group;
  });
}

/** Of one store; undefined where it has none. */
export function scheduleOf(
  top: Pick<ScheduleSettings, 'schedule' | 'timeZone'>,
  store: Pick<ScheduledStore, 'schedule' | 'timeZone'>,
  systemZone: string,
): Schedule | undefined {
  const expression = store.schedule ?? top.schedule;
  if (expression === undefined || expression === neverScheduled) return undefined;
  const timeZone = store.timeZone ?? top.timeZone ?? systemZone;
  return { expression, fields: parseExpression(expression), timeZone };
}
