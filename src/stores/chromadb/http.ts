// Requests to a ChromaDB by its URL: each with a deadline, tried again while the server is away or busy, and never following
// a redirect, so that a token goes to no other host.

import { sleep, throwIfAborted } from '../../docker/index.ts';
import { PkbackupError } from '../../errors.ts';
import { redactSecrets, type Secret } from '../../secret.ts';

export interface Request {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Below the URL, with its query. */
  readonly path: string;
  /** JSON. */
  readonly body?: string;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
}

export interface HttpOptions {
  readonly url: string;
  readonly headers: ReadonlyMap<string, Secret>;
  readonly signal: AbortSignal;
  /** How long a server may be away that has answered before. */
  readonly patienceMs?: number;
}

const usualPatienceMs = 180_000;
const firstPatienceMs = 3_000;
const requestMs = 120_000;
const longestPauseMs = 5_000;
/** Its own fault may pass; where it does not, it is told soon. */
const mostFaults = 4;

/** The answers of one server. */
export class Http {
  readonly #options: HttpOptions;
  readonly #base: string;
  #hasAnswered: boolean;

  constructor(options: HttpOptions, hasAnswered = false) {
    this.#options = options;
    this.#hasAnswered = hasAnswered;
    this.#base = options.url.replace(/\/+$/, '');
  }

  get url(): string {
    return this.#base;
  }

  /** The same server for work that must go on after an interruption, but not for ever. */
  uninterrupted(): Http {
    const patienceMs = Math.min(this.#options.patienceMs ?? usualPatienceMs, 60_000);
    return new Http(
      { ...this.#options, signal: new AbortController().signal, patienceMs },
      this.#hasAnswered,
    );
  }

  /** Any answer that is neither "try again" nor a refusal of who asks. Throws `failed`, or `config` where we may not ask. */
  async ask(request: Request): Promise<Answer> {
    const { signal, patienceMs = usualPatienceMs } = this.#options;
    const startedMs = performance.now();
    for (let faults = 0, pauseMs = 200; ; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
      throwIfAborted(signal);
      const answer = await this.#try(request);
      if ('status' in answer && !isPassing(answer.status)) return this.#accept(answer);
      const patience = this.#hasAnswered ? patienceMs : Math.min(patienceMs, firstPatienceMs);
      const isLate = performance.now() - startedMs + pauseMs > patience;
      if ('status' in answer && answer.status === 500) faults += 1;
      if (isLate || faults >= mostFaults) throw this.#gaveUp(answer);
      await sleep(pauseMs, signal);
    }
  }

  async #try({ method, path, body }: Request): Promise<Answer | { readonly why: string }> {
    const { signal, headers } = this.#options;
    try {
      const answer = await fetch(`${this.#base}${path}`, {
        method,
        redirect: 'manual',
        signal: AbortSignal.any([signal, AbortSignal.timeout(requestMs)]),
        headers: {
          'user-agent': 'pkbackup',
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...Object.fromEntries([...headers].map(([name, value]) => [name, value.reveal().trim()])),
        },
        ...(body === undefined ? {} : { body }),
      });
      return { status: answer.status, text: await answer.text() };
    } catch (error) {
      throwIfAborted(signal);
      return { why: causeOf(error) };
    }
  }

  #accept(answer: Answer): Answer {
    this.#hasAnswered = true;
    const { status } = answer;
    if (status === 401 || status === 403) {
      throw new PkbackupError('config', `${named(this.#base)} refuses us: ${said(answer)}`, {
        hint: 'set token_env or headers_env of this store in pkbackup.yaml',
      });
    }
    if (status < 300 || status >= 400) return answer;
    throw new PkbackupError('config', `${named(this.#base)} answers with a redirect, which is not followed`, {
      hint: 'set url of this store to where the server itself is',
    });
  }

  #gaveUp(answer: Answer | { readonly why: string }): PkbackupError {
    if ('status' in answer) {
      return new PkbackupError('failed', `${named(this.#base)} answers ${said(answer)}`, {
        hint: 'see the log of the server',
      });
    }
    return new PkbackupError('failed', `${named(this.#base)} cannot be reached: ${answer.why}`, {
      hint: 'check url of this store, and that the server runs',
    });
  }
}

export const named = (url: string): string => `ChromaDB at "${url}"`;

/** What a server answered, for people. */
export function said({ status, text }: Answer): string {
  const line = redactSecrets(text).replace(/\s+/g, ' ').trim().slice(0, 200);
  return line === '' ? String(status) : `${status} ${line}`;
}

/** Busy, or broken for the moment; 501 says that it never will. */
const isPassing = (status: number): boolean =>
  (status >= 500 && status !== 501) || [408, 425, 429].includes(status);

function causeOf(error: unknown): string {
  if (error instanceof Error && error.name === 'TimeoutError')
    return `no answer within ${requestMs / 1000} s`;
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  const told: unknown = cause instanceof AggregateError ? cause.errors[0] : cause;
  const text = told instanceof Error ? told.message : String(told);
  const code = told instanceof Error && 'code' in told ? String(told.code) : '';
  return redactSecrets(text || code || 'unknown reason');
}
