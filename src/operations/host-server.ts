// A server on this host, outside Docker, is stopped and started by the user's programs, with a promise: what ran runs again.
// Before it is stopped, a file in the journal directory says so (and no more than that), and a child waits on a pipe
// (server-child.ts): it starts the server when this process dies. Where both have died the next command does, by the
// configuration of that moment. Nothing is started on data that is half swapped.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { CommandLine, ConfiguredStore, ServerPrograms } from '../config/types.ts';
import { messageOf, PkbackupError } from '../errors.ts';
import { isAlive, ownerOf, thisProcess } from '../owner.ts';
import type { HoldReport } from '../quiesce/index.ts';
import { journalNameOf, storeOfJournal } from '../repository/index.ts';
import { storeOf } from '../stores/index.ts';
import type { HostServer } from '../stores/store.ts';
import { ChildPipe } from './child-pipe.ts';
import { inTime } from './in-time.ts';
import type { RecoveredThing } from './recover.ts';
import { isBrokenOff } from './restore-journal.ts';
import { guardOf, type Run } from './run.ts';
import { failureOf, insist, isOrphan, ownerIn, runUserProgram, type UserProgram } from './user-programs.ts';

/** What it takes to know the server of a store, also in another process. */
export type ServedStore = Pick<ConfiguredStore, 'name' | 'kind' | 'target' | 'graceSeconds' | 'server'>;

/** For `server-child.ts`. */
export interface StartOrder {
  readonly store: ServedStore;
  readonly start: CommandLine;
  /** How long a server that was told to stop may take. */
  readonly patienceMs: number;
  /** Path of what says that it is stopped; removed when it is not any more. */
  readonly marker: string;
}

type HoldRun = Pick<Run, 'emit' | 'signal' | 'repository' | 'environment'>;

const suffix = '.server.json';
const usualGraceSeconds = 60;
const startedMs = 3000;

/**
 * Everything is ready to stop the server of the store, and it still runs. Undefined where it is not on this host. Throws
 * `failed` where it runs and nobody knows how to stop it.
 */
export async function prepareServerHold(run: HoldRun, store: ServedStore): Promise<ServerHold | undefined> {
  const server = serverOf(store, run);
  if (!server) return undefined;
  const hold = new ServerHold(run, store, server);
  await hold.prepare();
  return hold;
}

export function serverOf(store: ServedStore, run: Pick<Run, 'environment'>): HostServer | undefined {
  return storeOf(store.kind).hostServer?.(store.target, run);
}

/** Before anything else is done. Throws `failed` where it runs and nobody knows how to stop it. */
export async function refuseUnstoppable(run: HoldRun, store: ServedStore): Promise<HostServer | undefined> {
  const server = serverOf(store, run);
  if (!server || !(await server.isRunning(run.signal))) return undefined;
  if (!store.server) throw cannotStop(server, store.name);
  return server;
}

/** Disposing releases too, and turns a failure into a warning, so that it never hides an earlier error. */
export class ServerHold implements AsyncDisposable {
  readonly server: HostServer;
  readonly #run: HoldRun;
  readonly #store: ServedStore;
  readonly #journalName: string;
  #guard: ChildPipe | undefined;
  #stoppedMs: number | undefined;
  #ranBefore = false;
  #isSwapping = false;
  #report: HoldReport = { downtimeMs: 0, consistent: true, containers: [], killed: [] };

  constructor(run: HoldRun, store: ServedStore, server: HostServer) {
    this.#run = run;
    this.#store = store;
    this.server = server;
    this.#journalName = journalNameOf(store.name, new Date(), randomBytes(4).toString('hex'), suffix);
  }

  /** It ran before: it runs again in the end. */
  get ranBefore(): boolean {
    return this.#ranBefore;
  }

  /** The part that takes time and stops nothing. */
  async prepare(signal = this.#run.signal): Promise<void> {
    if (!(await this.server.isRunning(signal))) return;
    const { server: programs, name } = this.#store;
    if (!programs) throw cannotStop(this.server, name);
    this.#ranBefore = true;
    if (this.#guard) return;
    await this.#writeJournal();
    try {
      this.#guard = await ChildPipe.start('server-child', { order: this.#order(programs.start) });
      await this.#writeJournal(this.#guard);
    } catch (error) {
      await this.#end();
      throw error;
    }
  }

  /** Stops it where it runs, also one that was released before. When it throws, it has been started again. */
  async hold(signal = this.#run.signal): Promise<this> {
    const { emit } = this.#run;
    signal.throwIfAborted();
    await this.prepare(signal);
    const { server: programs, name: store } = this.#store;
    if (!programs || !(await this.server.isRunning())) return this;
    this.#stoppedMs ??= performance.now();
    try {
      await this.server.beforeStop?.();
      await this.#guard?.tell({ isStopped: true, starting: null });
      await this.#stop(programs);
      signal.throwIfAborted();
    } catch (error) {
      await this[Symbol.asyncDispose]();
      throw error;
    }
    emit({ type: 'held', store, quiesce: 'stop', containers: [this.server.name] });
    return this;
  }

  /** While `step` is under way, and after it has failed, the data is neither old nor new: nobody starts on it. */
  async whileSwapping(step: () => Promise<void>): Promise<void> {
    await this.#tellSwapping(true);
    await step();
    await this.#tellSwapping(false);
  }

  /** A child that is dead starts nobody. */
  async #tellSwapping(isSwapping: boolean): Promise<void> {
    this.#isSwapping = isSwapping;
    await this.#guard?.tell({ isSwapping }).catch(() => undefined);
  }

