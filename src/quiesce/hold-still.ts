// Holds the users of volumes still, with a promise: what ran runs again, however this ends. It knows containers and
// volumes; it must not know stores, archives or why somebody wants quiet.
import { type Docker, isUp, throwIfAborted } from '../docker/index.ts';
import { asPkbackupError, messageOf, PkbackupError } from '../errors.ts';
import type { Emit } from '../events.ts';
import { beginGuard, type Guard, type GuardOptions, noGuard } from './guard.ts';
import { letGo, untilHelpersEnd } from './let-go.ts';
import { containersToHold, type Held, type HoldMode, type HoldPlan, planHold } from './plan.ts';
import { isAnyTaken, type Turn, takeTurn, turnsTaken } from './turns.ts';

export interface HoldOptions {
  readonly docker: Docker;
  /** Volumes, or host paths of bind mounts. */
  readonly volumes: readonly string[];
  /** Ids of containers that are held beside the users of the volumes. */
  readonly containers?: readonly string[];
  /** Ids of containers that reach the data through a server: stopped before everyone else, and let go last. */
  readonly clients?: readonly string[] | undefined;
  readonly quiesce: HoldMode;
  /** How long a server may take to stop before Docker kills it; 60 where it is missing. */
  readonly graceSeconds?: number;
  /** Of the restore that it is for: its helpers have ended before anyone is let go, by whomever. */
  readonly restoreId?: string;
  /** For events. */
  readonly store: string;
  readonly emit: Emit;
  readonly signal: AbortSignal;
  /**
   * Journal and watchdog, which let go when this process dies. Without it only an error or an abort is survived.
   */
  readonly guard?: Omit<GuardOptions, 'store'>;
  /** Other stores of this process may use the same containers: they are held one after the other. */
  readonly takesTurns?: boolean;
}

export interface HoldReport {
  readonly downtimeMs: number;
  /** Names of those that were held. */
  readonly containers: readonly string[];
  /** Names of those that did not stop in time and were killed: the data was not closed cleanly. */
  readonly killed: readonly string[];
  /** False where somebody ran on the volumes between the stop and the release: the copy is not of one moment. */
  readonly consistent: boolean;
}

/** Disposing releases too, and turns a failure into a warning, so that it never hides an earlier error. */
export interface Hold extends AsyncDisposable {
  readonly containers: readonly string[];
  /** The same, for `waitUntilServing` and `startAgain`. */
  readonly held: readonly Held[];
  readonly killed: readonly string[];
  /** Lets those go again who use the volumes; the clients stay held. More calls give the same report. */
  releaseUsers(): Promise<HoldReport>;
  /** Lets everyone go again; more calls give the same report. Throws where one cannot be started. */
  release(): Promise<HoldReport>;
}

export const defaultGraceSeconds = 60;
const patienceMs = 60_000;
const healthDeadlineMs = 60_000;
const killedExitCode = 137;

/** Everything is ready for a hold, and nobody is held yet. */
export interface PreparedHold extends AsyncDisposable {
  /** When it throws, everyone runs again. */
  hold(): Promise<Hold>;
}

/** When it throws, everyone runs again. */
export async function holdStill(options: HoldOptions): Promise<Hold> {
  const prepared = await prepareHold(options);
  return await prepared.hold();
}

/** The part of a hold that takes time and stops nobody: who is held, the journal, the watchdog. */
export async function prepareHold(options: HoldOptions): Promise<PreparedHold> {
  if (!options.takesTurns) return await prepare(options);
  const users = await containersToHold(options.docker, options, options.signal);
  const ids = users.map(({ id }) => id);
  const [isBusy, earlier] = [isAnyTaken(ids), turnsTaken(ids)];
  let prepared = await prepare(options);
  let turn: Turn | undefined;
  return {
    async hold() {
      turn = await takeTurn(ids, options.signal);
      try {
        // Planned while another store held one of them, it would be taken for one that somebody has stopped.
        if (isBusy || turn.earlier !== earlier) {
          await prepared[Symbol.asyncDispose]();
          prepared = await prepare(options);
        }
        return endingTurn(await prepared.hold(), turn);
      } catch (error) {
        turn.end();
        throw error;
      }
    },
    async [Symbol.asyncDispose]() {
      await prepared[Symbol.asyncDispose]();
      turn?.end();
    },
  };
}

