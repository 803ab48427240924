// What must know of a hold beside the process that makes it, so that it ends even if that process does not live to end it:
// the watchdog, for when the process dies, and the journal, for when the machine does.
import { resolve } from 'node:path';
import { thisProcess } from '../owner.ts';
import { Journal, type JournalHead } from './journal.ts';
import type { HoldPlan } from './plan.ts';
import { Watchdog } from './watchdog.ts';

export type HoldPhase = 'holding' | 'held' | 'released';

/** Each call returns when it is safe to go on: written, or told. */
export interface Guard {
  /** `holding` before the container is stopped or paused, `held` after it, `released` when it runs again. */
  note(id: string, phase: HoldPhase): Promise<void>;
  /** Everyone runs again. */
  end(): Promise<void>;
}

export interface GuardOptions {
  readonly journalDirectory: string;
  readonly store: string;
  /** Over that of this process: how Docker is reached. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Before anything is held; throws where that must not happen. */
export async function beginGuard(plan: HoldPlan, options: GuardOptions): Promise<Guard> {
  const { journalDirectory, store, environment } = options;
  const head: JournalHead = { version: 1, store, owner: thisProcess(), plan };
  const journal = await Journal.begin(resolve(journalDirectory), head);
  let watchdog: Watchdog | undefined;
  try {
    watchdog = await Watchdog.start(journal.path, head, environment);
    await journal.watchedBy(watchdog.owner);
    return guardOf(journal, watchdog);
  } catch (error) {
    await watchdog?.end();
    await journal.remove();
    throw error;
  }
}

function guardOf(journal: Journal, watchdog: Watchdog): Guard {
  return {
    async note(id, phase) {
      await Promise.all([journal.note(id, phase), watchdog.note(id, phase)]);
    },
    async end() {
      await watchdog.end();
      await journal.remove();
    },
  };
}

/** For callers that keep no journal. */
export const noGuard: Guard = { note: async () => undefined, end: async () => undefined };
