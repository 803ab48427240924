// How a restore ends, in the process that began it or in one that finds it after a crash: undone, or its previous data kept
// and cleared away.
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, PkbackupError } from '../errors.ts';
import { type Held, type Hold, holdStill, startAgain, waitUntilServing } from '../quiesce/index.ts';
import type { Backup, Metadata } from '../repository/index.ts';
import type { HostServer, ResumedRestore, StoreContext } from '../stores/store.ts';
import type { ServerHold } from './host-server.ts';
import type { RestoreJournal } from './restore-journal.ts';
import type { HoldContext, Run } from './run.ts';
import { findSafetyBackup, publishSafetyBackup } from './safety-backup.ts';

/** How long to wait for Docker to come back before a restore is left to `pkbackup recover`. */
const patienceMs = 60_000;

interface Ending {
  readonly keepsPrevious: boolean;
  /** Of the safety backup. */
  readonly safetySetId: string;
  /** How long the store was down for the restore, where that is known. */
  readonly downtimeMs?: number;
  readonly journal: RestoreJournal;
}

type Restored = Pick<Metadata, 'store' | 'kind' | 'source' | 'databases' | 'only'>;

/**
 * The store is up and checked, and that is noted: nothing that fails now may undo the restore. Where the previous data could
 * not be kept, the journal stays, and the next command tries again.
 */
export async function endRestore(
  run: Run,
  restored: Restored,
  restoration: ResumedRestore,
  context: StoreContext,
  ending: Ending,
): Promise<{ saved: Backup | undefined; isEnded: boolean }> {
  const { journal } = ending;
  let saved: Backup | undefined;
  try {
    if (ending.keepsPrevious) saved = await keepPrevious(run, restored, restoration, context, ending);
    await journal.note('kept', restoration.state);
  } catch (error) {
    warnThatItStays(context, 'could not be put into the repository', error, 'the next command tries again');
    return { saved, isEnded: false };
  }
  try {
    await restoration.discard();
  } catch (error) {
    warnThatItStays(context, 'could not be removed', error, 'the next command tries again');
    return { saved, isEnded: false };
  }
  await endJournal(run, context, journal);
  return { saved, isEnded: true };
}

/**
 * Without this note a crash would undo what has proved itself, so where it cannot be written there is no journal, and what
 * was replaced stays where it is. False then.
 */
export async function noteChecked(
  restoration: ResumedRestore,
  context: StoreContext,
  journal: RestoreJournal,
): Promise<boolean> {
  try {
    await journal.note('checked', restoration.state);
    return true;
  } catch (error) {
    try {
      await journal.end();
    } catch (second) {
      throw new PkbackupError(
        'restore_failed',
        `the restored data is in place, but the journal can neither be written nor removed: ${messageOf(second)}`,
        {
          hint: 'remove the file *.restore.json in .pkbackup/journal, or the next command undoes the restore',
          cause: error,
        },
      );
    }
    warnThatItStays(
      context,
      'could not be put into the repository',
      error,
      'it is kept beside the restored data',
    );
    return false;
  }
}

/** What was done is done; a journal that stays is found by the next command. */
export async function endJournal(run: Run, context: StoreContext, journal: RestoreJournal): Promise<void> {
  try {
    await journal.end();
  } catch (error) {
    const message = `the journal of the restore could not be removed: ${messageOf(error)}`;
    run.emit({ type: 'warning', store: context.store, message, hint: 'the next command looks at it again' });
  }
}

/**
 * Goes on after an interruption, and while Docker is away: a restore is either done or undone, never left in between. Those
 * that were `held` before run again afterwards, also where one has ended on the restored data meanwhile. `clients` are ids of
 * those that run and are to stand still meanwhile. A `server` of this host
 * is stopped where it runs on what is perhaps swapped, and runs again where it ran before.
 */
export async function rollBackHeld(
  restoration: ResumedRestore,
  context: HoldContext,
  {
    held,
    clients,
    server,
    isSwapped = true,
  }: {
    held: readonly Held[];
    clients: readonly string[];
    server?: ServerHold | undefined;
    isSwapped?: boolean;
  },
  because: unknown,
): Promise<void> {
  const uninterrupted = { ...context, signal: new AbortController().signal };
  try {
    await whileDockerIsAway(async () => {
      await using hold = await holdAnyway(restoration, uninterrupted, clients);
      if (isSwapped) await server?.hold(uninterrupted.signal);
      await swapHeld(server, () => restoration.rollback());
      await server?.startAgain();
      await hold?.release();
      if (held.length > 0) await startAgain(await context.docker(), held);
    });
  } catch (error) {
    throw cannotUndo(context, because, 'after the swap', error);
  }
}

