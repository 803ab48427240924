// pkbackup recover, and what every command does first: what crashed runs have left is let go, finished or removed.
import type { CommandLine, ConfiguredStore } from '../config/types.ts';
import { messageOf } from '../errors.ts';
import { guardOf, type Run } from './run.ts';

export interface RecoverResult {
  readonly done: readonly RecoveredThing[];
  readonly ok: boolean;
}

export interface RecoverOptions {
  readonly dryRun?: boolean;
  readonly withHelpers?: boolean;
  /** Somebody asks for it: what takes a decision is looked at. */
  readonly isAsked?: boolean;
  /** Not looked at: the command itself decides of them. */
  readonly leavesGuards?: boolean;
  /** The user's program that lets go clients outside Docker: of the configuration, never of a journal. */
  readonly clientsRelease?: CommandLine | undefined;
  /** Those of the configuration: their programs stop and start servers of this host. */
  readonly stores?: readonly ConfiguredStore[];
}

export interface RecoveredThing {
  /** One line for people, without a full stop. */
  readonly message: string;
  readonly ok: boolean;
}

/**
 * Containers first: nothing stays down longer than it must. Those whose data is half swapped are not let go, and tried again
 * when the restore is undone. Docker is asked only where a journal names a container, or where `withHelpers` is set, because
 * most commands do without it.
 */
export async function recover(run: Run, options: RecoverOptions = {}): Promise<RecoverResult> {
  const dryRun = options.dryRun ?? false;
  const attempt: Attempt = async (what, act) => {
    try {
      return await act();
    } catch (error) {
      run.signal.throwIfAborted();
      return [{ ok: false, message: `${what}: ${messageOf(error)}` }];
    }
  };
  // What acts on a journal is loaded where there is one.
  const hasJournal = await run.repository.journal.hasAny();
  const settled = hasJournal ? await settle(run, options, attempt) : [];
  const helpers = options.withHelpers
    ? await attempt('helper containers', async () => {
        const { recoverHelpers } = await import('../quiesce/index.ts');
        return recoverHelpers(await run.docker(), { dryRun });
      })
    : [];
  const files = await attempt('files of crashed runs', async () => {
    const healed = await run.repository.heal({ dryRun, signal: run.signal });
    return healed.map(({ message }) => ({ message, ok: true }));
  });
  const done = [...settled, ...helpers, ...files];
  return { done, ok: done.every(({ ok }) => ok) };
}

type Attempt = (
  what: string,
  act: () => Promise<readonly RecoveredThing[]>,
) => Promise<readonly RecoveredThing[]>;

async function settle(
  run: Run,
  { dryRun = false, clientsRelease, stores = [], isAsked = false, leavesGuards = false }: RecoverOptions,
  attempt: Attempt,
): Promise<RecoveredThing[]> {
  const letGo = () =>
    attempt('containers that a crashed run held', async () => {
      const { recoverHolds } = await import('../quiesce/index.ts');
      const { journalDirectory } = guardOf(run);
      return recoverHolds({ journalDirectory, docker: run.docker, dryRun });
    });
  const settleRestores = (which: 'to-undo' | 'to-end') =>
    attempt('restores that a crash broke off', async () => {
      const { recoverRestores } = await import('./recover-restores.ts');
      return recoverRestores(run, { dryRun, which, stores });
    });
  let released = await letGo();
  const outside = await attempt('clients that a crashed run held', async () => {
    const { recoverClients } = await import('./outside-clients.ts');
    return recoverClients(run, { release: clientsRelease, dryRun });
  });
  await attempt('servers that a crashed run stopped', async () => {
    const { untilServerChildrenEnd } = await import('./host-server.ts');
    await untilServerChildrenEnd(run);
    return [];
  });
  const undone = await settleRestores('to-undo');
  if (!released.every(({ ok }) => ok) && undone.some(({ ok }) => ok)) released = await letGo();
  // Not on data that is half swapped, and before anything is done that takes long.
  const started = await attempt('servers that a crashed run stopped', async () => {
    const { recoverServers } = await import('./host-server.ts');
    return recoverServers(run, { stores, dryRun });
  });
  const ended = await settleRestores('to-end');
  const drills = await attempt('drills that a crash broke off', async () => {
    const { recoverDrills } = await import('./drill-journal.ts');
    return recoverDrills(run, { dryRun });
  });
  // When no restore of theirs is half done any more.
  const guards = await attempt('guards that a crash broke off', async () => {
    if (leavesGuards) return [];
    const { recoverGuards } = await import('./recover-guards.ts');
    return recoverGuards(run, { dryRun, isAsked });
  });
  return [...released, ...outside, ...undone, ...started, ...ended, ...drills, ...guards];
}

/** At the first call the helper containers of dead runs go, with a warning each. */
export function dockerWithoutOrphans({ docker, emit, signal }: Run): Run['docker'] {
  let connected: ReturnType<Run['docker']> | undefined;
  const connect = async () => {
    const engine = await docker();
    try {
      const { recoverHelpers } = await import('../quiesce/index.ts');
      for (const { message } of await recoverHelpers(engine)) emit({ type: 'warning', message });
    } catch (error) {
      signal.throwIfAborted();
      emit({ type: 'warning', message: `helper containers of crashed runs: ${messageOf(error)}` });
    }
    return engine;
  };
  return () => {
    connected ??= connect();
    return connected;
  };
}
