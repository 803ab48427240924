// What ends a command from outside: signals, and errors that nobody caught. Both abort it: the work is cancelled,
// everything held is let go, and only then the process ends, with 130, 143 or 1. Further signals change nothing, so that
// nothing stays down.
import process from 'node:process';
import { type ErrorCode, PkbackupError } from '../errors.ts';

const reasons: Partial<Record<NodeJS.Signals, { code: ErrorCode; message: string }>> = {
  SIGINT: { code: 'interrupted', message: 'interrupted' },
  SIGTERM: { code: 'terminated', message: 'terminated' },
  // The terminal was closed, or the connection to it was lost.
  SIGHUP: { code: 'terminated', message: 'terminated: the terminal is gone' },
};

/** Where this is not so, the operation throws an error of its own, which says what is. */
const stateAfter = 'what was held runs again; an unfinished backup was removed, an unfinished restore undone';

export interface Interruption extends Disposable {
  readonly signal: AbortSignal;
}

/** `tell` is called with a line for people at each signal, `tellError` with an error that nobody caught. */
export function listenForSignals(
  tell: (line: string) => void,
  tellError: (error: unknown) => void,
): Interruption {
  const controller = new AbortController();
  const onUncaught = (error: unknown) => {
    tellError(error);
    controller.abort(new PkbackupError('failed', 'ended by an unexpected error'));
  };
  const onSignal = (name: NodeJS.Signals) => {
    const reason = reasons[name];
    if (reason === undefined) return;
    if (controller.signal.aborted) return tell('still cleaning up: what is held is let go first');
    tell(`${reason.message}: cleaning up`);
    controller.abort(new PkbackupError(reason.code, reason.message, { hint: stateAfter }));
  };
  const names = Object.keys(reasons);
  for (const name of names) process.on(name, onSignal);
  process.on('uncaughtException', onUncaught);
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      for (const name of names) process.off(name, onSignal);
      process.off('uncaughtException', onUncaught);
    },
  };
}
