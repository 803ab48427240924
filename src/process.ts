// Programs that the user's own configuration or command line names, and the tools of a database: started as argument lists,
// never through a shell. Each has a deadline and its output bounded, or is read as it comes. The only door to execa. It knows
// no layer of the program.
import { once } from 'node:events';
import process from 'node:process';
import type { Readable, Writable } from 'node:stream';
import { execa } from 'execa';
import { messageOf } from './errors.ts';

export interface ProgramOptions {
  readonly cwd?: string;
  /** All that it gets: nothing of our own environment comes along. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Milliseconds; then it is ended, with all that it has started. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Each line of its stdout and stderr as it comes, without the line end. */
  readonly onLine?: (line: string) => void;
  /** Called with its process id as soon as it runs. */
  readonly onStart?: (pid: number) => void;
  /** What asks it to end when `signal` is aborted; SIGTERM where it is missing. */
  readonly abortSignal?: () => NodeJS.Signals;
  /** Between the polite end and the other one; 5 s where it is missing. */
  readonly graceMs?: number;
  /** Of a line only so many characters are kept; 1000 where it is missing. */
  readonly longestLine?: number;
}

export interface ProgramEnd {
  /** `started` is false where there is no such program, or it may not be run. */
  readonly how: 'exited' | 'killed' | 'late' | 'aborted' | 'not-started';
  /** Where it exited by itself. */
  readonly exitCode?: number;
  /** One line for people: `exit code 3`, `was ended after 30 s`, `cannot be started: ENOENT`. */
  readonly message: string;
  /** The last ones of stdout and stderr together, the oldest first. */
  readonly lastLines: readonly string[];
}

const usualGraceMs = 5000;
/** What it has left running may hold its output open. */
const outputGraceMs = 1000;
const keptLines = 20;
const usualLongestLine = 1000;

/** Never throws for what the program does; the end says it. */
export async function runProgram(argv: readonly string[], options: ProgramOptions): Promise<ProgramEnd> {
  const [file = '', ...args] = argv;
  const { signal, deadlineMs } = options;
  if (signal?.aborted) return { how: 'aborted', message: 'was not started: interrupted', lastLines: [] };
  const lastLines: string[] = [];
  const child = start(file, args, options);
  const output = followOutput(child, options.longestLine ?? usualLongestLine, (line) => {
    lastLines.push(line);
    if (lastLines.length > keptLines) lastLines.shift();
    options.onLine?.(line);
  });
  let ended: 'late' | 'aborted' | undefined;
  const end = (why: 'late' | 'aborted') => {
    ended ??= why;
    endTree(child, why === 'aborted' ? options.abortSignal?.() : undefined, options.graceMs);
  };
  const late = setTimeout(() => end('late'), deadlineMs);
  const onAbort = () => end('aborted');
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    if (child.pid !== undefined) options.onStart?.(child.pid);
    const result = await child;
    await output;
    return { ...endOf(result, ended, deadlineMs), lastLines };
  } finally {
    clearTimeout(late);
    signal?.removeEventListener('abort', onAbort);
  }
}

/**
 * In a process group of its own: Ctrl+C in the terminal is for pkbackup, which decides what becomes of the program, and what
 * the program has started can be ended with it.
 */
function start(
  file: string,
  args: readonly string[],
  { cwd, environment, owner }: Pick<StreamOptions, 'cwd' | 'environment' | 'owner'>,
  stdin: 'ignore' | 'pipe' = 'ignore',
) {
  return execa(file, args, {
    ...(cwd === undefined ? {} : { cwd }),
    ...(process.getuid?.() === 0 ? owner : {}),
    env: environment,
    extendEnv: false,
    stdin,
    buffer: false,
    reject: false,
    detached: process.platform !== 'win32',
    windowsHide: true,
  });
}

type Child = ReturnType<typeof start>;

/** Resolves when all has come, or a moment after the end. */
async function followOutput(child: Child, longest: number, onLine: (line: string) => void): Promise<void> {
  const streams = [child.stdout, child.stderr].filter((stream) => stream !== null && stream !== undefined);
  const read = streams.map((stream) => {
    splitLines(stream, longest, onLine);
    return once(stream, 'close');
  });
  child.once('exit', () => {
    const left = setTimeout(() => {
      for (const stream of streams) stream.destroy();
    }, outputGraceMs);
    void Promise.allSettled(read).then(() => clearTimeout(left));
  });
  await Promise.allSettled(read);
}

/** Of a line only the beginning is kept, however long it gets. */
function splitLines(stream: Readable, longest: number, onLine: (line: string) => void): void {
  let begun = '';
  const tell = () => onLine(begun.replace(/\r$/, ''));
  stream.setEncoding('utf8').on('data', (text: string) => {
    const [first = '', ...others] = text.split('\n');
    begun = (begun + first).slice(0, longest);
    for (const next of others) {
      tell();
      begun = next.slice(0, longest);
    }
  });
  stream.on('end', () => begun !== '' && tell());
}

