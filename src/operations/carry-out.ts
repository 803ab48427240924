// Restores from their confirmed plans to stores that have proved themselves: stage beside, hold, swap, let go, check. Until
// the swap nothing live is touched; after it every failure puts the previous data back, before anybody is let go. Clients
// see the restored data only when nothing can undo the restore any more. Several stores are restored as one: each step is
// done for all of them before the next one begins, and what fails for one is undone for all.
import { asPkbackupError, messageOf, PkbackupError } from '../errors.ts';
import { type Held, type Hold, waitUntilServing } from '../quiesce/index.ts';
import type { Restoration } from '../stores/store.ts';
import type { Counts } from '../words.ts';
import {
  endJournal,
  holdFor,
  noteChecked,
  rollBackHeld,
  servesAgain,
  swapHeld,
  undoStaging,
} from './end-restore.ts';
import { NotGood } from './find-backup.ts';
import { prepareServerHold, type ServedStore, type ServerHold } from './host-server.ts';
import type { RestoreJournal } from './restore-journal.ts';
import { type HoldContext, type Run, rethrowIfAborted } from './run.ts';

export interface CarriedOut {
  readonly counts: Counts;
  /** Milliseconds in which those who use the data were held; 0 where nobody was. */
  readonly downtimeMs: number;
  readonly clients: readonly ClientReport[];
  /** Of the clients. */
  readonly clientsDowntimeMs: number;
}

export interface ClientReport {
  readonly name: string;
  /** Why it does not serve again. */
  readonly problem?: string;
}

export interface Undertaking {
  readonly restoration: Restoration;
  /** `restoration.stage` with the proven content of the backup. */
  readonly stage: () => Promise<void>;
  /** Ids of containers. */
  readonly clients: readonly string[];
  /** What stops and starts its server, where that is on this host. */
  readonly served: ServedStore;
  readonly context: HoldContext;
  readonly journal: RestoreJournal;
}

/** In the order of `undertakings`, which is also the order in which containers are let go. */
export async function carryOut(
  run: Run,
  undertakings: readonly Undertaking[],
): Promise<(CarriedOut & { isNoted: boolean })[]> {
  await using holds = new AsyncDisposableStack();
  const all = undertakings.map((undertaking) => new Progress(undertaking));
  await stage(run, all);
  await attempt(run, all, async (one) => {
    const { restoration, clients, served, context, journal } = one.undertaking;
    await journal.note('swapping', restoration.state);
    one.isSwapping = true;
    const server = await prepareServerHold(run, served);
    if (server) one.server = holds.use(server);
    const hold = await holdFor(restoration, context, clients);
    if (hold) {
      one.hold = holds.use(hold);
      await journal.note('swapping', restoration.state, hold.held);
    }
    await server?.hold();
  });
  await attempt(run, all, (one) => {
    one.isSwapped = true;
    return swapHeld(one.server, () => one.undertaking.restoration.swap());
  });
  await attempt(run, all, async (one) => {
    const { context } = one.undertaking;
    const server = await one.server?.release();
    const users = await one.hold?.releaseUsers();
    one.downtimeMs = Math.max(server?.downtimeMs ?? 0, users?.downtimeMs ?? 0);
    if (one.users.length > 0) await waitUntilServing(await context.docker(), one.users, healthWait(context));
  });
  await attempt(run, all, async (one) => {
    one.counts = await one.undertaking.restoration.check();
  });
  const noted: boolean[] = [];
  for (const { undertaking } of all) {
    noted.push(await noteChecked(undertaking.restoration, undertaking.context, undertaking.journal));
  }
  const done: (CarriedOut & { isNoted: boolean })[] = [];
  for (const [index, one] of all.entries()) {
    const { counts, downtimeMs } = one;
    done.push({ counts, downtimeMs, isNoted: noted[index] ?? false, ...(await letClientsGo(one)) });
  }
  return done;
}

class Progress {
  readonly undertaking: Undertaking;
  isStaging = false;
  isSwapping = false;
  /** Or in the middle of it. */
  isSwapped = false;
  hold: Hold | undefined;
  server: ServerHold | undefined;
  counts: Counts = {};
  downtimeMs = 0;

