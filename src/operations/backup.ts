// pkbackup backup: several stores in one run, beside each other, as one set. One failed store does not stop the others.
import { keepHeapSmall } from '../archive/small-heap.ts';
import type { ConfiguredStore } from '../config/types.ts';
import { messageOf, type PkbackupError } from '../errors.ts';
import type { Backup, Manifest } from '../repository/index.ts';
import type { Compression } from '../words.ts';
import { asFailedBackup, backupStore, type Prediction, predict } from './backup-store.ts';
import { type ExpectedRun, expectedRun } from './history.ts';
import { inParallel } from './in-parallel.ts';
import type { ShrinkRules } from './preflight.ts';
import { type Pinning, Rendezvous, type RendezvousResult } from './rendezvous.ts';
import { newSetId, type Run, rethrowIfAborted } from './run.ts';
import { type Clients, type ReadyStore, writersOf } from './writers.ts';

export interface BackupOptions extends ShrinkRules {
  readonly stores: readonly ConfiguredStore[];
  readonly compression?: Compression;
  readonly level?: number;
  readonly allowEmpty?: boolean;
  /** How many stores at once; 2 where it is missing. */
  readonly parallel?: number;
  /** Pins all stores at one moment, and holds those who write to them until then. */
  readonly consistent?: Consistency;
  /** Looks at each store and checks what can be checked; nothing is written and nothing held. */
  readonly dryRun?: boolean;
}

export interface Consistency {
  readonly clients: Clients;
  /** After so long they go on, whatever is pinned by then. */
  readonly longestMs: number;
}

export interface BackupResult {
  readonly setId: string;
  readonly durationMs: number;
  readonly stores: readonly StoreResult[];
  /** Between the first and the last pinned moment, where there are several. */
  readonly skewMs?: number;
  /** Where one moment was asked for. */
  readonly consistent?: RendezvousResult;
  /** Of a dry run. */
  readonly expected?: ExpectedRun;
}

export type StoreResult =
  | { store: ConfiguredStore; ok: true; backup: Backup; skipped?: false; durationMs: number }
  | ({ store: ConfiguredStore; ok: true; backup?: undefined; skipped?: false } & Prediction)
  /** Its `before` hook asked for that. */
  | { store: ConfiguredStore; ok: true; backup?: undefined; skipped: true }
  | { store: ConfiguredStore; ok: false; error: PkbackupError };

const defaultParallel = 2;

export async function backup(run: Run, options: BackupOptions): Promise<BackupResult> {
  keepHeapSmall();
  const startedAt = new Date();
  const setId = newSetId(startedAt);
  const { stores: wanted, parallel = defaultParallel } = options;
  const rendezvous = rendezvousFor(run, options);
  // All must be there before one is pinned.
  const limit = options.consistent ? wanted.length : parallel;
  const made: string[] = [];
  const working = inParallel(wanted, limit, async (store) => {
    const one = await backupOne(run, store, { setId, ...options }, rendezvous?.join());
    if (one.ok && one.backup) made.push(store.name);
    return one;
  });
  // Also where the run was interrupted: nobody stays held.
  const [ended] = await Promise.allSettled([working]);
  const consistent = await rendezvous?.result();
  if (ended.status === 'rejected') {
    if (made.length > 0) rethrowIfAborted(run, ended.reason, `backed up before: ${made.join(', ')}`);
    throw ended.reason;
  }
  const stores = ended.value;
  const skewMs = skewOf(stores);
  const result: BackupResult = {
    setId,
    durationMs: Date.now() - startedAt.getTime(),
    stores,
    ...(skewMs === undefined ? {} : { skewMs }),
    ...(consistent ? { consistent } : {}),
    ...(options.dryRun ? { expected: await foresee(run, stores, options, limit) } : {}),
  };
  await writeManifest(run, result, startedAt);
  return result;
}

