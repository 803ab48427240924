// The schedulers layer: how each scheduler of the system is told of an entry, and how it forgets it again. It runs their own
// programs and writes their files; what the texts say is in `schedule`. Of what others have put there it touches nothing.
import type { Entry, ScheduleText } from '../schedule/index.ts';
import { cron } from './cron.ts';
import { launchd } from './launchd.ts';
import { systemd } from './systemd.ts';
import { taskScheduler } from './task-scheduler.ts';

export { isRunningSystemd } from './systemd.ts';

export type Scope = 'system' | 'user';

export interface Place {
  readonly scope: Scope;
  readonly homeDirectory: string;
  /** The variables that the scheduler's programs need. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly userId: number | undefined;
}

export interface Installed {
  /** Files or tasks that say the schedule. */
  readonly names: readonly string[];
  /** False where all was as it should be already. */
  readonly hasChanged: boolean;
  /** What a person should know of this scheduler. */
  readonly remark?: string;
}

export interface Scheduler {
  /** As people call it. */
  readonly name: SchedulerName;
  readonly platforms: readonly NodeJS.Platform[];
  /** Whether one scope is all that it has. */
  readonly scopes: readonly Scope[];
  texts(entry: Entry, place: Place, now: Date): ScheduleText[];
  /** MUST leave the same however often it is called. Throws `failed` with what the scheduler said. */
  install(entry: Entry, place: Place, now: Date): Promise<Installed>;
  /** Names of what was there; MUST NOT fail where nothing is, or where there is no such scheduler. */
  remove(id: string, place: Place): Promise<readonly string[]>;
}

export const schedulerNames = ['cron', 'systemd', 'launchd', 'task-scheduler'] as const;
export type SchedulerName = (typeof schedulerNames)[number];

export const schedulers: readonly Scheduler[] = [cron, systemd, launchd, taskScheduler];