  constructor(undertaking: Undertaking) {
    this.undertaking = undertaking;
  }

  /** Those that are let go with the store; clients wait. */
  get users(): readonly Held[] {
    return (this.hold?.held ?? []).filter(({ isClient }) => isClient !== true);
  }
}

async function stage(run: Run, all: readonly Progress[]): Promise<void> {
  await attempt(run, all, async (one) => {
    const { restoration, context, journal } = one.undertaking;
    one.isStaging = true;
    await journal.note('staging', restoration.state);
    await one.undertaking.stage();
    context.emit({ type: 'step', store: context.store, message: 'staged beside the present data' });
    run.signal.throwIfAborted();
  });
}

/** One step of all stores, one after the other; a failure undoes everything that was done for any of them. */
async function attempt(
  run: Run,
  all: readonly Progress[],
  act: (one: Progress) => Promise<void>,
): Promise<void> {
  for (const one of all) {
    try {
      await act(one);
    } catch (error) {
      return await undo(run, all, one, error);
    }
  }
}

/** While the holds last: nobody is let go before the previous data is back. The last is undone first. */
async function undo(run: Run, all: readonly Progress[], culprit: Progress, because: unknown): Promise<never> {
  const failures: PkbackupError[] = [];
  for (const one of all.toReversed()) {
    const { restoration, context, journal } = one.undertaking;
    try {
      if (one.isSwapping) await rollBackHeld(restoration, context, heldBy(one), because);
      else if (one.isStaging) await undoStaging(restoration, context, because);
      else continue;
      await endJournal(run, context, journal);
    } catch (error) {
      // The others are undone all the same.
      failures.push(asPkbackupError(error, 'restore_failed', 'the restore could not be undone'));
    }
  }
  const [failure] = failures;
  if (failure) throw failure;
  const state = stateOf(all);
  rethrowIfAborted(run, because, state);
  const { restoration, context } = culprit.undertaking;
  const users = all.flatMap((one) => one.users);
  const servers = all.flatMap(({ server }) => (server?.ranBefore ? server.server : []));
  throw failed(because, restoration, `${state}${await servesAgain(context, users, servers)}`);
}

const heldBy = ({ users, server, isSwapped }: Progress) => ({ held: users, clients: [], server, isSwapped });

function stateOf(all: readonly Progress[]): string {
  const isTouched = all.some(({ isSwapping }) => isSwapping);
  const ofAll = all.length > 1 ? ` of all ${all.length} stores` : '';
  return isTouched
    ? `the previous data${ofAll} is back in place`
    : `the present data${ofAll} was not touched`;
}

/** One that does not serve again changes nothing about the restore: the store itself has proved that it is good. */
async function letClientsGo({
  hold,
  undertaking,
}: Progress): Promise<Pick<CarriedOut, 'clients' | 'clientsDowntimeMs'>> {
  const { docker, signal } = undertaking.context;
  const held = (hold?.held ?? []).filter(({ isClient }) => isClient);
  // What it throws is told when the hold is disposed of, and found again below.
  const report = await hold?.release().catch(() => undefined);
  const clients = held.map(async (client): Promise<ClientReport> => {
    try {
      await waitUntilServing(await docker(), [client], { signal });
      return { name: client.name };
    } catch (error) {
      return { name: client.name, problem: messageOf(error) };
    }
  });
  return {
    clients: await Promise.all(clients),
    clientsDowntimeMs: held.length > 0 ? (report?.downtimeMs ?? 0) : 0,
  };
}

const healthWait = ({ signal, healthSeconds }: HoldContext) =>
  healthSeconds === undefined ? { signal } : { signal, deadlineMs: healthSeconds * 1000 };

export function failed(error: unknown, { plan }: Restoration, state: string): PkbackupError {
  const known = asPkbackupError(error, 'restore_failed', 'the restore failed');
  const code = error instanceof NotGood ? error.code : 'restore_failed';
  return new PkbackupError(code, `${plan.target}: ${known.message}; ${state}`, {
    cause: error,
    ...(known.hint ? { hint: known.hint } : {}),
  });
}