async function foresee(
  { repository }: Run,
  stores: readonly StoreResult[],
  { consistent }: BackupOptions,
  limit: number,
): Promise<ExpectedRun> {
  const good = stores.filter((store) => store.ok);
  const each = good.map((store) => ('look' in store ? store.expected : undefined));
  const ids = consistent ? (await repository.manifests.ids()).sort().slice(-shownManifests) : [];
  const manifests = await Promise.all(ids.map((id) => repository.manifests.read(id).catch(() => undefined)));
  return expectedRun(
    each,
    limit,
    manifests.filter((manifest) => manifest !== undefined),
  );
}

/** Their ids begin with the time. */
const shownManifests = 20;

function rendezvousFor(
  run: Run,
  { stores, consistent, dryRun }: BackupOptions,
): Rendezvous<ReadyStore> | undefined {
  if (!consistent || dryRun || stores.length === 0) return undefined;
  return new Rendezvous(stores.length, writersOf(run, consistent.clients), consistent.longestMs);
}

async function backupOne(
  run: Run,
  store: ConfiguredStore,
  options: BackupOptions & { setId: string },
  pinning: Pinning<ReadyStore> | undefined,
): Promise<StoreResult> {
  run.emit({ type: 'started', store: store.name, kind: store.kind, operation: 'backup' });
  const startedMs = Date.now();
  try {
    if (options.dryRun) {
      const prediction = await predict(run, store, {
        ...options,
        isConsistent: options.consistent !== undefined,
      });
      run.emit({ type: 'ended', store: store.name, ok: true });
      return { store, ok: true, ...prediction };
    }
    const made = await backupStore(run, store, { ...options, ...(pinning ? { pinning } : {}) });
    const skipped = made ? {} : { message: 'skipped: the before hook asked for it' };
    run.emit({ type: 'ended', store: store.name, ok: true, ...skipped });
    if (!made) return { store, ok: true, skipped: true };
    return { store, ok: true, backup: made, durationMs: Date.now() - startedMs };
  } catch (error) {
    rethrowIfAborted(run, error);
    const known = asFailedBackup(error);
    run.emit({ type: 'ended', store: store.name, ok: false, message: known.message });
    return { store, ok: false, error: known };
  } finally {
    pinning?.leave();
  }
}

function skewOf(results: readonly StoreResult[]): number | undefined {
  const pinned = results.flatMap((result) =>
    result.ok && result.backup ? [result.backup.createdAt.getTime()] : [],
  );
  return pinned.length < 2 ? undefined : Math.max(...pinned) - Math.min(...pinned);
}

/** The backups are good without it: where it cannot be written, that is a warning. */
async function writeManifest(run: Run, result: BackupResult, startedAt: Date): Promise<void> {
  const { setId, durationMs, stores, skewMs, consistent } = result;
  if (stores.length < 2 || !stores.some((store) => store.ok && store.backup)) return;
  const manifest: Manifest = {
    type: 'pkbackup-set',
    schema_version: 1,
    set_id: setId,
    started_at: startedAt.toISOString(),
    duration_ms: durationMs,
    partial: stores.some((store) => !store.ok || !store.backup),
    consistent: consistent?.isConsistent ?? false,
    ...(consistent?.heldMs === undefined ? {} : { held_ms: consistent.heldMs }),
    ...(skewMs === undefined ? {} : { skew_ms: skewMs }),
    stores: stores.map(manifestEntry),
  };
  try {
    await run.repository.manifests.write(manifest);
  } catch (error) {
    run.emit({
      type: 'warning',
      message: `the manifest of set "${setId}" could not be written: ${messageOf(error)}`,
    });
  }
}

function manifestEntry(result: StoreResult): Manifest['stores'][number] {
  const { name: store, kind } = result.store;
  if (!result.ok) return { store, kind, ok: false, error: result.error.message };
  const { backup } = result;
  if (!backup) return { store, kind, ok: true, skipped: true };
  const { created_at, size_bytes, downtime_ms } = backup.metadata;
  return {
    store,
    kind,
    ok: true,
    stem: backup.stem,
    pinned_at: created_at,
    duration_ms: result.durationMs,
    size_bytes,
    ...(downtime_ms === undefined ? {} : { downtime_ms }),
  };
}
