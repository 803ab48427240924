// Files in and out of containers as tar streams, also of stopped and never started ones. The Engine locks the container
// (inspect, stop, start, pause, exec hang) until the stream is let go. Status 200 proves nothing in either direction: a
// cut tar comes with it and is taken with it, so callers compare entries and sizes themselves.

import { PkbackupError } from '../errors.ts';
import { type CallOptions, orAborted, tooSlow, watchIdle } from './deadline.ts';
import type { Engine } from './engine.ts';
import { hasStatus } from './engine-errors.ts';
import { readStream } from './read-stream.ts';
import { GatheredBody } from './request-body.ts';

export interface PathStat {
  readonly name: string;
  readonly sizeBytes: number;
  readonly type: 'file' | 'directory' | 'symlink' | 'other';
  /** Permission bits. */
  readonly mode: number;
  readonly mtime: Date;
  /** Where a symlink leads. */
  readonly linkTarget?: string;
}

const pathOf = (id: string) => `/containers/${encodeURIComponent(id)}/archive`;

/** What lies at `path` in the container; undefined where nothing does. */
export async function pathStat(
  engine: Engine,
  id: string,
  path: string,
  options: CallOptions = {},
): Promise<PathStat | undefined> {
  const act = `look at "${path}" in container "${id.slice(0, 12)}"`;
  try {
    const answer = await engine.open({ method: 'HEAD', path: pathOf(id), query: { path }, act }, options);
    answer.resume();
    return parseStat(answer.headers['x-docker-container-path-stat'], act);
  } catch (error) {
    if (hasStatus(error, 404)) return undefined;
    throw error;
  }
}

/** `path` as a tar; `/volume/.` gives its content as `./...`, the root entry first. */
export async function* readArchive(
  engine: Engine,
  id: string,
  path: string,
  options: CallOptions = {},
): AsyncGenerator<Buffer> {
  const act = `read "${path}" from container "${id.slice(0, 12)}"`;
  const answer = await engine.open({ method: 'GET', path: pathOf(id), query: { path }, act }, options);
  yield* readStream(engine, answer, { act, signal: options.signal, idleMs: engine.idleMs });
}

export interface WriteOptions {
  readonly signal?: AbortSignal | undefined;
  /** What is no directory may take the place of one, and of all that is in it. */
  readonly replacesDirectories?: boolean;
}

/**
 * Unpacks a tar into the directory `path`, which must be there; each chunk is needed only until the next. Ends when the Engine has taken it and the source has
 * ended without an error. What was written before a failure stays.
 */
export async function writeArchive(
  engine: Engine,
  id: string,
  path: string,
  tar: AsyncIterable<Buffer>,
  options: WriteOptions = {},
): Promise<void> {
  const act = `write to "${path}" in container "${id.slice(0, 12)}"`;
  const stalled = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stalled.signal]) : stalled.signal;
  using idle = watchIdle(engine.idleMs, () => stalled.abort(tooSlow(act, engine.idleMs)));
  const body = new GatheredBody(tar, idle);
  try {
    const query = { path, ...(options.replacesDirectories ? {} : { noOverwriteDirNonDir: 1 }) };
    const answer = await engine.send({ method: 'PUT', path: pathOf(id), query, act }, body, signal);
    answer.resume();
    // The Engine stops reading at the end-of-archive blocks; a source may still find that it was damaged.
    await orAborted(body.readRest(), signal);
    if (body.error !== undefined) throw body.error;
  } catch (error) {
    throw body.error ?? error;
  } finally {
    body.stop();
  }
  if (!body.hasEnded) throw new PkbackupError('failed', `${act}: Docker took only a part`);
}

interface StatHeader {
  name?: unknown;
  size?: unknown;
  mode?: unknown;
  mtime?: unknown;
  linkTarget?: unknown;
}

function parseStat(header: string | string[] | undefined, act: string): PathStat {
  try {
    const stat = JSON.parse(Buffer.from(String(header), 'base64').toString('utf8')) as StatHeader;
    const mode = Number(stat.mode);
    return {
      name: String(stat.name),
      sizeBytes: Number(stat.size),
      type: typeOf(mode),
      mode: mode & 0o777,
      mtime: new Date(String(stat.mtime)),
      ...(stat.linkTarget ? { linkTarget: String(stat.linkTarget) } : {}),
    };
  } catch (cause) {
    throw new PkbackupError('failed', `${act}: Docker answered without a path stat`, { cause });
  }
}

/** The high bits of Go's os.FileMode. */
function typeOf(mode: number): PathStat['type'] {
  const isSet = (bit: number) => Math.floor(mode / 2 ** bit) % 2 === 1;
  if (isSet(31)) return 'directory';
  if (isSet(27)) return 'symlink';
  return isSet(26) || isSet(25) || isSet(24) || isSet(21) || isSet(19) ? 'other' : 'file';
}
