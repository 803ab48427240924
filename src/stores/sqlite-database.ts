// Copies and checks SQLite databases, in a process beside ours (sqlite-child.ts says why). Used by every kind that has
// an SQLite database in it.
import { type ChildProcess, spawn } from 'node:child_process';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PkbackupError } from '../errors.ts';
import type { Answer, Answers, Copied, Inspected, Message, Request } from './sqlite-child.ts';

export type { Inspected } from './sqlite-child.ts';

/** An error of SQLite's own, with its result code (https://sqlite.org/rescode.html). */
export class SqliteError extends Error {
  override readonly name = 'SqliteError';
  readonly code: number;

  constructor(message: string, code: number) {
    super(message);
    this.code = code;
  }
}

export interface CopyMoments {
  /** Called when the process that will copy waits for the word; it begins when this resolves. */
  readonly beforePin?: (() => Promise<void>) | undefined;
  /** Called when what is written from then on is not in the copy any more. */
  readonly onPinned?: (() => void) | undefined;
}

/** Takes a consistent copy of a live database; waits up to `timeoutMs` for one that is locked. Throws SqliteError. */
export async function copyDatabase(
  path: string,
  to: string,
  options: CopyMoments & { timeoutMs: number; signal: AbortSignal },
): Promise<Copied> {
  const { timeoutMs, signal } = options;
  return ask({ act: 'copy', path, to, timeoutMs }, signal, options);
}

/**
 * Checks and counts. `isLive` unless nobody else can have it open, and it has no log of its own.
 * Throws SqliteError only where it cannot be opened; damage is a finding.
 */
export async function inspectDatabase(
  path: string,
  options: { isLive: boolean; countsOnly?: boolean; signal: AbortSignal },
): Promise<Inspected> {
  const { isLive, countsOnly = false, signal } = options;
  return ask({ act: 'inspect', path, isLive, countsOnly }, signal);
}

/** Makes the database `to` of SQL text as `.dump` writes it. Throws SqliteError; what was made stays. */
export async function loadDatabase(path: string, to: string, signal: AbortSignal): Promise<void> {
  await ask({ act: 'load', path, to }, signal);
}

/** Whether nobody else has it open, as far as locks tell: outside of WAL mode an idle connection holds none. */
export async function tryExclusive(path: string, signal: AbortSignal): Promise<boolean> {
  return ask({ act: 'tryExclusive', path }, signal);
}

async function ask<Act extends Request['act']>(
  request: Request & { act: Act },
  signal: AbortSignal,
  moments: CopyMoments = {},
): Promise<Answers[Act]> {
  signal.throwIfAborted();
  const child = startChild();
  const stop = () => child.kill('SIGKILL');
  signal.addEventListener('abort', stop, { once: true });
  try {
    const answer = await answerOf(child, request, moments);
    if ('error' in answer) throw new SqliteError(answer.error.message, answer.error.code);
    return answer.value as Answers[Act];
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function startChild(): ChildProcess {
  // Beside this file: `.ts` in the sources, `.js` in the bundle, where it is an entry of its own.
  const program = fileURLToPath(new URL(`./sqlite-child${extname(import.meta.url)}`, import.meta.url));
  return spawn(process.execPath, [program], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    // In a group of its own, so that Ctrl+C is ours to handle; Windows would open a window for that.
    detached: process.platform !== 'win32',
    windowsHide: true,
  });
}

/** Resolves when the child has ended, so that its files are closed and may be removed. */
function answerOf(
  child: ChildProcess,
  request: Request,
  { beforePin, onPinned }: CopyMoments,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let answer: Answer | undefined;
    let said = '';
    const begin = async () => {
      await beforePin?.();
      // It may have ended meanwhile: whoever waits for its end is told.
      if (child.connected) child.send(request);
    };
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said = `${said}${text}`.slice(-2000);
    });
    child.on('message', (sent) => {
      const message = sent as Message;
      if ('isPinned' in message) onPinned?.();
      else if ('isReady' in message) {
        begin().catch((error: unknown) => {
          child.kill('SIGKILL');
          reject(error);
        });
      } else answer = message;
    });
    child.once('error', reject);
    child.once('close', (code, signal) => {
      const why = `SQLite process ended by ${signal ?? `exit code ${code}`}: ${said.trim()}`;
      if (answer) resolve(answer);
      else reject(new PkbackupError('failed', why));
    });
  });
}
