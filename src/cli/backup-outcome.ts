// What a backup run came to: its exit code, its errors, and what hooks and messages say of it. Pure functions.
import { asPkbackupError, errorCatalogue, exitCodeOf, PkbackupError } from '../errors.ts';
import type { BackupResult, StoreResult } from '../operations/backup.ts';
import type { HookFacts } from '../operations/hooks.ts';
import type { ReportedStore } from '../reporters/run-message.ts';
import { reportedError, type Summary } from './announce.ts';

export interface Done {
  readonly exitCode: number;
  readonly result: BackupResult;
  /** Of a drill of what was backed up, where it was not passed. */
  readonly drillError?: PkbackupError | undefined;
}

export function factsOf({ exitCode, result: { setId, stores, durationMs } }: Done): HookFacts {
  const failed = stores.filter((store) => !store.ok);
  return {
    OUTCOME: exitCode === 0 ? 'success' : 'failure',
    EXIT_CODE: exitCode,
    SET_ID: setId,
    STORES: stores.map(({ store }) => store.name).join(' '),
    FAILED_STORES: failed.map(({ store }) => store.name).join(' '),
    ERROR: failed.map(({ store, error }) => named(store.name, error).message).join('\n') || undefined,
    DURATION_MS: durationMs,
  };
}

export function summaryOf({ exitCode, result, drillError }: Done): Summary {
  const stores = result.stores.map((store): ReportedStore => {
    const { name, kind } = store.store;
    if (!store.ok) return { store: name, kind, error: reportedError(store.error) };
    if (!store.backup) return { store: name, kind, isSkipped: true };
    const { size_bytes, downtime_ms } = store.backup.metadata;
    return {
      store: name,
      kind,
      sizeBytes: size_bytes,
      durationMs: store.durationMs,
      ...(downtime_ms !== undefined && { downtimeMs: downtime_ms }),
    };
  });
  const error = consistencyError(result) ?? drillError;
  return { exitCode, setId: result.setId, stores, ...(error && { error }) };
}

/** The backups are good by themselves; that they are of one moment was asked for, and is not so. */
export function consistencyError({ consistent, stores }: BackupResult): PkbackupError | undefined {
  if (!consistent || !stores.some((store) => store.ok && store.backup)) return undefined;
  if (consistent.error !== undefined)
    return asPkbackupError(consistent.error, 'failed', 'let the clients go');
  if (consistent.isConsistent) return undefined;
  return new PkbackupError(
    'backup_failed',
    'the backups of this set are good, but not of one moment: the clients were let go before every store was pinned',
    {
      hint: 'give it more time with clients_longest',
    },
  );
}

type Failure = Extract<StoreResult, { ok: false }>;

export function failuresOf(results: readonly StoreResult[]): PkbackupError[] {
  return results
    .filter((result): result is Failure => !result.ok)
    .map(({ store, error }) => named(store.name, error));
}

function named(store: string, error: PkbackupError): PkbackupError {
  if (error.message.startsWith(`${store}: `)) return error;
  return new PkbackupError(error.code, `${store}: ${error.message}`, {
    cause: error,
    ...(error.hint !== undefined && { hint: error.hint }),
  });
}

/** One kind of failure keeps its own exit code (Docker is not there, a lock is held); several are failed backups. */
export function worstOf(results: readonly StoreResult[], ofSet: PkbackupError | undefined): number {
  const codes = new Set(results.map((result) => (result.ok ? 0 : exitCodeOf(result.error))));
  if (ofSet) codes.add(exitCodeOf(ofSet)).delete(0);
  const [only = 0] = codes;
  if (codes.size <= 1) return only;
  return errorCatalogue.backup_failed.exitCode;
}
