// One delivery: tried again where that may help, given up at its deadline or where the answer is final.
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../errors.ts';

/** Why it did not arrive. */
export class DeliveryError extends Error {
  /** Trying again would not help: the message or the address is refused. */
  readonly isFinal: boolean;
  /** When the server wants to be asked again. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, options: { isFinal?: boolean; retryAfterMs?: number; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.isFinal = options.isFinal ?? false;
    this.retryAfterMs = options.retryAfterMs;
  }
}

export interface DeliveryOptions {
  /** For all attempts together. */
  readonly deadlineMs: number;
  /** For each. */
  readonly attemptMs: number;
  /** Between the first and the second attempt, and so on: one more attempt than waits. */
  readonly waitsMs: readonly number[];
}

export const usualDelivery: DeliveryOptions = {
  deadlineMs: 30_000,
  attemptMs: 10_000,
  waitsMs: [1000, 4000],
};

/** `attempt` MUST end soon after its signal is aborted. Throws `DeliveryError` with how often it was tried. */
export async function deliver(
  attempt: (signal: AbortSignal) => Promise<void>,
  { deadlineMs, attemptMs, waitsMs }: DeliveryOptions,
): Promise<void> {
  const giveUpAt = performance.now() + deadlineMs;
  for (let tries = 1; ; tries += 1) {
    const leftMs = giveUpAt - performance.now();
    const error = await tryOnce(attempt, Math.max(1, Math.min(attemptMs, leftMs)));
    if (error === undefined) return;
    const waitMs = Math.max(waitsMs[tries - 1] ?? 0, error.retryAfterMs ?? 0);
    const isLast = tries > waitsMs.length || performance.now() + waitMs >= giveUpAt;
    if (error.isFinal || isLast) {
      throw tries === 1
        ? error
        : new DeliveryError(`${error.message} (tried ${tries} times)`, { cause: error });
    }
    await sleep(waitMs);
  }
}

async function tryOnce(
  attempt: (signal: AbortSignal) => Promise<void>,
  limitMs: number,
): Promise<DeliveryError | undefined> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), limitMs);
  try {
    await attempt(late.signal);
    return undefined;
  } catch (error) {
    if (late.signal.aborted)
      return new DeliveryError(`no answer within ${shownSeconds(limitMs)} s`, { cause: error });
    if (error instanceof DeliveryError) return error;
    return new DeliveryError(messageOf(error), { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

const shownSeconds = (ms: number) => (ms < 1000 ? (ms / 1000).toFixed(1) : Math.round(ms / 1000));
