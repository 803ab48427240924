// What every operation is given. Operations are one verb each: they return data and emit events; they know no flags and no
// terminal, and never ask what kind a store is.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { ConfiguredStore } from '../config/types.ts';
import type { Docker } from '../docker/index.ts';
import { PkbackupError } from '../errors.ts';
import type { Emit } from '../events.ts';
import type { GuardOptions } from '../quiesce/index.ts';
import { type Repository, setIdOf } from '../repository/index.ts';
import type { Store, StoreContext } from '../stores/store.ts';

export interface Run {
  readonly repository: Repository;
  readonly emit: Emit;
  readonly signal: AbortSignal;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Connects at the first call. */
  readonly docker: () => Promise<Docker>;
  /** For people who meet our lock: `pkbackup backup vectors`. */
  readonly command: string;
  /** How long to wait for a lock; 0 where it is missing. */
  readonly lockWaitMs?: number;
  /** Members of an archive compressed at once. */
  readonly compressionThreads?: number;
  /** Whether what is held may be read past the Docker Engine, on its own host; true where it is missing. */
  readonly directRead?: boolean;
}

export function contextFor(run: Run, store: string, scratchDir: string): StoreContext {
  const { emit, signal, docker, environment, repository } = run;
  const readsDirectly = run.directRead !== false;
  const repositoryDir = repository.directory;
  return { store, emit, signal, docker, environment, scratchDir, repositoryDir, readsDirectly };
}

export function lockStore(run: Run, store: string): Promise<AsyncDisposable> {
  const { command, signal, lockWaitMs } = run;
  return run.repository.lock(store, {
    command,
    signal,
    ...(lockWaitMs === undefined ? {} : { waitMs: lockWaitMs }),
  });
}

/** The store of this name among those that are configured or discovered. */
export function storeNamed(
  stores: readonly ConfiguredStore[] | undefined,
  name: string,
): ConfiguredStore | undefined {
  return stores?.find((store) => store.name === name);
}

/** An interrupted run is never a failed store: it ends as a whole, and says in which state things are. */
export function rethrowIfAborted(run: Run, error: unknown, state?: string): void {
  if (!run.signal.aborted) return;
  const { reason } = run.signal;
  const code = reason instanceof PkbackupError ? reason.code : 'interrupted';
  const message = reason instanceof PkbackupError ? reason.message : 'interrupted';
  throw new PkbackupError(code, state === undefined ? message : `${message}; ${state}`, { cause: error });
}

export function graceOf(kind: Store, store: ConfiguredStore | undefined): { graceSeconds?: number } {
  const graceSeconds = store?.graceSeconds ?? kind.quiesce.graceSeconds;
  return graceSeconds === undefined ? {} : { graceSeconds };
}

export function healthOf(kind: Store, store: ConfiguredStore | undefined): { healthSeconds?: number } {
  const healthSeconds = store?.healthSeconds ?? kind.quiesce.healthSeconds;
  return healthSeconds === undefined ? {} : { healthSeconds };
}

export function newSetId(startedAt = new Date()): string {
  return setIdOf(startedAt, randomBytes(2).toString('hex'));
}

/** What lets go of held containers when this process dies: a journal in the repository, and a watchdog. */
export function guardOf(run: Pick<Run, 'repository' | 'environment'>): Omit<GuardOptions, 'store'> {
  return {
    journalDirectory: join(run.repository.directory, '.pkbackup', 'journal'),
    environment: run.environment,
  };
}

/** What a hold needs beside what a store needs. */
export type HoldContext = StoreContext & {
  readonly guard: Omit<GuardOptions, 'store'>;
  readonly graceSeconds?: number;
  /** How long those who were held may take until they serve. */
  readonly healthSeconds?: number;
};
