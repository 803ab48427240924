// What `after_backup: prune` asks for: old backups of the stores that were backed up well go, under the same policy as with
// `pkbackup prune`. The backups are made by then: whatever fails here is told, and does not make them failures.
import { choosePolicy, policiesOf } from '../config/index.ts';
import { asPkbackupError, type PkbackupError } from '../errors.ts';
import type { StoreResult } from '../operations/backup.ts';
import { type PruneResult, prune } from '../operations/prune.ts';
import type { Run } from '../operations/run.ts';
import type { Session } from './session.ts';

export type PrunedAfterwards =
  | { readonly ok: true; readonly result: PruneResult; readonly from: string }
  | { readonly ok: false; readonly error: PkbackupError };

/** Undefined where nothing is to be pruned: nobody asked for it, no store was backed up, or everything is kept. */
export async function pruneAfterBackup(
  session: Session,
  run: Run,
  results: readonly StoreResult[],
  flag: boolean | undefined,
): Promise<PrunedAfterwards | undefined> {
  const { config, environment } = await session.settings();
  if (!(flag ?? config?.afterBackup === 'prune')) return undefined;
  const stores = results.flatMap((result) => (result.ok && result.backup ? [result.store.name] : []));
  if (stores.length === 0) return undefined;
  try {
    const { policy, from, ofStores } = choosePolicy({}, environment, policiesOf(config));
    if (policy === undefined) return undefined;
    return { ok: true, result: await prune(run, { policy, ofStores, stores, dryRun: false }), from };
  } catch (error) {
    const known = asPkbackupError(error, 'failed', 'the old backups were not pruned');
    run.emit({
      type: 'warning',
      message: `the backups are made, but old ones were not pruned: ${known.message}`,
      hint: known.hint ?? 'pkbackup prune tries again',
    });
    return { ok: false, error: known };
  }
}
