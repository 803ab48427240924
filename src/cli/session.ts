// What every command is given: the flags of all commands, where to tell and to answer, and the doors to the
// configuration and to Docker, each opened at its first use.
import process from 'node:process';
import type { Place, Settings } from '../config/index.ts';
import type { Docker } from '../docker/index.ts';
import type { Emit, Event } from '../events.ts';
import { errorLines } from '../reporters/error-text.ts';
import { redactedEvent } from '../reporters/event-lines.ts';
import { paintFor, wantsColour } from '../reporters/palette.ts';
import { createReporter, type ReporterMode } from '../reporters/reporter.ts';
import type { TextLook } from '../reporters/text-look.ts';
import type { GlobalFlags } from './flags.ts';

export interface Session {
  readonly flags: GlobalFlags;
  readonly emit: Emit;
  /** Calls `listener` with each event from now on. */
  listen(listener: Emit): void;
  readonly signal: AbortSignal;
  /** Whether a person can be asked something. */
  readonly canAsk: boolean;
  settings(): Promise<Settings>;
  /** What `list` needs of them, faster. */
  place(): Promise<Place>;
  docker(): Promise<Docker>;
  /** Prints the answer of the command to stdout; text is left out with `--quiet` unless `isAsked`. */
  answer(answer: Answer): void;
  /** Writes a line for people to stderr. */
  tell(line: string): void;
  /** Writes what a person must see before a question to stderr. */
  show(text: (look: TextLook) => string[]): void;
  /** An error that does not end the command: one store of several. */
  tellError(error: unknown): void;
  /** Takes the live display away, if there is one. */
  hideDisplay(): void;
}

export interface Answer {
  readonly text: (look: TextLook) => string[];
  readonly json: () => unknown;
  /** The answer is what the command is for (`list`): `--quiet` does not silence it. */
  readonly isAsked?: boolean;
}

export function openSession(flags: GlobalFlags, signal: AbortSignal, also: readonly Emit[]): Session {
  const { stdout, stderr, env } = process;
  const isVerbose = flags.verbose === true;
  const paint = paintFor(wantsColour(flags.color, env, stderr));
  const listeners = [...also];
  const tellAll = (event: Event) => {
    for (const listener of listeners) listener(event);
  };
  const mode = modeOf(flags, stderr);
  const reporter = createReporter({ mode, isVerbose, stdout, stderr, paint, also: [tellAll] });
  const tell = (lines: readonly string[]) => {
    reporter.hide();
    stderr.write(`${lines.join('\n')}\n`);
  };
  return {
    flags,
    signal,
    emit: (event) => reporter.emit(redactedEvent(event)),
    listen: (listener) => listeners.push(listener),
    // Looked at when somebody would be asked: the stream alone takes a tenth of the time of `list`.
    get canAsk() {
      return process.stdin.isTTY === true && stderr.isTTY === true;
    },
    settings: once(async () => {
      const { loadSettings } = await import('../config/settings.ts');
      return loadSettings(flags, env, process.cwd());
    }),
    place: once(async () => {
      const { loadPlace } = await import('../config/settings.ts');
      return loadPlace(flags, env, process.cwd());
    }),
    docker: once(async () => {
      const { connectDocker } = await import('../docker/index.ts');
      return connectDocker(env, { signal });
    }),
    answer: (answer) => {
      reporter.hide();
      const text = answerText(answer, flags, lookOf(flags, stdout));
      if (text !== '') stdout.write(text);
    },
    tell: (line) => tell([line]),
    show: (text) => tell(text(lookOf(flags, stderr))),
    tellError: (error) => tell(errorLines(error, paint, isVerbose)),
    hideDisplay: () => reporter.hide(),
  };
}

function lookOf(flags: GlobalFlags, stream: NodeJS.WriteStream): TextLook {
  return {
    paint: paintFor(wantsColour(flags.color, process.env, stream)),
    width: stream.columns || Number.POSITIVE_INFINITY,
    now: new Date(),
  };
}

function modeOf(flags: GlobalFlags, stderr: NodeJS.WriteStream): ReporterMode {
  if (flags.events) return 'events';
  if (flags.quiet) return 'quiet';
  return stderr.isTTY && process.env.TERM !== 'dumb' ? 'live' : 'lines';
}

function answerText({ text, json, isAsked }: Answer, flags: GlobalFlags, look: TextLook): string {
  if (flags.events) return `${JSON.stringify({ type: 'result', result: json() })}\n`;
  if (flags.json) return `${JSON.stringify(json(), null, 2)}\n`;
  if (flags.quiet && !isAsked) return '';
  const lines = text(look);
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

function once<T>(open: () => Promise<T>): () => Promise<T> {
  let opened: Promise<T> | undefined;
  return () => {
    opened ??= open();
    return opened;
  };
}
