// Our end of the process that lets clients go when this one dies: it waits on a pipe from us.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { extname } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import type { CommandLine } from '../config/types.ts';
import { PkbackupError } from '../errors.ts';

export interface ReleaseOrder {
  readonly release: CommandLine;
  /** Path of what says that they are held; removed when they are not any more. */
  readonly marker: string;
}

const readyDeadlineMs = 30_000;
const endDeadlineMs = 5000;

export class ReleaseGuard {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Returns when it waits. Throws `failed` where it does not come up: nobody may be held then. */
  static async start(order: ReleaseOrder, environment: Record<string, string>): Promise<ReleaseGuard> {
    const program = fileURLToPath(new URL(`./release-child${extname(import.meta.url)}`, import.meta.url));
    // A session of its own, which Ctrl+C and the end of the terminal do not reach.
    const child = spawn(process.execPath, [program], {
      detached: true,
      windowsHide: true,
      stdio: ['pipe', 'pipe', 'ignore'],
      env: environment,
    });
    child.stdin?.on('error', () => undefined);
    child.stdin?.write(`${JSON.stringify(order)}\n`);
    const late = AbortSignal.timeout(readyDeadlineMs);
    const ended = once(child, 'exit', { signal: late }).then(() => false);
    const isReady = child.stdout
      ? once(child.stdout, 'data', { signal: late }).then(() => true)
      : Promise.resolve(false);
    if (!(await Promise.race([isReady, ended]).catch(() => false))) {
      child.kill('SIGKILL');
      throw new PkbackupError('failed', 'the process that lets clients go after a crash did not start', {
        hint: 'nobody was held',
      });
    }
    child.stdout?.destroy();
    child.unref();
    return new ReleaseGuard(child);
  }

  /** They are let go. Returns when it has ended. */
  async end(): Promise<void> {
    const child = this.#child;
    const hasEnded = child.exitCode !== null || child.signalCode !== null;
    const ended = hasEnded ? Promise.resolve() : once(child, 'exit');
    child.stdin?.end('{"end":true}\n');
    const late = setTimeout(() => child.kill('SIGKILL'), endDeadlineMs);
    await ended;
    clearTimeout(late);
  }
}
