// Restores that a crash broke off: undone where the restored store had not proved itself yet, ended where it had. Wholly the
// old data or wholly the new, never a mixture.
import type { ConfiguredStore } from '../config/types.ts';
import { messageOf, PkbackupError } from '../errors.ts';
import type { Held } from '../quiesce/index.ts';
import type { RestoreRecord } from '../repository/index.ts';
import { storeOf } from '../stores/index.ts';
import type { BackupFacts, ResumedRestore } from '../stores/store.ts';
import { endRestore, rollBackHeld, undoStaging } from './end-restore.ts';
import { prepareServerHold, type ServedStore } from './host-server.ts';
import { factsOf } from './inspect-archive.ts';
import type { RecoveredThing } from './recover.ts';
import {
  isProved,
  isProvedAmong,
  type OrphanRestore,
  orphanRestores,
  type RestoreJournal,
} from './restore-journal.ts';
import { contextFor, guardOf, type HoldContext, lockStore, newSetId, type Run, storeNamed } from './run.ts';

export interface RecoverRestoresOptions {
  readonly dryRun: boolean;
  /** What stops and starts servers of this host: of the configuration, never of a journal. */
  readonly stores: readonly ConfiguredStore[];
}

/** `to-end` are those that have proved themselves; what cannot be read is told with the others. */
export async function recoverRestores(
  run: Run,
  options: RecoverRestoresOptions & { which: 'to-undo' | 'to-end' },
): Promise<RecoveredThing[]> {
  const done: RecoveredThing[] = [];
  const orphans = await orphanRestores(run);
  for (const orphan of orphans) {
    const isToEnd = orphan.record !== undefined && isProvedAmong(orphan.record, orphans);
    if (isToEnd !== (options.which === 'to-end')) continue;
    try {
      if (isToEnd && !options.dryRun) await noteAllProved(run, orphans, orphan.record?.group);
      const message = await recoverOne(run, orphan, { ...options, isToEnd });
      if (message !== undefined) done.push({ ok: true, message });
    } catch (error) {
      run.signal.throwIfAborted();
      // Another command is at it.
      if (error instanceof PkbackupError && error.code === 'locked') continue;
      const store = orphan.record?.store ?? 'unknown store';
      done.push({
        ok: false,
        message: `${store}: a restore that was broken off is not settled: ${messageOf(error)}`,
      });
    }
  }
  return done;
}

/** Before the first of a group is ended: the others are told by it. */
async function noteAllProved(
  run: Run,
  orphans: readonly OrphanRestore[],
  group: string | undefined,
): Promise<void> {
  if (group === undefined) return;
  for (const { name, record } of orphans) {
    if (record?.group !== group || isProved(record)) continue;
    await using _lock = await lockStore(run, record.store);
    const now = (await orphanRestores(run)).find((orphan) => orphan.name === name)?.record;
    if (now && !isProved(now))
      await run.repository.journal.write(name, JSON.stringify({ ...now, step: 'checked' }));
  }
}

async function recoverOne(
  run: Run,
  { name, record: found }: OrphanRestore,
  options: RecoverRestoresOptions & { isToEnd: boolean },
): Promise<string | undefined> {
  if (!found) throw new PkbackupError('failed', `the journal "${name}" cannot be read`);
  const { store, stem } = found;
  if (options.dryRun) {
    return `${store}: would ${options.isToEnd ? 'end' : 'undo'} the restore of "${stem}" that was broken off`;
  }
  await using _lock = await lockStore(run, store);
  // Another command may have settled it while this one waited.
  const record = (await orphanRestores(run)).find((orphan) => orphan.name === name)?.record;
  if (!record) return undefined;
  await using scratch = await run.repository.makeScratch();
  const grace = record.graceSeconds === undefined ? {} : { graceSeconds: record.graceSeconds };
  const context = { ...contextFor(run, store, scratch.path), ...grace, guard: guardOf(run) };
  const restoration = await resume(run, record, context);
  const journal = journalOf(run, name);
  if (isProved(record)) return await finish(run, record, restoration, context, journal);
  const crash = new Error('the process that restored is dead');
  if (record.step === 'staging') await undoStaging(restoration, context, crash);
  else {
    const held = record.held.map(asHeld);
    const clients = held.filter(({ isClient }) => isClient).map(({ id }) => id);
    const server = await prepareServerHold(run, servedNow(record, options.stores));
    await rollBackHeld(restoration, context, { held, clients, server }, crash);
  }
  await journal.end();
  return `${store}: undid the restore of "${stem}" that was broken off; the previous data is in place`;
}

function servedNow({ store, kind, target }: RestoreRecord, stores: readonly ConfiguredStore[]): ServedStore {
  const { server } = storeNamed(stores, store) ?? {};
  const served = { name: store, kind, target: storeOf(kind).schema.parse(target) };
  return server === undefined ? served : { ...served, server };
}

/** The record stays as it was found until everything is done. */
function journalOf(run: Run, name: string): RestoreJournal {
  return { note: async () => undefined, end: () => run.repository.journal.remove(name) };
}

function asHeld({ wasHealthy, project, service, isClient, ...known }: RestoreRecord['held'][number]): Held {
  return {
    ...known,
    ...(wasHealthy === undefined ? {} : { wasHealthy }),
    ...(project === undefined ? {} : { project }),
    ...(service === undefined ? {} : { service }),
    ...(isClient === undefined ? {} : { isClient }),
  };
}

async function resume(run: Run, record: RestoreRecord, context: HoldContext): Promise<ResumedRestore> {
  const kind = storeOf(record.kind);
  if (!kind.resumeRestore) {
    throw new PkbackupError('failed', `a restore of kind ${record.kind} cannot be taken up again`, {
      hint: 'the previous data is in names that contain "pkbackup-previous"',
    });
  }
  const target = kind.schema.parse(record.target);
  return kind.resumeRestore(target, record.state, await factsFor(run, record), context);
}

/** The backup may be gone meanwhile; to undo or end a restore little of it is needed. */
async function factsFor(run: Run, { stem, store, kind }: RestoreRecord): Promise<BackupFacts> {
  const { backups, old } = await run.repository.list();
  const known = [...backups, ...old.flatMap((each) => each.backup ?? [])];
  const backup = known.find((candidate) => candidate.stem === stem);
  return backup ? { ...factsOf(backup.metadata), store, kind } : { store, kind, source: {}, counts: {} };
}

async function finish(
  run: Run,
  record: RestoreRecord,
  restoration: ResumedRestore,
  context: HoldContext,
  journal: RestoreJournal,
): Promise<string> {
  const { store, stem } = record;
  const keepsPrevious = record.keepsPrevious && record.step === 'checked';
  const facts = await factsFor(run, record);
  const { databases, only, ...known } = facts;
  const restored = {
    ...known,
    source: { ...facts.source },
    ...(databases === undefined ? {} : { databases: [...databases] }),
    ...(only === undefined ? {} : { only: [...only] }),
  };
  // It may have come into the repository, but for its last rename.
  if (keepsPrevious) await run.repository.settle(store, { signal: run.signal });
  const { isEnded } = await endRestore(run, restored, restoration, context, {
    keepsPrevious,
    safetySetId: record.safetySetId ?? newSetId(),
    journal,
  });
  if (!isEnded)
    throw new PkbackupError('failed', `the previous data of "${store}" is still kept beside the restored`);
  return `${store}: ended the restore of "${stem}" that was broken off; the restored data is in place`;
}
