// Containers of our own: helpers that are created and never started, for the archive endpoint, and one-off runs.
// Both are made from images that are here, have no network, and carry a label by which leftovers are found.
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { PkbackupError } from '../errors.ts';
import { guardLabel, helperLabel, isHelper, ownerLabel, restoreLabel, swappingLabel } from './container.ts';
import { inspectIfThere, removeContainer, type Summary, startContainer, summarise } from './containers.ts';
import { type CallOptions, lateSignal, sleep, throwIfAborted } from './deadline.ts';
import type { Engine } from './engine.ts';
import { readLog } from './logs.ts';

export interface HelperMount {
  /** A volume, or an absolute path on the Docker host. A volume MUST have been looked at: Docker makes what is missing. */
  readonly source: string;
  readonly target: string;
  readonly isReadOnly: boolean;
}

export interface HelperOptions extends CallOptions {
  readonly image: string;
  readonly mounts: readonly HelperMount[];
  /** For `clearHelpers`. */
  readonly restoreId?: string | undefined;
  /** As long as it is there, nobody is let go: what it mounts is half swapped. */
  readonly isSwapping?: boolean | undefined;
}

export interface Helper extends AsyncDisposable {
  readonly id: string;
  readonly name: string;
  remove(): Promise<void>;
}

export interface RunOptions extends HelperOptions {
  readonly command: readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** `0:0` where it is missing. */
  readonly user?: string | undefined;
}

export interface RunResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

const runDeadlineMs = 60_000;
const removeDeadlineMs = 30_000;
/** How long an interrupted call may still be answered. */
const answerMs = 10_000;
const clearDeadlineMs = 30_000;

/** Removed when disposed; also when `signal` is aborted meanwhile. */
export async function createHelper(engine: Engine, options: HelperOptions): Promise<Helper> {
  return create(engine, options, { Cmd: ['pkbackup-helper'], Entrypoint: [] });
}

/**
 * Runs one command in a container of its own and gives output and exit code; 125-127 where the image cannot run it.
 * `deadlineMs` is for all of it. Nothing is left when it ends, however it ends.
 */
export async function runOnce(engine: Engine, options: RunOptions): Promise<RunResult> {
  const prepared = await prepareRun(engine, options);
  try {
    return await prepared.run();
  } finally {
    await prepared.remove();
  }
}

export interface PreparedRun extends AsyncDisposable {
  readonly id: string;
  /** Once only. */
  run(): Promise<RunResult>;
  remove(): Promise<void>;
}

/** The container is made already, so that `run` takes as little time as can be. */
export async function prepareRun(engine: Engine, options: RunOptions): Promise<PreparedRun> {
  const [program, ...args] = options.command;
  const helper = await create(engine, options, {
    Entrypoint: [program],
    Cmd: args,
    User: options.user ?? '0:0',
    Env: Object.entries(options.env ?? {}).map(([name, value]) => `${name}=${value}`),
  });
  return {
    id: helper.id,
    run: () => runHelper(engine, helper, options),
    remove: () => helper.remove(),
    [Symbol.asyncDispose]: () => helper.remove(),
  };
}

export interface HelperOwner {
  readonly host: string;
  readonly pid: number;
  /** When the helper was made, in milliseconds since 1970. */
  readonly since: number;
}

/** Helpers that nobody uses any more: those whose owner `isAlive` denies. */
export async function findOrphanHelpers(
  engine: Engine,
  isAlive: (owner: HelperOwner) => boolean,
  options?: CallOptions,
): Promise<{ id: string; name: string }[]> {
  const all = await summarise(engine, options);
  return all.filter(({ labels, isRunning, hasEnded }) => {
    if (labels[helperLabel] !== '1') return false;
    // It outlives its process on purpose: the journal of the guard says for how long.
    if (labels[guardLabel] !== undefined) return false;
    // In the middle of a swap, or broken off there, perhaps: whoever recovers the restore knows what to do.
    const isAtWork = isRunning || hasEnded || labels[swappingLabel] !== undefined;
    if (isAtWork && labels[restoreLabel] !== undefined) return false;
    return !isAlive(ownerOf(labels));
  });
}

/** Of everything that this process makes in Docker and will remove again. */
export function ownLabels(): Record<string, string> {
  return { [helperLabel]: '1', [ownerLabel]: `${hostname()}#${process.pid}#${Date.now()}` };
}

export function ownerOf(labels: Readonly<Record<string, string>>): HelperOwner {
  const [host = '', pid = '', since = ''] = (labels[ownerLabel] ?? '').split('#');
  return { host, pid: Number(pid), since: Number(since) };
}

export interface ClearOptions extends CallOptions {
  /** Whether those that run are waited for, or killed. */
  readonly waits: boolean;
}

/**
 * Removes what works for a restore, also for a process that is dead: the Engine goes on with what that one had begun.
 * Returns when nothing of it can run any more; throws `failed` after `deadlineMs`, and `restore_failed` where `waits` and one
 * of them did not come to its end: what it was at is half done.
 */