/** However it is released, by whomever. */
function endingTurn(hold: Hold, turn: Turn): Hold {
  const release = async () => {
    try {
      return await hold.release();
    } finally {
      turn.end();
    }
  };
  return {
    containers: hold.containers,
    held: hold.held,
    killed: hold.killed,
    releaseUsers: () => hold.releaseUsers(),
    release,
    async [Symbol.asyncDispose]() {
      await hold[Symbol.asyncDispose]();
      turn.end();
    },
  };
}

async function prepare(options: HoldOptions): Promise<PreparedHold> {
  const { docker, volumes, containers, clients, quiesce, signal, store, restoreId } = options;
  const plan = await planHold(
    docker,
    {
      volumes,
      clients,
      mode: quiesce,
      graceSeconds: options.graceSeconds ?? defaultGraceSeconds,
      ...(containers === undefined ? {} : { containers }),
      ...(restoreId === undefined ? {} : { restoreId }),
    },
    signal,
  );
  const isGuarded = options.guard !== undefined && plan.levels.length > 0;
  const guard = isGuarded ? await beginGuard(plan, { ...options.guard, store }) : noGuard;
  const hold = new RunningHold(options, plan, guard);
  return {
    hold: () => takeEveryone(hold, plan, options),
    [Symbol.asyncDispose]: () => hold[Symbol.asyncDispose](),
  };
}

async function takeEveryone(hold: RunningHold, plan: HoldPlan, options: HoldOptions): Promise<Hold> {
  const { signal, quiesce, store } = options;
  if (plan.levels.length === 0) return hold;
  try {
    for (const level of plan.levels) {
      throwIfAborted(signal);
      await takeAll(hold, level);
    }
    throwIfAborted(signal);
  } catch (error) {
    await hold[Symbol.asyncDispose]();
    throw error;
  }
  options.emit({ type: 'held', store, quiesce, containers: [...hold.containers] });
  return hold;
}

/** All have settled when it returns or throws: a release while one is still being stopped would miss it. */
async function takeAll(hold: RunningHold, level: readonly Held[]): Promise<void> {
  const settled = await Promise.allSettled(level.map((held) => hold.take(held)));
  const failed = settled.find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}

interface Progress {
  readonly held: Held;
  readonly takenMs: number;
  isSettled: boolean;
  isReleased: boolean;
}

class RunningHold implements Hold {
  readonly killed: string[] = [];
  readonly #options: HoldOptions;
  readonly #plan: HoldPlan;
  readonly #guard: Guard;
  readonly #taken = new Map<string, Progress>();
  #usersReport: Promise<HoldReport> | undefined;
  #report: Promise<HoldReport> | undefined;

  constructor(options: HoldOptions, plan: HoldPlan, guard: Guard) {
    this.#options = options;
    this.#plan = plan;
    this.#guard = guard;
  }