/** Asks the whole group to end; what has not ended after a while, or is left when the program itself has, is made to. */
function endTree(child: Child, politely: NodeJS.Signals = 'SIGTERM', graceMs = usualGraceMs): void {
  const { pid } = child;
  if (pid === undefined) return;
  if (process.platform === 'win32') {
    // There are no groups, and nothing to ask politely with.
    void execa('taskkill', ['/pid', String(pid), '/T', '/F'], { reject: false });
    return;
  }
  signalGroup(pid, politely);
  const hard = setTimeout(() => signalGroup(pid, 'SIGKILL'), graceMs);
  child.once('exit', () => {
    clearTimeout(hard);
    signalGroup(pid, 'SIGKILL');
  });
}

function signalGroup(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(-pid, name);
  } catch {
    // Nobody of it is left.
  }
}

function endOf(
  result: Awaited<Child>,
  ended: 'late' | 'aborted' | undefined,
  deadlineMs: number,
): Omit<ProgramEnd, 'lastLines'> {
  const { exitCode, signal } = result;
  if (ended === 'late') return { how: 'late', message: `was ended after ${deadlineMs / 1000} s` };
  if (ended === 'aborted') return { how: 'aborted', message: 'was ended: interrupted' };
  if (exitCode !== undefined) return { how: 'exited', exitCode, message: `exit code ${exitCode}` };
  if (signal !== undefined) return { how: 'killed', message: `was ended by ${signal}` };
  return { how: 'not-started', message: `cannot be started: ${reasonOf(result)}` };
}

function reasonOf(result: Awaited<Child>): string {
  const cause = 'cause' in result ? result.cause : undefined;
  return cause === undefined ? 'unknown reason' : messageOf(cause);
}

export interface StreamOptions extends Omit<ProgramOptions, 'deadlineMs' | 'onLine'> {
  readonly stdin?: AsyncIterable<Buffer> | undefined;
  /** Whom it runs as, where we are root; otherwise it runs as ourselves. */
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
}

export interface StreamedProgram {
  /** Byte for byte; who stops reading ends the program. Throws what `signal` was aborted with. */
  readonly stdout: AsyncGenerator<Buffer>;
  /** Settles after `stdout` has ended; `stderr` is the end of it. */
  readonly ended: Promise<Omit<ProgramEnd, 'lastLines'> & { readonly stderr: string }>;
}

const stderrTailLength = 64 * 1024;

/** For what may take as long as it takes: it has no deadline, and is ended by its signal, or by nobody reading on. */
export function streamProgram(argv: readonly string[], options: StreamOptions): StreamedProgram {
  const { promise, resolve, reject } = Promise.withResolvers<Awaited<StreamedProgram['ended']>>();
  // Who stops reading never asks for the end.
  promise.catch(() => undefined);
  async function* stdout(): AsyncGenerator<Buffer> {
    const { signal, stdin } = options;
    signal?.throwIfAborted();
    const [file = '', ...args] = argv;
    const child = start(file, args, options, stdin ? 'pipe' : 'ignore');
    const onAbort = () => endTree(child);
    signal?.addEventListener('abort', onAbort, { once: true });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr = (stderr + text).slice(-stderrTailLength);
    });
    const feeding = stdin && child.stdin ? feed(stdin, child.stdin, () => endTree(child)) : undefined;
    // Told below, when the program has ended.
    feeding?.catch(() => undefined);
    let isRead = false;
    try {
      yield* child.stdout as AsyncIterable<Buffer>;
      isRead = true;
      const result = await child;
      signal?.throwIfAborted();
      // A source that is not through says nothing more: nobody takes it.
      await Promise.race([feeding, undefined]);
      resolve({ ...endOf(result, undefined, 0), stderr });
    } catch (error) {
      reject(error);
      throw error;
    } finally {
      signal?.removeEventListener('abort', onAbort);
      if (!isRead) endTree(child);
    }
  }
  return { stdout: stdout(), ended: promise };
}

/** A program that does not read to the end is no error here: its exit code decides. What the source throws is. */
async function feed(stdin: AsyncIterable<Buffer>, into: Writable, giveUp: () => void): Promise<void> {
  into.on('error', () => undefined);
  try {
    for await (const chunk of stdin) {
      if (!into.writable) return;
      if (!into.write(chunk)) await untilDrained(into);
    }
    into.end();
  } catch (error) {
    giveUp();
    throw error;
  }
}

function untilDrained(into: Writable): Promise<void> {
  return new Promise((resolve) => {
    const events = ['drain', 'close', 'error'];
    const done = () => {
      for (const event of events) into.off(event, done);
      resolve();
    };
    for (const event of events) into.on(event, done);
    if (!into.writable || !into.writableNeedDrain) done();
  });
}
