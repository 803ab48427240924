// Commands inside a running container: argument lists, no shell; secrets go by `env` or stdin.
// The end of the output proves nothing (it ends the same way when the container is killed): the exit code is asked for.
// The Engine cannot end a command: an abort lets go of its output only.
import type { Duplex } from 'node:stream';
import { messageOf, PkbackupError } from '../errors.ts';
import { type CallOptions, reasonOf, sleep } from './deadline.ts';
import type { Engine } from './engine.ts';
import { connectionError } from './engine-errors.ts';
import { type Output, splitFrames } from './frames.ts';
import { readStream } from './read-stream.ts';

export interface ExecOptions extends CallOptions {
  readonly command: readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly user?: string | undefined;
  readonly workingDir?: string | undefined;
  /** Not over Windows pipes: they cannot be closed at one end (put a file in with `writeArchive` instead). */
  readonly stdin?: AsyncIterable<Buffer> | undefined;
}

export interface Finished {
  readonly exitCode: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

const smallOutputBytes = 16 * 1024 * 1024;
const stderrTailBytes = 64 * 1024;
const execDeadlineMs = 60_000;

/** Runs a command with a small output and gives all of it, whatever the exit code; `deadlineMs` is for all of it. */
export async function exec(engine: Engine, id: string, options: ExecOptions): Promise<Finished> {
  const stdout: Buffer[] = [];
  let size = 0;
  const deadlineMs = options.deadlineMs ?? execDeadlineMs;
  const timeout = AbortSignal.timeout(deadlineMs);
  const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout;
  try {
    const run = startExec(engine, id, { ...options, signal });
    for await (const bytes of run.stdout) {
      size += bytes.length;
      if (size > smallOutputBytes) throw new PkbackupError('failed', `${run.act}: the output is over 16 MB`);
      stdout.push(bytes);
    }
    return { ...(await run.finished), stdout: Buffer.concat(stdout) };
  } catch (error) {
    if (!timeout.aborted || options.signal?.aborted) throw error;
    throw new PkbackupError(
      'failed',
      `run "${options.command[0]}": not finished after ${deadlineMs / 1000} s`,
    );
  }
}

/**
 * Streams stdout of a command. Throws unless the output was whole and the exit code is 0, with the end of stderr in the
 * message. Silence is no error (a dump may think for long), so the caller brings the signal.
 */
export async function* execStream(engine: Engine, id: string, options: ExecOptions): AsyncGenerator<Buffer> {
  const run = startExec(engine, id, options);
  yield* run.stdout;
  const { exitCode, stderr } = await run.finished;
  if (exitCode === 0) return;
  const said = stderr.trim().split('\n').slice(-5).join(' / ');
  throw new PkbackupError('failed', `${run.act}: exit code ${exitCode}${said ? `: ${said}` : ''}`);
}

interface Run {
  readonly act: string;
  readonly stdout: AsyncGenerator<Buffer>;
  /** Settles after `stdout` has ended. */
  readonly finished: Promise<{ exitCode: number; stderr: string }>;
}

function startExec(engine: Engine, id: string, options: ExecOptions): Run {
  const act = `run "${options.command[0]}" in container "${id.slice(0, 12)}"`;
  const { promise, resolve, reject } = Promise.withResolvers<{ exitCode: number; stderr: string }>();
  // Who stops reading stdout never asks for the end.
  promise.catch(() => undefined);
  async function* stdout(): AsyncGenerator<Buffer> {
    try {
      const execId = await createExec(engine, id, act, options);
      const tail: Buffer[] = [];
      for await (const { stream, bytes } of output(engine, execId, act, options)) {
        if (stream === 'stdout') yield bytes;
        else keepTail(tail, bytes);
      }
      const exitCode = await exitCodeOfExec(engine, execId, act, options);
      resolve({ exitCode, stderr: Buffer.concat(tail).toString('utf8') });
    } catch (error) {
      reject(error);
      throw error;
    }
  }
  return { act, stdout: stdout(), finished: promise };
}

function keepTail(tail: Buffer[], bytes: Buffer): void {
  tail.push(bytes);
  let size = tail.reduce((sum, part) => sum + part.length, 0);
  while (size > stderrTailBytes && tail.length > 1) size -= tail.shift()?.length ?? 0;
}

async function createExec(engine: Engine, id: string, act: string, options: ExecOptions): Promise<string> {
  const body = {
    AttachStdout: true,
    AttachStderr: true,
    AttachStdin: options.stdin !== undefined,
    Tty: false,
    Cmd: options.command,
    Env: Object.entries(options.env ?? {}).map(([name, value]) => `${name}=${value}`),
    ...(options.user === undefined ? {} : { User: options.user }),
    ...(options.workingDir === undefined ? {} : { WorkingDir: options.workingDir }),
  };
  const path = `/containers/${encodeURIComponent(id)}/exec`;
  const answer = await engine.call({ method: 'POST', path, body, act }, { signal: options.signal });
  const execId = (answer.json as { Id?: unknown } | undefined)?.Id;
  if (typeof execId !== 'string') throw new PkbackupError('failed', `${act}: Docker gave no id`);
  return execId;
}

async function* output(
  engine: Engine,
  execId: string,
  act: string,
  options: ExecOptions,
): AsyncGenerator<Output> {
  const request = {
    method: 'POST',
    path: `/exec/${execId}/start`,
    body: { Detach: false, Tty: false },
    act,
  } as const;
  const { signal, stdin } = options;
  if (!stdin) {
    const answer = await engine.open(request, { signal });
    yield* splitFrames(readStream(engine, answer, { act, signal, idleMs: undefined }), act);
    return;
  }
  const { endpoint } = engine;
  if (endpoint.kind === 'socket' && /[\\/]pipe[\\/]/.test(endpoint.socketPath)) {
    throw new PkbackupError('failed', `${act}: stdin does not work over Windows pipes`);
  }
  const socket = await engine.hijack(request, { signal });
  let fed: unknown;
  const feeding = feed(stdin, socket).catch((error: unknown) => {
    fed = error;
    socket.destroy(error instanceof Error ? error : new Error(messageOf(error)));
  });
  try {
    yield* splitFrames(readStream(engine, socket, { act, signal, idleMs: undefined }), act);
  } catch (error) {
    throw fed ?? error;
  } finally {
    socket.destroy();
  }
  await feeding;
}

/**
 * A command that does not read its stdin to the end is no error here: its exit code decides. Not `pipeline` of Node, which
 * waits for ever where the other side ends just before the source does.
 */
async function feed(stdin: AsyncIterable<Buffer>, socket: Duplex): Promise<void> {
  // Who reads the output tells of it.
  socket.on('error', () => undefined);
  for await (const chunk of stdin) {
    if (!socket.writable) return;
    if (!socket.write(chunk)) await untilDrained(socket);
  }
  socket.end();
}

function untilDrained(socket: Duplex): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      for (const event of ['drain', 'close', 'error']) socket.off(event, done);
      resolve();
    };
    for (const event of ['drain', 'close', 'error']) socket.on(event, done);
    if (!socket.writable || !socket.writableNeedDrain) done();
  });
}

async function exitCodeOfExec(
  engine: Engine,
  execId: string,
  act: string,
  { signal }: ExecOptions,
): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    if (signal?.aborted) throw reasonOf(signal);
    const answer = await engine.call({ method: 'GET', path: `/exec/${execId}/json`, act }, { signal });
    const state = answer.json as { Running?: unknown; ExitCode?: unknown } | undefined;
    if (state?.Running === false && typeof state.ExitCode === 'number') return state.ExitCode;
    await sleep(20 + attempt * 4, signal);
  }
  const cut = new Error('the output ended before the command did');
  throw connectionError(act, engine.endpoint, Object.assign(cut, { code: 'ERR_STREAM_PREMATURE_CLOSE' }));
}