  /** It runs again, where it ran before. Throws `failed` where it cannot be started: the next command tries again. */
  async release(): Promise<HoldReport> {
    if (this.#stoppedMs !== undefined) await this.#startStopped(this.#stoppedMs);
    else if (!this.#ranBefore)
      this.#report = { ...this.#report, consistent: !(await this.server.isRunning()) };
    await this.#end();
    return this.#report;
  }

  async #startStopped(stoppedMs: number): Promise<void> {
    const { name: store, server: programs } = this.#store;
    if (this.#isSwapping) throw halfSwapped(this.server);
    const consistent = !(await this.server.isRunning());
    if (programs) await this.#start(programs);
    this.#stoppedMs = undefined;
    const downtimeMs = Math.round(performance.now() - stoppedMs);
    this.#report = {
      ...this.#report,
      downtimeMs: this.#report.downtimeMs + downtimeMs,
      consistent,
      containers: [this.server.name],
    };
    this.#run.emit({ type: 'released', store, containers: [this.server.name], downtimeMs });
  }

  /** The backup is good all the same. */
  async warnUnlessServing(): Promise<void> {
    if (!this.#ranBefore) return;
    const { signal, emit } = this.#run;
    try {
      await this.server.untilServing(signal);
    } catch (error) {
      signal.throwIfAborted();
      const hint = error instanceof PkbackupError ? error.hint : undefined;
      const message = `it was started again, but ${messageOf(error)}`;
      emit({ type: 'warning', store: this.#store.name, message, ...(hint ? { hint } : {}) });
    }
  }

  /** After an undo: also where it has ended meanwhile, it runs again as it did before. */
  async startAgain(): Promise<void> {
    await this.release();
    const { server: programs } = this.#store;
    if (this.#ranBefore && programs) await this.#start(programs);
  }

  /** The program outlives us where we are killed: it must not meet another one of the kind. */
  async #start(programs: ServerPrograms): Promise<void> {
    await start(this.#run, this.#store, this.server, programs.start, (pid) => {
      this.#guard?.tell({ starting: ownerOf(pid) }).catch(() => undefined);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.release();
    } catch (error) {
      const hint = error instanceof PkbackupError ? error.hint : undefined;
      const { emit } = this.#run;
      const store = this.#store.name;
      emit({ type: 'warning', store, message: messageOf(error), ...(hint ? { hint } : {}) });
    }
  }

  /** Not cut short by the signal of the run: what is half stopped might end after it was started again. */
  async #stop({ stop }: ServerPrograms): Promise<void> {
    const failed = stop ? await this.#runStop(stop) : await this.server.stop?.();
    const patienceMs = patienceMsOf(this.#store);
    if (!failed && (await hasEnded(this.server, patienceMs))) return;
    const told = stop ? `stop "${stop.argv[0]}" has ended` : 'it was told to stop';
    const why = failed ?? `${told}, but ${this.server.name} still runs after ${patienceMs / 1000} s`;
    throw new PkbackupError('failed', why, {
      hint: 'the data was not touched; a server that takes longer to stop gets more time with grace_seconds',
    });
  }

  async #runStop(stop: CommandLine): Promise<string | undefined> {
    const ended = await runUserProgram(this.#run.emit, serverProgram('stop', stop, this.#store));
    return ended.exitCode === 0 ? undefined : failureOf('stop', stop, ended);
  }

  #order(start: CommandLine): StartOrder {
    const { name, kind, target } = this.#store;
    const marker = join(guardOf(this.#run).journalDirectory, this.#journalName);
    return { store: { name, kind, target }, start, patienceMs: patienceMsOf(this.#store), marker };
  }

  #writeJournal(guard?: ChildPipe): Promise<void> {
    const record = { type: 'pkbackup-server', version: 1, store: this.#store.name, owner: thisProcess() };
    const text = JSON.stringify({ ...record, ...(guard ? { guard: guard.owner } : {}) });
    return this.#run.repository.journal.write(this.#journalName, text);
  }

  async #end(): Promise<void> {
    await this.#guard?.end();
    this.#guard = undefined;
    await this.#run.repository.journal.remove(this.#journalName);
  }
}

function patienceMsOf({ kind, graceSeconds }: ServedStore): number {
  return (graceSeconds ?? storeOf(kind).quiesce.graceSeconds ?? usualGraceSeconds) * 1000;
}

export function serverProgram(
  key: 'stop' | 'start',
  command: CommandLine,
  { name: store }: ServedStore,
): UserProgram {
  return { key, command, variables: { PKBACKUP_SERVER: key, PKBACKUP_STORE: store }, store };
}

/** Whether it ends in time. */
export function hasEnded(server: HostServer, patienceMs: number): Promise<boolean> {
  return inTime(async () => !(await server.isRunning()), patienceMs);
}

/** Not cut short by the signal of the run. */
async function start(
  { emit }: Pick<Run, 'emit'>,
  store: ServedStore,
  server: HostServer,
  command: CommandLine,
  onStart?: (pid: number) => void,
): Promise<void> {
  if (await server.isRunning()) return;
  const program = { ...serverProgram('start', command, store), ...(onStart ? { onStart } : {}) };
  const failed = await insist(emit, program, () => server.isRunning());
  if (!failed) return untilSeen(server);
  throw new PkbackupError(
    'failed',
    `${server.name} was stopped and does not run again: ${failureOf('start', command, failed)}`,
    { hint: 'start it, or correct start of this store and run "pkbackup recover"' },
  );
}

/** One that has just been started may take a moment; who asks before that would start another one. */
export async function untilSeen(server: HostServer): Promise<void> {
  await inTime(() => server.isRunning(), startedMs);
}

/** Servers that crashed runs had stopped are started by what the configuration of today says. */
export async function recoverServers(
  run: Pick<Run, 'repository' | 'emit' | 'environment'>,
  options: { readonly stores: () => Promise<readonly ServedStore[]>; readonly dryRun: boolean },
): Promise<RecoveredThing[]> {
  const done: RecoveredThing[] = [];
  const stopped = await stoppedServers(run);
  if (stopped.length === 0) return done;
  const stores = await options.stores();
  for (const { name, store } of stopped) {
    const configured = stores.find((each) => each.name === store);
    const server = configured && serverOf(configured, run);
    try {
      if (!configured?.server || !server) throw notConfigured(run, name);
      if (options.dryRun) {
        done.push({ message: `${store}: would start ${server.name}`, ok: true });
        continue;
      }
      await refuseHalfSwapped(run, store, server);
      await start(run, configured, server, configured.server.start);
      await run.repository.journal.remove(name);
      done.push({
        message: `${store}: ${server.name} runs again, which a run that crashed had stopped`,
        ok: true,
      });
    } catch (error) {
      done.push({
        message: `${store}: a run that crashed had stopped the server: ${messageOf(error)}`,
        ok: false,
      });
    }
  }
  return done;
}

/** A child that is at it is waited for: it may be in the middle of starting the server. */
export async function untilServerChildrenEnd(
  run: Pick<Run, 'repository'>,
  patienceMs = 60_000,
): Promise<void> {
  const isBusy = async () => (await stoppedServers(run)).some(({ guard }) => guard && isAlive(guard));
  await inTime(async () => !(await isBusy()), patienceMs);
}

async function stoppedServers({ repository }: Pick<Run, 'repository'>) {
  const found = await repository.journal.read(suffix);
  return found
    .filter(({ text }) => isOrphan(text))
    .map(({ name, text }) => ({
      name,
      store: storeOfJournal(name, suffix) ?? name,
      guard: ownerIn(text, 'guard'),
    }));
}

/** A restore that could not be undone: who has undone it starts the server. */
async function refuseHalfSwapped(
  run: Pick<Run, 'repository'>,
  store: string,
  server: HostServer,
): Promise<void> {
  if (await isBrokenOff(run, store)) throw halfSwapped(server);
}

const halfSwapped = ({ name }: HostServer) =>
  new PkbackupError('failed', `${name} is not started: its data is neither the old nor the new`, {
    hint: 'pkbackup recover puts the previous data back, and starts it',
  });

function cannotStop({ name }: HostServer, store: string): PkbackupError {
  return new PkbackupError('failed', `${name} runs, and nothing says how to stop it`, {
    hint: `set stop and start of "${store}" in pkbackup.yaml, stop it first, or restore elsewhere with --to`,
  });
}

function notConfigured({ repository }: Pick<Run, 'repository'>, name: string): PkbackupError {
  const path = join(repository.directory, '.pkbackup', 'journal', name);
  return new PkbackupError('failed', `no start is configured for it; once it runs, remove "${path}"`);
}
