// Time limits of calls to the Engine. Nothing waits for Docker without one.
import { PkbackupError } from '../errors.ts';

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** How long the call may take; each call has a default. */
  readonly deadlineMs?: number | undefined;
}

export interface Deadline extends Disposable {
  readonly signal: AbortSignal;
}

/** A signal that follows `signal` and aborts by itself with an error that names `act`. Dispose it when the call is over. */
export function deadlineFor(act: string, ms: number, signal?: AbortSignal): Deadline {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(tooSlow(act, ms)), ms);
  const follow = () => controller.abort(reasonOf(signal));
  if (signal?.aborted) follow();
  else signal?.addEventListener('abort', follow, { once: true });
  const dispose = () => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', follow);
  };
  return { signal: controller.signal, [Symbol.dispose]: dispose };
}

/**
 * A signal that aborts `ms` after the other: for calls that the Engine carries out all the same when nobody waits for the
 * answer any more. Dispose it when the call is over.
 */
export function lateSignal(signal: AbortSignal | undefined, ms: number): Deadline {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const follow = () => {
    timer = setTimeout(() => controller.abort(reasonOf(signal)), ms);
  };
  if (signal?.aborted) controller.abort(reasonOf(signal));
  else signal?.addEventListener('abort', follow, { once: true });
  const dispose = () => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', follow);
  };
  return { signal: controller.signal, [Symbol.dispose]: dispose };
}

export function tooSlow(act: string, ms: number): PkbackupError {
  return new PkbackupError('docker_unreachable', `${act}: Docker did not answer within ${ms / 1000} s`, {
    hint: 'the Docker Engine may hang; look at its log, or restart it',
  });
}

/** What was given to `abort()`, as an error of ours. */
export function reasonOf(signal: AbortSignal | undefined): PkbackupError {
  const reason: unknown = signal?.reason;
  return reason instanceof PkbackupError
    ? reason
    : new PkbackupError('interrupted', 'interrupted', { cause: reason });
}

/** Until `waited` has come about; throws the reason of an abort as soon as there is one. */
export async function orAborted(waited: Promise<void> | undefined, signal: AbortSignal): Promise<void> {
  const aborted = Promise.withResolvers<void>();
  const onAbort = () => aborted.resolve();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    throwIfAborted(signal);
    await Promise.race([waited, aborted.promise]);
    throwIfAborted(signal);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw reasonOf(signal);
}

/** Waits; throws at once when aborted. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(reasonOf(signal));
    const onAbort = () => {
      clearTimeout(timer);
      reject(reasonOf(signal));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/**
 * Watches a stream for silence: `waiting()` when the other side has to move, `moved()` when it did. Time in which we
 * ourselves are slow does not count.
 */
export interface IdleWatch extends Disposable {
  waiting(): void;
  moved(): void;
}

export function watchIdle(ms: number, onIdle: () => void): IdleWatch {
  let since: number | undefined;
  const timer = setInterval(
    () => {
      if (since === undefined || performance.now() - since < ms) return;
      clearInterval(timer);
      onIdle();
    },
    Math.max(10, ms / 4),
  );
  timer.unref();
  return {
    waiting: () => {
      since = performance.now();
    },
    moved: () => {
      since = undefined;
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
