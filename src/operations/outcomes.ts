// What came of a run is written down, and compared with what came of the one before: what works again is worth a message.
import { messageOf } from '../errors.ts';
import type { Repository } from '../repository/index.ts';
import { redactSecrets } from '../secret.ts';
import type { Run } from './run.ts';

export interface RunOutcome {
  readonly ok: boolean;
  readonly durationMs?: number;
  readonly error?: string;
}

export interface Recovered {
  /** Missing where the command as a whole failed before it came to any store. */
  readonly store?: string;
  readonly failedSince: Date;
}

export interface OutcomesOfRun {
  readonly operation: string;
  /** Of the command as a whole: whether it came to its stores at all. */
  readonly whole: RunOutcome;
  readonly stores: ReadonlyMap<string, RunOutcome>;
}

/** What is good again. That it cannot be written down is a warning. */
export async function recordOutcomes(
  run: Pick<Run, 'repository' | 'emit'>,
  { operation, whole, stores }: OutcomesOfRun,
  now = new Date(),
): Promise<Recovered[]> {
  const recovered: Recovered[] = [];
  try {
    const failedSince = await record(run.repository, { operation }, whole, now);
    if (failedSince) recovered.push({ failedSince });
    for (const [store, one] of stores) {
      const since = await record(run.repository, { operation, store }, one, now);
      if (since) recovered.push({ store, failedSince: since });
    }
  } catch (error) {
    run.emit({
      type: 'warning',
      message: `what came of this run was not written down: ${messageOf(error)}`,
    });
  }
  return recovered;
}

/** Since when it had failed, where it is good now. */
async function record(
  { outcomes }: Pick<Repository, 'outcomes'>,
  key: { operation: string; store?: string },
  { ok, durationMs, error }: RunOutcome,
  now: Date,
): Promise<Date | undefined> {
  const before = await outcomes.read(key);
  const at = now.toISOString();
  await outcomes.write(key, {
    type: 'pkbackup-outcome',
    schema_version: 1,
    at,
    ok,
    failures_total: (before?.failures_total ?? 0) + (ok ? 0 : 1),
    ...(ok
      ? {}
      : {
          failed_since: before?.failed_since ?? at,
          failures_in_a_row: (before?.failures_in_a_row ?? 0) + 1,
        }),
    ...(durationMs === undefined ? {} : { duration_ms: durationMs }),
    ...(error === undefined ? {} : { error: redactSecrets(error) }),
  });
  return ok && before?.failed_since !== undefined ? new Date(before.failed_since) : undefined;
}