/** Nobody starts a server of this host while its data is half swapped. */
export function swapHeld(server: ServerHold | undefined, swap: () => Promise<void>): Promise<void> {
  return server ? server.whileSwapping(swap) : swap();
}

/** Who was healthy with the previous data is so again soon, or something is wrong with it. */
const servesAgainMs = 120_000;

/** For the end of a message: whether those who were held serve on the previous data, as they did before. */
export async function servesAgain(
  { docker, signal }: StoreContext,
  held: readonly Held[],
  servers: readonly HostServer[],
): Promise<string> {
  if (held.length + servers.length === 0) return '';
  const names = [...held.map(({ name }) => `"${name}"`), ...servers.map(({ name }) => name)];
  try {
    if (held.length > 0) await waitUntilServing(await docker(), held, { signal, deadlineMs: servesAgainMs });
    for (const server of servers) await server.untilServing(signal);
    return `, and ${names.join(', ')} ${names.length === 1 ? 'serves' : 'serve'} again`;
  } catch (error) {
    return signal.aborted ? '' : `, but ${messageOf(error)}`;
  }
}

/** Nothing is held, because nothing live was touched yet. */
export async function undoStaging(
  restoration: ResumedRestore,
  context: StoreContext,
  because: unknown,
): Promise<void> {
  try {
    await whileDockerIsAway(() => restoration.rollback());
  } catch (error) {
    throw cannotUndo(context, because, 'while it was staged', error);
  }
}

/** Tries again until Docker answers, for `patienceMs` at most. */
async function whileDockerIsAway(act: () => Promise<void>): Promise<void> {
  const giveUpAtMs = Date.now() + patienceMs;
  for (;;) {
    try {
      return await act();
    } catch (error) {
      const isAway = error instanceof PkbackupError && error.code === 'docker_unreachable';
      if (!isAway || Date.now() > giveUpAtMs) throw error;
      await sleep(1000);
    }
  }
}

function cannotUndo(context: StoreContext, because: unknown, when: string, error: unknown): PkbackupError {
  return new PkbackupError(
    'restore_failed',
    `the restore failed ${when} (${messageOf(because)}), and it could not be undone: ${messageOf(error)}`,
    {
      hint: `the previous data of "${context.store}" is still there; pkbackup recover puts it back`,
      cause: because,
    },
  );
}

/** Putting the previous data back is worth more than the watchdog. */
async function holdAnyway(
  restoration: ResumedRestore,
  context: HoldContext,
  clients: readonly string[],
): Promise<Hold | undefined> {
  try {
    return await holdFor(restoration, context, clients);
  } catch (error) {
    if (error instanceof PkbackupError && error.code === 'docker_unreachable') throw error;
    return await holdFor(restoration, { ...context, guard: undefined }, clients);
  }
}

export async function holdFor(
  restoration: ResumedRestore,
  context: Omit<HoldContext, 'guard'> & { readonly guard?: HoldContext['guard'] | undefined },
  clients: readonly string[],
): Promise<Hold | undefined> {
  const { volumes, restoreId } = restoration.plan;
  const { graceSeconds, guard, store, emit, signal } = context;
  if (volumes.length === 0 && clients.length === 0) return undefined;
  return holdStill({
    docker: await context.docker(),
    volumes,
    clients,
    quiesce: 'stop',
    ...(graceSeconds === undefined ? {} : { graceSeconds }),
    ...(restoreId === undefined ? {} : { restoreId }),
    ...(guard === undefined ? {} : { guard }),
    store,
    emit,
    signal,
  });
}

async function keepPrevious(
  run: Run,
  restored: Restored,
  restoration: ResumedRestore,
  context: StoreContext,
  { safetySetId, downtimeMs }: Ending,
): Promise<Backup | undefined> {
  const known = await findSafetyBackup(run, restored.store, safetySetId);
  if (known) return known;
  const previous = await restoration.previous();
  if (!previous) return undefined;
  return publishSafetyBackup(run, restored, previous, context, {
    setId: safetySetId,
    downtimeMs,
  });
}

function warnThatItStays({ emit, store }: StoreContext, what: string, error: unknown, hint: string): void {
  emit({ type: 'warning', store, message: `the previous data ${what}: ${messageOf(error)}`, hint });
}
