// Questions to a person. They go to stderr, so that stdout stays the answer; without a terminal nothing is asked.
import process from 'node:process';
import { createInterface } from 'node:readline';
import { PkbackupError } from '../errors.ts';

/** True when exactly `word` was typed. */
export async function askForWord(question: string, word: string, signal: AbortSignal): Promise<boolean> {
  return (await ask(question, signal))?.trim() === word;
}

/** `otherwise` is what an empty line means; the end of input is no. */
export async function askYesNo(question: string, signal: AbortSignal, otherwise = false): Promise<boolean> {
  const answer = (await ask(question, signal))?.trim();
  return answer === '' ? otherwise : /^y(es)?$/i.test(answer ?? '');
}

/** What a command that must ask says where nobody can answer. */
export function refuseToAsk(command: string): PkbackupError {
  return new PkbackupError('usage', 'this must be confirmed, and there is no terminal to ask on', {
    hint: `pkbackup ${command} --yes goes on without asking; --dry-run only shows what would be done`,
  });
}

/** The line typed; undefined at the end of input. The terminal edits the line, so that Ctrl+C stays a signal. */
function ask(question: string, signal: AbortSignal): Promise<string | undefined> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<string | undefined>();
  const lines = createInterface({ input: process.stdin, terminal: false });
  const onAbort = () => reject(untouched(signal.reason));
  signal.addEventListener('abort', onAbort, { once: true });
  process.stderr.write(question);
  lines.once('line', resolve);
  lines.once('close', () => resolve(undefined));
  return promise.finally(() => {
    signal.removeEventListener('abort', onAbort);
    lines.close();
  });
}

/** Whoever is asked has not been answered yet: nothing was done. */
function untouched(reason: unknown): unknown {
  if (!(reason instanceof PkbackupError)) return reason;
  return new PkbackupError(reason.code, `${reason.message}; nothing was changed`);
}
