// pkbackup restore: prove the archives, show the plan, carry it out, keep what was there.
import type { ConfiguredStore } from '../config/types.ts';
import { PkbackupError } from '../errors.ts';
import type { Backup } from '../repository/index.ts';
import { littleSpace, megabytes } from '../stores/free-space.ts';
import { storeOf } from '../stores/index.ts';
import type { Restoration, RestorePlan, Store, StoreContext } from '../stores/store.ts';
import { type CarriedOut, carryOut, failed, type Undertaking } from './carry-out.ts';
import { findClients } from './clients.ts';
import { endRestore } from './end-restore.ts';
import { findOne, findReplaced } from './find-backup.ts';
import { estimateDowntime, type Foreseen, foresee } from './foresee.ts';
import { refuseUnstoppable, type ServedStore } from './host-server.ts';
import { factsOf } from './inspect-archive.ts';
import { type OtherPlace, otherPlace, placeOfBefore } from './other-place.ts';
import { type Proven, proveAndLook } from './prove.ts';
import { ofStore, restoredAs } from './restore-as.ts';
import { beginRestoreJournal, refuseUnsettled } from './restore-journal.ts';
import {
  contextFor,
  graceOf,
  guardOf,
  healthOf,
  lockStore,
  newSetId,
  type Run,
  rethrowIfAborted,
  storeNamed,
} from './run.ts';
import { warnOfLittleRoom } from './safety-backup.ts';

export interface RestoreOptions {
  /** A reference to one backup; with `rollback` the name of a store. */
  readonly backup: string;
  /** Its newest safety backup: what the last restore has replaced. */
  readonly rollback?: boolean;
  /** Instead of the backup's own store: the name of one that its content fits. */
  readonly store?: string;
  /**
   * Beside the present data: another file, directory or volume, which must be empty or missing; or `project:NAME`, another
   * compose project.
   */
  readonly to?: string;
  /** A missing volume may be made with the driver and the options of the backup, whatever place they name. */
  readonly takesVolumeOptions?: boolean;
  /** The backup's own store is looked for here. */
  readonly stores: readonly ConfiguredStore[];
  /** Asked where it is not among them; throws `not_found` where there is none of that name. */
  readonly discover?: (store: string) => Promise<readonly ConfiguredStore[]>;
  readonly safetyBackup: boolean;
  /** Asked once with everything that will happen; false ends it with `cancelled`. */
  readonly confirm: (plan: ConfirmedPlan) => Promise<boolean>;
}

export interface ConfirmedPlan extends RestorePlan, Foreseen {
  readonly backup: Backup;
  readonly beside: boolean;
  readonly keepsPrevious: boolean;
}

export interface RestoreResult extends CarriedOut {
  readonly backup: Backup;
  readonly target: string;
  readonly durationMs: number;
  /** What was there before, where there was anything. */
  readonly safetyBackup: Backup | undefined;
}

export async function restore(run: Run, options: RestoreOptions): Promise<RestoreResult> {
  const found = options.rollback
    ? await findReplaced(run, options.backup)
    : await findOne(run, options.backup);
  const backup = options.store === undefined ? found : ofStore(found, options.store);
  const confirm = ([plan]: readonly ConfirmedPlan[]) => (plan ? options.confirm(plan) : false);
  const [result] = await restoreTogether(run, [backup], { ...options, confirm });
  if (!result) throw new PkbackupError('failed', 'nothing was restored');
  return result;
}

export type TogetherOptions = Omit<RestoreOptions, 'backup' | 'rollback' | 'confirm'> & {
  /** Asked once with everything that will happen; false ends it with `cancelled`. */
  readonly confirm: (plans: readonly ConfirmedPlan[]) => Promise<boolean> | false;
};

/** All of them or none: what fails for one is undone for all. In their order they are let go. */
export async function restoreTogether(
  run: Run,
  backups: readonly Backup[],
  options: TogetherOptions,
): Promise<RestoreResult[]> {
  const startedMs = Date.now();
  await using held = new AsyncDisposableStack();
  // By name: two commands that want the same stores never wait for each other.
  const stores = backups.map(({ store }) => store).sort();
  for (const store of stores) held.use(await lockStore(run, store));
  const prepared: Prepared[] = [];
  for (const backup of backups) prepared.push(await prepare(run, backup, options, held));
  if (!(await options.confirm(prepared.map(({ plan }) => plan)))) {
    throw new PkbackupError('cancelled', 'cancelled; nothing was changed');
  }
  const group = backups.length > 1 ? newSetId() : undefined;
  const begun = prepared.map((one) => ({ ...one, ...begin(run, one, group) }));
  const done = await carryOut(
    run,
    begun.map(({ undertaking }) => undertaking),
  );
  const results: RestoreResult[] = [];
  for (const [index, one] of begun.entries()) {
    const carriedOut = done[index];
    if (carriedOut) results.push(await end(run, one, carriedOut, startedMs));
  }
  return results;
}

