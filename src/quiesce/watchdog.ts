// Our end of the watchdog: started before anything is held, told every step, and ended when everyone runs again.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { extname } from 'node:path';
import process from 'node:process';
import type { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { messageOf, PkbackupError } from '../errors.ts';
import { type Owner, ownerOf } from '../owner.ts';
import type { HoldPhase } from './guard.ts';
import type { JournalHead } from './journal.ts';

const readyDeadlineMs = 30_000;
const endDeadlineMs = 5000;
const mostSaid = 2000;

export class Watchdog {
  readonly #child: ChildProcess;
  readonly #pipe: Writable;

  private constructor(child: ChildProcess, pipe: Writable) {
    this.#child = child;
    this.#pipe = pipe;
  }

  /** Returns when it waits, and has reached Docker. Throws `failed` where it does not come up: nothing may be held then. */
  static async start(
    journalPath: string,
    head: JournalHead,
    environment: Readonly<Record<string, string | undefined>>,
  ): Promise<Watchdog> {
    const program = fileURLToPath(new URL(`./watchdog-child${extname(import.meta.url)}`, import.meta.url));
    // Detached: a session of its own, which Ctrl+C and the end of the terminal do not reach.
    const child = spawn(process.execPath, [program], {
      detached: true,
      windowsHide: true,
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
      cwd: process.platform === 'win32' ? process.env.SYSTEMROOT : '/',
    });
    try {
      const watchdog = new Watchdog(child, pipeOf(child));
      await watchdog.#tell({ journal: journalPath, head });
      await readiness(child);
      return watchdog;
    } catch (error) {
      child.kill('SIGKILL');
      throw new PkbackupError('failed', `the watchdog did not start: ${messageOf(error)}`, {
        hint: 'nothing was held; without the watchdog a crash could leave containers stopped',
        cause: error,
      });
    }
  }

  get owner(): Owner {
    return ownerOf(this.#child.pid ?? 0);
  }

  async note(id: string, phase: HoldPhase): Promise<void> {
    await this.#tell({ id, phase });
  }

  /** Everyone runs again. Returns when the process has ended. */
  async end(): Promise<void> {
    const child = this.#child;
    const hasEnded = child.exitCode !== null || child.signalCode !== null;
    const ended = hasEnded ? Promise.resolve() : once(child, 'exit');
    await this.#tell({ end: true }).catch(() => undefined);
    this.#pipe.end();
    const late = setTimeout(() => child.kill('SIGKILL'), endDeadlineMs);
    await ended;
    clearTimeout(late);
  }

  /** In the pipe, a line reaches the watchdog even if we are killed the moment after. */
  #tell(line: object): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#pipe.write(`${JSON.stringify(line)}\n`, (error) => (error ? reject(error) : resolve()));
    });
  }
}

function pipeOf(child: ChildProcess): Writable {
  if (!child.stdin) throw new Error('it has no pipe');
  child.stdin.on('error', () => undefined);
  return child.stdin;
}

async function readiness(child: ChildProcess): Promise<void> {
  let said = '';
  let isReady = false;
  const settled = new AbortController();
  const late = setTimeout(() => settled.abort(), readyDeadlineMs);
  const listen = (text: string) => {
    said = (said + text).slice(-mostSaid);
  };
  child.stderr?.setEncoding('utf8').on('data', listen);
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    listen(text);
    isReady = text === 'ready\n';
    if (isReady) settled.abort();
  });
  try {
    await once(child, 'exit', { signal: settled.signal }).catch(() => undefined);
    if (isReady) return;
    throw new Error(
      settled.signal.aborted ? `not ready after ${readyDeadlineMs / 1000} s` : said.trim() || 'it ended',
    );
  } finally {
    clearTimeout(late);
    // It writes nothing more; what it would write after our end goes nowhere.
    child.stdout?.destroy();
    child.stderr?.destroy();
    child.unref();
  }
}
