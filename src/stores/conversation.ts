// A program in a container that goes on running: it is told something later, when every millisecond counts and a program
// that starts would take too many.
import { PassThrough } from 'node:stream';
import type { Docker } from '../docker/index.ts';
import { PkbackupError } from '../errors.ts';
import { readUntil } from './read-until.ts';

export interface Speaker {
  /** For messages: `cypher-shell`. */
  readonly name: string;
  readonly docker: Docker;
  /** Of the container. */
  readonly id: string;
  readonly command: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** Dispose it: the program is at the end of its input then. Not over Windows pipes: `hear` throws. */
export class Conversation implements AsyncDisposable {
  readonly #name: string;
  readonly #input = new PassThrough();
  readonly #late = new AbortController();
  readonly #output: AsyncGenerator<Buffer>;

  constructor({ name, docker, id, command, env, signal }: Speaker) {
    this.#name = name;
    this.#output = docker.execStream(id, {
      command,
      env,
      signal: AbortSignal.any([signal, this.#late.signal]),
      stdin: this.#input,
    });
  }

  say(text: string): void {
    this.#input.write(text);
  }

  /** It will be told nothing more. */
  fallSilent(): void {
    this.#input.end();
  }

  /** What `find` finds in what it says from now on. Throws where it ends before, or takes longer; there is no going on then. */
  async hear<Found>(find: (text: string) => Found | undefined, deadlineMs: number): Promise<Found> {
    const failed = (how: string) => new PkbackupError('failed', `${this.#name} ${how}`);
    const tooLate = () => this.#late.abort(failed(`has not answered after ${deadlineMs / 1000} s`));
    const timer = setTimeout(tooLate, deadlineMs);
    try {
      return await readUntil(this.#output, find, () => failed('has ended'));
    } finally {
      clearTimeout(timer);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#input.end();
    await this.#output.return(undefined);
  }
}
