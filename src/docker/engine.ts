// One request to the Engine. Everything in this folder goes through here, and only this file knows dockerode.
// docker-modem's own handling of answers is not used: it waits for ever when a body is cut (no 'end', no 'error'), so
// bodies are read here, under a deadline.
import { Agent as HttpAgent, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Duplex } from 'node:stream';
import type Dockerode from 'dockerode';
import { PkbackupError } from '../errors.ts';
import { type CallOptions, deadlineFor, reasonOf } from './deadline.ts';
import type { Endpoint } from './endpoint.ts';
import { connectionError, statusError } from './engine-errors.ts';
import type { RequestBody } from './request-body.ts';

export interface Request {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly body?: object;
  /** The act, for messages: `stop container "chroma"`. */
  readonly act: string;
  /** Statuses beside 2xx that are an answer and not an error. */
  readonly accept?: readonly number[];
}

export interface Answer {
  readonly status: number;
  readonly json: unknown;
}

export interface Engine {
  readonly endpoint: Endpoint;
  /** How long a stream may stand still before it counts as hung. */
  readonly idleMs: number;
  /** Sends and reads the whole answer as JSON. */
  call(request: Request, options?: CallOptions): Promise<Answer>;
  /** Sends and gives the answer as a stream; the deadline is for its beginning. Destroy it to let go. */
  open(request: Request, options?: CallOptions): Promise<IncomingMessage>;
  /** As `open`, with a body that is streamed; there is no deadline here, the caller watches for silence. */
  send(request: Request, body: RequestBody, signal: AbortSignal): Promise<IncomingMessage>;
  /** Turns the connection into a raw one, for `exec` with stdin. */
  hijack(request: Request, options?: CallOptions): Promise<Duplex>;
}

const defaultDeadlineMs = 30_000;
const allStatuses = Object.fromEntries(Array.from({ length: 600 }, (_, status) => [status, true]));

type Raw = IncomingMessage | Duplex;
type Dial = (options: object, callback: (error: Error | null, answer: Raw) => void) => void;

export async function openEngine(
  endpoint: Endpoint,
  settings: { idleMs: number; deadlineMs?: number },
): Promise<Engine> {
  const dial = await dialOf(endpoint);
  const deadlineMs = settings.deadlineMs ?? defaultDeadlineMs;

  async function raw(request: Request, signal: AbortSignal, extra: object = {}): Promise<Raw> {
    try {
      return await dialOnce(dial, request, signal, extra);
    } catch (error) {
      throw signal.aborted ? reasonOf(signal) : connectionError(request.act, endpoint, error);
    }
  }

  async function open(request: Request, options: CallOptions = {}): Promise<IncomingMessage> {
    using deadline = deadlineFor(request.act, options.deadlineMs ?? deadlineMs, options.signal);
    const answer = await raw(request, deadline.signal);
    return checked(request, answer, deadline.signal, endpoint);
  }

  return {
    endpoint,
    idleMs: settings.idleMs,
    open,
    async call(request, options = {}) {
      using deadline = deadlineFor(request.act, options.deadlineMs ?? deadlineMs, options.signal);
      const answer = await checked(request, await raw(request, deadline.signal), deadline.signal, endpoint);
      const body = await readBody(request, answer, deadline.signal, endpoint);
      return { status: answer.statusCode ?? 0, json: parseJson(request, body) };
    },
    async send(request, body, signal) {
      const answer = await raw(request, signal, {
        file: body,
        headers: { 'Content-Type': 'application/x-tar' },
      });
      return checked(request, answer, signal, endpoint);
    },
    async hijack(request, options = {}) {
      using deadline = deadlineFor(request.act, options.deadlineMs ?? deadlineMs, options.signal);
      const answer = await raw(request, deadline.signal, { hijack: true });
      if (!isAnswer(answer)) return answer;
      await checked(request, answer, deadline.signal, endpoint);
      answer.destroy();
      throw new PkbackupError('failed', `${request.act}: Docker did not open a raw connection`);
    },
  };
}

async function dialOf(endpoint: Endpoint): Promise<Dial> {
  // Loaded when it is used: `list`, `verify` and `prune` do without Docker.
  const { default: Dockerode } = await import('dockerode');
  // Everything is given: what is left out, dockerode would take from the environment.
  const none = { host: undefined, port: undefined, ca: undefined, cert: undefined, key: undefined };
  const how = endpoint.kind === 'socket' ? { socketPath: endpoint.socketPath } : tcpOptions(endpoint);
  try {
    // A connection of its own for each request: one kept alive would be dead after a restart of the Engine.
    const agent = new HttpAgent({ keepAlive: false });
    const { modem } = new Dockerode({ ...none, protocol: 'http', agent, ...how } as Dockerode.DockerOptions);
    return (options, callback) => modem.dial(options as Parameters<typeof modem.dial>[0], callback as never);
  } catch (error) {
    throw connectionError('connect to Docker', endpoint, error);
  }
}

function tcpOptions({ host, port, tls }: Extract<Endpoint, { kind: 'tcp' }>): object {
  if (!tls) return { host, port };
  const { skipsVerify, ...files } = tls;
  const agent = new HttpsAgent({ keepAlive: false, ...files, rejectUnauthorized: !skipsVerify });
  return { host, port, protocol: 'https', agent };
}

function dialOnce(dial: Dial, request: Request, signal: AbortSignal, extra: object): Promise<Raw> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    const options = {
      method: request.method,
      path: request.query ? `${request.path}?` : request.path,
      options: { _query: present(request.query), _body: request.body ?? {} },
      isStream: true,
      statusCodes: allStatuses,
      abortSignal: signal,
      ...extra,
    };
    dial(options, (error, answer) => {
      signal.removeEventListener('abort', onAbort);
      if (error) return reject(signal.aborted ? signal.reason : error);
      if (signal.aborted) answer.destroy();
      resolve(answer);
    });
  });
}

/** Every answer has a status; a connection that was turned over has none. */
const isAnswer = (raw: Raw): raw is IncomingMessage => 'statusCode' in raw;

function present(query: Request['query'] = {}): Record<string, string | number | boolean> {
  const known = Object.entries(query).filter(
    (pair): pair is [string, string | number | boolean] => pair[1] !== undefined,
  );
  return Object.fromEntries(known);
}

async function checked(
  request: Request,
  answer: Raw,
  signal: AbortSignal,
  endpoint: Endpoint,
): Promise<IncomingMessage> {
  if (!isAnswer(answer)) throw new PkbackupError('failed', `${request.act}: Docker gave no answer`);
  const status = answer.statusCode ?? 0;
  if ((status >= 200 && status < 300) || request.accept?.includes(status)) return answer;
  throw statusError(request.act, status, await readBody(request, answer, signal, endpoint));
}

async function readBody(
  request: Request,
  answer: IncomingMessage,
  signal: AbortSignal,
  endpoint: Endpoint,
): Promise<string> {
  const onAbort = () => answer.destroy(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of answer) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks).toString('utf8');
  } catch (error) {
    throw signal.aborted ? reasonOf(signal) : connectionError(request.act, endpoint, error);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function parseJson(request: Request, body: string): unknown {
  if (body.trim() === '') return undefined;
  try {
    return JSON.parse(body);
  } catch {
    throw new PkbackupError('failed', `${request.act}: Docker answered with something that is not JSON`);
  }
}