interface Prepared {
  readonly plan: ConfirmedPlan;
  readonly restoration: Restoration;
  readonly proven: Proven;
  readonly target: unknown;
  readonly clients: readonly string[];
  readonly served: ServedStore;
  readonly grace: { graceSeconds?: number };
  readonly health: { healthSeconds?: number };
  readonly context: StoreContext;
}

/** Proved and planned; nothing is touched. The store's lock is held. */
async function prepare(
  run: Run,
  proved: Backup,
  options: TogetherOptions,
  held: AsyncDisposableStack,
): Promise<Prepared> {
  const { store } = proved.metadata;
  const configured = await findStore(store, options);
  const backup = restoredAs(proved, { configured, to: options.to });
  const { kind } = backup.metadata;
  const implementation = storeOf(kind);
  const scratch = held.use(await run.repository.makeScratch());
  const context = contextFor(run, store, scratch.path);
  const place = await findOtherPlace(implementation, backup, configured, options.to, context);
  const target = chooseTarget(implementation, backup, configured, place);
  const beside = place !== undefined;
  if (!beside) await refuseUnsettled(run, store, 'restore_failed');
  run.emit({ type: 'started', store, kind, operation: 'restore', backup: backup.stem });
  const holdsClients = !beside && (configured?.clients ?? []).length > 0;
  const facts = factsOf(backup.metadata);
  const how = {
    beside,
    holdsClients,
    takesVolumeOptions: options.takesVolumeOptions ?? false,
    ...(place?.project === undefined ? {} : { project: place.project }),
  };
  const { proven, seen: restoration } = await proveAndLook(run, proved, (shown) =>
    implementation.planRestore(target, { ...facts, ...shown }, how, context),
  );
  refuseLittleSpace(restoration.plan, context);
  if (!beside) warnOfOtherVolume(run, backup, restoration.plan);
  const clients = beside ? [] : await findClients(context, configured, restoration.plan);
  const served = servedBy(backup, target, beside ? undefined : configured);
  const keepsPrevious = restoration.plan.replaces && options.safetyBackup;
  const foreseen = await foreseeFor(run, implementation, backup, { restoration, clients, served, context });
  if (keepsPrevious) await warnOfLittleRoom(run, store, restoration.plan);
  const plan = { ...restoration.plan, ...foreseen, backup, beside, keepsPrevious };
  const grace = graceOf(implementation, configured);
  return {
    plan,
    restoration,
    proven,
    target,
    clients,
    served,
    grace,
    health: healthOf(implementation, configured),
    context,
  };
}

/** Where it goes may be a place beside the configured one, which its programs have nothing to do with. */
function servedBy(
  { metadata }: Backup,
  target: unknown,
  configured: ConfiguredStore | undefined,
): ServedStore {
  const { server, graceSeconds } = configured ?? {};
  return {
    name: metadata.store,
    kind: metadata.kind,
    target,
    ...(server === undefined ? {} : { server }),
    ...(graceSeconds === undefined ? {} : { graceSeconds }),
  };
}

async function foreseeFor(
  run: Run,
  implementation: Store,
  { metadata }: Backup,
  { restoration, clients, served, context }: Pick<Prepared, 'restoration' | 'clients' | 'served' | 'context'>,
): Promise<Foreseen> {
  try {
    const server = await refuseUnstoppable(run, served);
    const known = await foresee(context, restoration.plan, clients);
    const who = { ...known, stops: [...known.stops, ...(server ? [server.name] : [])] };
    if (who.stops.length === 0) return who;
    return { ...who, downtime: estimateDowntime(implementation, metadata, await run.repository.list()) };
  } catch (error) {
    rethrowIfAborted(run, error);
    throw failed(error, restoration, 'the present data was not touched');
  }
}

interface Begun {
  readonly undertaking: Undertaking;
  readonly safetySetId: string;
}