  get held(): readonly Held[] {
    return [...this.#taken.values()].map(({ held }) => held);
  }

  get containers(): readonly string[] {
    return this.held.map(({ name }) => name);
  }

  /** The intent is noted before, so that it is known however this ends. Not cut short: see `Docker.stop`. */
  async take(held: Held): Promise<void> {
    const { docker } = this.#options;
    await this.#guard.note(held.id, 'holding');
    const progress: Progress = {
      held,
      takenMs: performance.now(),
      isSettled: false,
      isReleased: false,
    };
    this.#taken.set(held.id, progress);
    if (this.#plan.mode === 'pause') await docker.pause(held);
    else if ((await docker.stop(held, this.#plan.graceSeconds)) === killedExitCode) this.#reportKill(held);
    progress.isSettled = true;
    await this.#guard.note(held.id, 'held');
  }

  #reportKill({ name }: Held): void {
    this.killed.push(name);
    this.#options.emit({
      type: 'warning',
      store: this.#options.store,
      message: `container "${name}" was killed: it did not stop within ${this.#plan.graceSeconds} s`,
      hint: 'give it more time with grace_seconds',
    });
  }

  releaseUsers(): Promise<HoldReport> {
    this.#usersReport ??= this.#release(({ isClient }) => isClient !== true);
    return this.#usersReport;
  }

  release(): Promise<HoldReport> {
    this.#report ??= this.#releaseAll();
    return this.#report;
  }

  async #releaseAll(): Promise<HoldReport> {
    const { emit, store } = this.#options;
    const report = await this.#release(() => true);
    await this.#guard
      .end()
      .catch((error: unknown) => emit({ type: 'warning', store, message: messageOf(error) }));
    return report;
  }

  async #release(isWanted: (held: Held) => boolean): Promise<HoldReport> {
    const { emit, store } = this.#options;
    const consistent = await this.#isStill();
    const wanted = [...this.#taken.values()].filter(({ held, isReleased }) => !isReleased && isWanted(held));
    const failures = await this.#letGo(wanted);
    const takenMs = wanted[0]?.takenMs;
    const downtimeMs = takenMs === undefined ? 0 : Math.round(performance.now() - takenMs);
    const containers = wanted.filter(({ isReleased }) => isReleased).map(({ held }) => held.name);
    if (containers.length > 0) emit({ type: 'released', store, containers, downtimeMs });
    // The watchdog goes on trying when we are gone.
    if (failures.size > 0) throw notStarted(failures);
    return { downtimeMs, containers: this.containers, killed: this.killed, consistent };
  }

  /** Whether nobody ran since: neither one of those that are held, nor a newcomer. Docker being away is no proof. */
  async #isStill(): Promise<boolean> {
    if (this.#taken.size === 0 && this.#plan.levels.length > 0) return false;
    try {
      const users = await containersToHold(this.#options.docker, this.#plan);
      return users.every((user) => {
        const held = this.#taken.get(user.id)?.held;
        if (held && user.startedAt !== held.startedAt) return false;
        return this.#plan.mode === 'stop' ? !isUp(user) : user.state !== 'running';
      });
    } catch {
      return false;
    }
  }

  /**
   * The other way round than they were stopped; who depends on another waits until that one serves. Nobody while a step of a
   * restore is under way, or broken off.
   */
  async #letGo(wanted: readonly Progress[]): Promise<Map<string, PkbackupError>> {
    const failures = new Map<string, PkbackupError>();
    try {
      await untilHelpersEnd(this.#options.docker, this.#plan.restoreId, patienceMs);
    } catch (error) {
      for (const { held } of wanted) {
        failures.set(held.name, asPkbackupError(error, 'failed', `start container "${held.name}"`));
      }
      return failures;
    }
    const levels = this.#plan.levels
      .map((level) => wanted.filter(({ held }) => level.includes(held)))
      .filter((level) => level.length > 0)
      .toReversed();
    for (const [index, level] of levels.entries()) {
      await Promise.all(level.map((progress) => this.#letOneGo(progress, failures)));
      if (index < levels.length - 1) await this.#waitForHealth(level);
    }
    return failures;
  }

  async #letOneGo(progress: Progress, failures: Map<string, PkbackupError>): Promise<void> {
    const { held, isSettled } = progress;
    const { docker, emit, store } = this.#options;
    const { mode, graceSeconds } = this.#plan;
    try {
      const result = await letGo(docker, held, { mode, isSettled, graceSeconds, patienceMs });
      if (result === 'gone') {
        emit({ type: 'warning', store, message: `container "${held.name}" was removed while it was held` });
      }
    } catch (error) {
      failures.set(held.name, asPkbackupError(error, 'failed', `start container "${held.name}"`));
      return;
    }
    progress.isReleased = true;
    // It runs: a journal that cannot be written (a full disk) changes nothing any more.
    await this.#guard.note(held.id, 'released').catch(() => undefined);
  }

  async #waitForHealth(level: readonly Progress[]): Promise<void> {
    const { docker, emit, store } = this.#options;
    const waits = level.map(({ held }) => docker.waitUntilHealthy(held.id, { deadlineMs: healthDeadlineMs }));
    for (const wait of await Promise.allSettled(waits)) {
      if (wait.status === 'rejected') emit({ type: 'warning', store, message: messageOf(wait.reason) });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.release();
    } catch (error) {
      const { emit, store } = this.#options;
      const hint = error instanceof PkbackupError ? error.hint : undefined;
      emit({ type: 'warning', store, message: messageOf(error), ...(hint ? { hint } : {}) });
    }
  }
}

function notStarted(failures: ReadonlyMap<string, PkbackupError>): PkbackupError {
  const names = [...failures.keys()];
  const reasons = [...failures.values()].map(({ message }) => message).join('; ');
  const which = names.map((name) => `"${name}"`).join(', ');
  return new PkbackupError('failed', `not running again: ${which} (${reasons})`, {
    hint: `docker start ${names.join(' ')} (or docker unpause)`,
    cause: [...failures.values()][0],
  });
}