export async function clearHelpers(engine: Engine, restoreId: string, options: ClearOptions): Promise<void> {
  const { waits, signal, deadlineMs = clearDeadlineMs } = options;
  const endAt = performance.now() + deadlineMs;
  for (let waitMs = 10; ; waitMs = Math.min(250, waitMs * 1.5)) {
    const all = await summarise(engine, { signal });
    const left = all.filter((one) => isHelper(one) && one.labels[restoreLabel] === restoreId);
    const [first] = left;
    if (!first) return;
    if (performance.now() > endAt) {
      throw new PkbackupError('failed', `helper container "${first.name}" is still at work on the volume`);
    }
    const idle = left.filter(({ isRunning }) => !waits || !isRunning);
    if (waits) await Promise.all(idle.map((one) => refuseBrokenOff(engine, one, signal)));
    await Promise.all(idle.map((one) => removeContainer(engine, one, { signal, spares: waits })));
    await sleep(waitMs, signal);
  }
}

/** One that never ran may be locked by its archive endpoint, so it is not looked at. */
async function refuseBrokenOff(engine: Engine, helper: Summary, signal: AbortSignal | undefined) {
  const ended = helper.hasEnded ? await inspectIfThere(engine, helper.id, { signal }) : undefined;
  const isSwapping = helper.labels[swappingLabel] !== undefined;
  if (!isSwapping && (!ended || ended.exitCode === 0)) return;
  const how = ended ? ` (exit code ${ended.exitCode})` : '';
  throw new PkbackupError(
    'restore_failed',
    `helper container "${helper.name}" was broken off${how}: the data may be half swapped`,
    { hint: 'pkbackup recover undoes the restore' },
  );
}

async function create(engine: Engine, options: HelperOptions, how: object): Promise<Helper> {
  const name = `pkbackup-helper-${randomBytes(6).toString('hex')}`;
  const act = 'create a helper container';
  const body = {
    Image: options.image,
    ...how,
    NetworkDisabled: true,
    Healthcheck: { Test: ['NONE'] },
    Labels: {
      ...(options.restoreId === undefined ? {} : { [restoreLabel]: options.restoreId }),
      ...(options.isSwapping ? { [swappingLabel]: '1' } : {}),
      ...ownLabels(),
    },
    HostConfig: {
      NetworkMode: 'none',
      RestartPolicy: { Name: 'no' },
      // The output is read back after the end; the daemon's own driver may not allow that.
      LogConfig: { Type: 'json-file', Config: {} },
      SecurityOpt: ['label=disable'],
      Mounts: options.mounts.map(mountOf),
    },
  };
  const remove = () => removeContainer(engine, { id: name, name }, { deadlineMs: removeDeadlineMs });
  // A helper whose making was cut short would come to be after its removal.
  using patient = lateSignal(options.signal, answerMs);
  try {
    const request = { method: 'POST', path: '/containers/create', query: { name }, body, act } as const;
    const { json } = await engine.call(request, { ...options, signal: patient.signal });
    throwIfAborted(options.signal);
    const id = (json as { Id?: unknown } | undefined)?.Id;
    if (typeof id !== 'string') throw new PkbackupError('failed', `${act}: Docker gave no id`);
    return { id, name, remove, [Symbol.asyncDispose]: remove };
  } catch (error) {
    // It may have been made although the answer did not come; the first error is the one to tell.
    await remove().catch(() => undefined);
    throw error;
  }
}

function mountOf({ source, target, isReadOnly }: HelperMount): object {
  const isPath = /^(\/|[A-Za-z]:[\\/])/.test(source);
  if (isPath) return { Type: 'bind', Source: source, Target: target, ReadOnly: isReadOnly };
  // Without NoCopy the image's own files at `target` would be copied into an empty volume.
  const how = { Type: 'volume', Source: source, Target: target, VolumeOptions: { NoCopy: true } };
  return { ...how, ReadOnly: isReadOnly };
}

async function runHelper(engine: Engine, helper: Helper, options: RunOptions): Promise<RunResult> {
  const { signal } = options;
  const endAt = performance.now() + (options.deadlineMs ?? runDeadlineMs);
  const cannotRun = await start(engine, helper, signal);
  if (cannotRun !== undefined) return cannotRun;
  for (let waitMs = 5; ; waitMs = Math.min(250, waitMs * 1.5)) {
    const state = await inspectIfThere(engine, helper.id, { signal });
    if (!state) throw new PkbackupError('failed', `run "${options.command[0]}": its container is gone`);
    if (state.state === 'exited' || state.state === 'dead') {
      return { exitCode: state.exitCode, ...(await readOutput(engine, helper, signal)) };
    }
    if (performance.now() > endAt) {
      throw new PkbackupError(
        'failed',
        `run "${options.command[0]}" in a helper container: not finished in time`,
      );
    }
    await sleep(waitMs, signal);
  }
}

/** The Engine answers 400 or 404 where the program is not in the image. */
async function start(
  engine: Engine,
  helper: Helper,
  signal: AbortSignal | undefined,
): Promise<RunResult | undefined> {
  try {
    await startContainer(engine, helper, { signal });
    return undefined;
  } catch (error) {
    const state = await inspectIfThere(engine, helper.id, { signal }).catch(() => undefined);
    if (!state || state.exitCode < 125 || state.exitCode > 127) throw error;
    return {
      exitCode: state.exitCode,
      stdout: '',
      stderr: error instanceof Error ? error.message : String(error),
    };
  }
}

async function readOutput(engine: Engine, helper: Helper, signal: AbortSignal | undefined) {
  const { stdout, stderr } = await readLog(engine, helper.id, { signal });
  return { stdout: stdout.toString(), stderr: stderr.toString() };
}