function begin(run: Run, prepared: Prepared, group: string | undefined): Begun {
  const { plan, restoration, proven, target, clients, served, grace, health, context } = prepared;
  const { backup, beside, keepsPrevious } = plan;
  const { store, kind } = backup.metadata;
  const safetySetId = newSetId();
  const journal = beginRestoreJournal(run, {
    store,
    kind,
    stem: backup.stem,
    target,
    ...grace,
    beside,
    keepsPrevious,
    safetySetId,
    ...(group === undefined ? {} : { group }),
  });
  const undertaking = {
    restoration,
    stage: () => proven.stage(restoration),
    clients,
    served,
    context: { ...context, ...grace, ...health, guard: guardOf(run) },
    journal,
  };
  return { undertaking, safetySetId };
}

async function end(
  run: Run,
  { plan, restoration, context, undertaking, safetySetId }: Prepared & Begun,
  { isNoted, ...done }: CarriedOut & { isNoted: boolean },
  startedMs: number,
): Promise<RestoreResult> {
  const { backup, keepsPrevious } = plan;
  const { journal } = undertaking;
  const ending = { keepsPrevious, safetySetId, downtimeMs: done.downtimeMs, journal };
  const { saved } = isNoted
    ? await endRestore(run, backup.metadata, restoration, context, ending)
    : { saved: undefined };
  run.emit({ type: 'ended', store: backup.store, ok: true });
  return {
    backup,
    target: plan.target,
    ...done,
    durationMs: Date.now() - startedMs,
    safetyBackup: saved,
  };
}

async function findStore(name: string, options: TogetherOptions): Promise<ConfiguredStore | undefined> {
  const known = storeNamed(options.stores, name);
  if (known || options.to !== undefined) return known;
  try {
    return storeNamed(await options.discover?.(name), name);
  } catch (error) {
    // Said below, knowing the backup.
    if (error instanceof PkbackupError && error.code === 'not_found') return undefined;
    throw error;
  }
}

/** Undefined for the store itself. */
async function findOtherPlace(
  kind: Store,
  backup: Backup,
  configured: ConfiguredStore | undefined,
  to: string | undefined,
  context: StoreContext,
): Promise<OtherPlace | undefined> {
  if (to !== undefined) {
    const isConfigured = configured?.kind === backup.metadata.kind;
    return await otherPlace(kind, backup, { to, isConfigured }, context);
  }
  return configured ? undefined : await placeOfBefore(kind, backup, context);
}

function chooseTarget(
  kind: Store,
  backup: Backup,
  configured: ConfiguredStore | undefined,
  place: OtherPlace | undefined,
): unknown {
  const sameKind = configured?.kind === backup.metadata.kind ? configured : undefined;
  if (place?.to !== undefined) return kind.retarget(sameKind?.target, place.to);
  if (sameKind) {
    if (!place) refuseOtherInstance(backup, sameKind);
    return sameKind.target;
  }
  if (configured) {
    throw new PkbackupError(
      'bad_backup',
      `the store "${backup.store}" is of kind ${configured.kind}, the backup of kind ${backup.metadata.kind}`,
      { hint: 'restore it beside with --to' },
    );
  }
  throw new PkbackupError('not_found', `the store "${backup.store}" is neither configured nor found`, {
    hint: 'add it to pkbackup.yaml, or say where to restore with --to',
  });
}

/** What was found by its name alone may be the same service of another project. */
function refuseOtherInstance({ store, metadata }: Backup, { project, origin }: ConfiguredStore): void {
  const before = metadata.source.compose_project;
  if (project === undefined || before === undefined || project === before) return;
  throw new PkbackupError(
    'ambiguous',
    `the backup of "${store}" is of project "${before}", and ${origin ?? `"${store}"`} is of project "${project}"`,
    { hint: `say --project ${before}, or where to restore with --to, or name the store in pkbackup.yaml` },
  );
}

/** A volume of that kind is not always that of the same instance. */
function warnOfOtherVolume(run: Run, { store, metadata }: Backup, { volumes }: RestorePlan): void {
  const { volume } = metadata.source;
  if (volume === undefined || volumes.length === 0 || volumes.includes(volume)) return;
  const message = `the backup is of volume "${volume}", and goes to volume "${volumes.join('", "')}"`;
  run.emit({ type: 'warning', store, message });
}

function refuseLittleSpace({ target, neededBytes, freeBytes }: RestorePlan, context: StoreContext): void {
  const little = littleSpace(neededBytes, freeBytes);
  if (little !== undefined) {
    throw new PkbackupError('restore_failed', `${target}: ${little}; nothing was touched`, {
      hint: 'make room there, or restore elsewhere with --to',
    });
  }
  if (neededBytes === undefined || freeBytes !== undefined) return;
  const message = `about ${megabytes(neededBytes)} are needed beside the present data; how much is free in ${target} is not known`;
  context.emit({ type: 'step', store: context.store, message });
}
