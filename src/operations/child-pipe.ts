// Our end of a process that waits on a pipe from us, and lets go what programs of the user's held when we die.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { extname } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { PkbackupError } from '../errors.ts';
import { type Owner, ownerOf } from '../owner.ts';
import { withoutSecrets } from '../secret.ts';

const readyDeadlineMs = 30_000;
const endDeadlineMs = 5000;

export class ChildPipe {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Returns when it waits. Throws `failed` where it does not come up: nothing may be held then. */
  static async start(name: 'release-child' | 'server-child', order: object): Promise<ChildPipe> {
    const program = fileURLToPath(new URL(`./${name}${extname(import.meta.url)}`, import.meta.url));
    // A session of its own, which Ctrl+C and the end of the terminal do not reach.
    const child = spawn(process.execPath, [program], {
      detached: true,
      windowsHide: true,
      stdio: ['pipe', 'pipe', 'ignore'],
      env: withoutSecrets(process.env),
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
      throw new PkbackupError('failed', 'the process that lets go after a crash did not start', {
        hint: 'nothing was held',
      });
    }
    child.stdout?.destroy();
    child.unref();
    return new ChildPipe(child);
  }

  get owner(): Owner {
    return ownerOf(this.#child.pid ?? 0);
  }

  /** In the pipe, a line reaches it even if we are killed the moment after. */
  async tell(line: object): Promise<void> {
    const { stdin } = this.#child;
    await new Promise<void>((resolve, reject) => {
      if (!stdin) return reject(new Error('there is no pipe'));
      stdin.write(`${JSON.stringify(line)}\n`, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** Nothing is held any more. Returns when it has ended. */
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
