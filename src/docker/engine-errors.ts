// What goes wrong between us and the Engine, in words: connection, status, deadline.
import { messageOf, PkbackupError, systemCodeOf } from '../errors.ts';
import type { Endpoint } from './endpoint.ts';

/** An error of the connection, or anything else that was thrown while `act` was under way. */
export function connectionError(act: string, endpoint: Endpoint, error: unknown): PkbackupError {
  if (error instanceof PkbackupError) return error;
  const code = systemCodeOf(error);
  const where = `${endpoint.url}${endpoint.namedBy === 'default' ? '' : ` (from ${endpoint.namedBy})`}`;
  const wasCut = code === 'ECONNRESET' || code === 'EPIPE' || code === 'ERR_STREAM_PREMATURE_CLOSE';
  const what = wasCut ? 'Docker broke the connection off' : `Docker is not reachable at ${where}`;
  return new PkbackupError('docker_unreachable', `${act}: ${what}: ${messageOf(error)}`, {
    hint: hintFor(code, endpoint),
    cause: error,
  });
}

function hintFor(code: string | undefined, endpoint: Endpoint): string {
  if (code === 'EACCES' || code === 'EPERM') {
    return 'this user may not use Docker; run as root, or add the user to the group "docker"';
  }
  if (endpoint.namedBy === 'default') return 'start Docker, or name its address in DOCKER_HOST';
  return `start Docker, or correct ${endpoint.namedBy}`;
}

/** An answer of the Engine that is not the one asked for. */
export function statusError(act: string, status: number, body: string): PkbackupError {
  const code = status === 404 ? 'not_found' : 'failed';
  const detail = messageIn(body) || `status ${status}`;
  return new EngineStatusError(code, `${act}: ${detail}`, status);
}

/** Keeps the status for those who can go on from it (409, 404, 304). */
export class EngineStatusError extends PkbackupError {
  readonly status: number;

  constructor(code: 'not_found' | 'failed', message: string, status: number) {
    super(code, message, status >= 500 ? { hint: 'look at the log of the Docker Engine' } : {});
    this.status = status;
  }
}

export function hasStatus(error: unknown, ...statuses: number[]): boolean {
  return error instanceof EngineStatusError && statuses.includes(error.status);
}

function messageIn(body: string): string {
  try {
    const parsed = JSON.parse(body) as { message?: unknown } | null;
    if (typeof parsed?.message === 'string') return oneLine(parsed.message);
  } catch {
    // Not JSON: shown as it is.
  }
  return oneLine(body);
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim().slice(0, 500);
}
