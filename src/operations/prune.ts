// pkbackup prune: plan, then execute; the dry run stops between the two. Only whole backups of ours are counted and only
// they are removed; a repository that cannot be read is an error before anything is decided.

import { PkbackupError } from '../errors.ts';
import { type Backup, trashGraceMs } from '../repository/index.ts';
import {
  type Candidate,
  type Decision,
  isEmptyPolicy,
  type PoliciesOfStores,
  planRetention,
  type RetentionPolicy,
} from '../retention/index.ts';
import { lockStore, type Run } from './run.ts';

export interface PruneOptions {
  /** All stores of the repository where it is missing. */
  readonly stores?: readonly string[];
  readonly policy: RetentionPolicy;
  /** Of stores that have one of their own. */
  readonly ofStores?: PoliciesOfStores;
  readonly dryRun: boolean;
  /** Also removes for good what is in the trash, whatever its age. */
  readonly emptyTrash?: boolean;
  readonly now?: Date;
}

export interface PlannedBackup extends Decision {
  readonly backup: Backup;
  readonly removed: boolean;
}

export interface PruneResult {
  readonly plan: readonly PlannedBackup[];
  readonly dryRun: boolean;
  /** Bytes of the backups that are removed, or would be. */
  readonly freedBytes: number;
}

export async function planPrune(run: Pick<Run, 'repository'>, options: PruneOptions): Promise<PruneResult> {
  refuseEmptyPolicies(options);
  const { backups } = await run.repository.list();
  const byId = new Map(backups.map((backup) => [backup.stem, backup]));
  // Other stores are planned too: what they keep of a set keeps the wanted ones' backups in it.
  const decisions = planRetention(backups.map(asCandidate), options.policy, {
    now: options.now ?? new Date(),
    ...(options.ofStores && { ofStores: options.ofStores }),
  });
  const plan = decisions.flatMap((decision) => {
    const backup = byId.get(decision.id);
    const isWanted = !options.stores || options.stores.includes(decision.store);
    return backup && isWanted ? [{ ...decision, backup, removed: false }] : [];
  });
  return { plan, dryRun: true, freedBytes: bytesToFree(plan) };
}

/** Plans again under the locks of all stores, so that what is executed is what is there now, and sets stay whole. */
export async function prune(run: Run, options: PruneOptions): Promise<PruneResult> {
  const first = await planPrune(run, options);
  if (options.dryRun) return first;
  const plan: PlannedBackup[] = [];
  {
    await using locks = new AsyncDisposableStack();
    const { backups } = await run.repository.list();
    for (const store of [...new Set(backups.map((backup) => backup.store))].sort()) {
      locks.use(await lockStore(run, store));
      await run.repository.trash.settle(store);
    }
    for (const planned of (await planPrune(run, options)).plan) {
      plan.push(await execute(run, planned, options));
    }
  }
  await emptyTrash(run, options.emptyTrash ? 0 : trashGraceMs, options);
  await removeManifests(run);
  return { plan, dryRun: false, freedBytes: bytesToFree(plan) };
}

async function execute(run: Run, planned: PlannedBackup, options: PruneOptions): Promise<PlannedBackup> {
  if (planned.keep) return planned;
  run.signal.throwIfAborted();
  await run.repository.trash.add(planned.backup, options.now ?? new Date());
  return { ...planned, removed: true };
}

/** Removes for good what has been in the trash for at least `graceMs`; gives the bytes that came back. */
export async function emptyTrash(
  run: Run,
  graceMs: number,
  options: { stores?: readonly string[]; now?: Date } = {},
): Promise<number> {
  const nowMs = (options.now ?? new Date()).getTime();
  let freedBytes = 0;
  for (const trashed of await run.repository.trash.list()) {
    const isWanted = !options.stores || options.stores.includes(trashed.store);
    if (!isWanted || !(nowMs - trashed.trashedAt.getTime() >= graceMs)) continue;
    await using _lock = await lockStore(run, trashed.store);
    await run.repository.trash.settle(trashed.store);
    await run.repository.trash.remove(trashed);
    freedBytes += trashed.metadata.size_bytes;
  }
  return freedBytes;
}

/** Of sets of which no backup is left, in the trash neither. */
async function removeManifests({ repository }: Run): Promise<void> {
  const ids = await repository.manifests.ids();
  if (ids.length === 0) return;
  const [{ backups, leftovers }, trashed] = await Promise.all([repository.list(), repository.trash.list()]);
  // What cannot be read may be of any set.
  if (leftovers.length > 0) return;
  const known = new Set([...backups, ...trashed].map(({ metadata }) => metadata.set_id));
  for (const id of ids) if (!known.has(id)) await repository.manifests.remove(id);
}

function asCandidate({ stem, store, createdAt, isDamaged, metadata }: Backup): Candidate {
  const { checks, set_id: setId } = metadata;
  return {
    id: stem,
    store,
    createdAt,
    sizeBytes: metadata.size_bytes,
    ...(setId === undefined ? {} : { setId }),
    pinned: Boolean(metadata.pinned),
    isSafety: metadata.safety ?? false,
    isDamaged,
    isVerified: checks.some(({ ok, level }) => ok && (level === 'archive' || level === 'content')),
    isDrilled: checks.some(({ ok, level }) => ok && level === 'drill'),
  };
}

function bytesToFree(plan: readonly PlannedBackup[]): number {
  return plan.reduce((sum, { keep, backup }) => sum + (keep ? 0 : backup.metadata.size_bytes), 0);
}

function refuseEmptyPolicies({ policy, ofStores = new Map() }: PruneOptions): void {
  if (isEmptyPolicy(policy)) throw emptyPolicy('the retention policy');
  for (const [store, own] of ofStores) {
    // Where a cap is the only rule, the store keeps what there is room for.
    if (isEmptyPolicy(own) && !policy.maxSizeBytes)
      throw emptyPolicy(`the retention policy of store "${store}"`);
  }
}

function emptyPolicy(what: string): PkbackupError {
  return new PkbackupError('usage', `${what} keeps nothing: expected at least one rule`, {
    hint: 'pkbackup prune --keep-daily 7 --keep-weekly 4 --keep-monthly 3, or "retention:" in pkbackup.yaml',
  });
}
