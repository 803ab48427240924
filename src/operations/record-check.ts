// The result of a check, written into the metadata of its backup.
import { messageOf } from '../errors.ts';
import type { Backup, Check, CheckLevel } from '../repository/index.ts';
import type { Run } from './run.ts';

/** A repository that may only be read can be checked all the same. */
export async function recordCheck(
  run: Run,
  backup: Backup,
  level: CheckLevel,
  findings: readonly string[],
  extra: Partial<Check> = {},
): Promise<void> {
  const ok = findings.length === 0;
  const check = {
    at: new Date().toISOString(),
    level,
    ok,
    ...(ok ? {} : { findings: findings.slice(0, 20) }),
    ...extra,
  };
  try {
    await run.repository.recordCheck(backup, check, run.signal);
  } catch (error) {
    const message = `the result could not be written into the metadata: ${messageOf(error)}`;
    run.emit({ type: 'warning', store: backup.store, message });
  }
}
