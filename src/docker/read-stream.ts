// An answer of the Engine as an async iterable that ends only in three ways: all of it came, it was aborted, or an error.
import type { Readable } from 'node:stream';
import { reasonOf, tooSlow, watchIdle } from './deadline.ts';
import type { Engine } from './engine.ts';
import { connectionError } from './engine-errors.ts';

export interface ReadOptions {
  readonly act: string;
  readonly signal: AbortSignal | undefined;
  /** Silence of the Engine for so long is an error; undefined for none. */
  readonly idleMs: number | undefined;
}

/** Lets go of the connection (and of the container's lock) when it is left, however it is left. */
export async function* readStream(
  engine: Engine,
  stream: Readable,
  options: ReadOptions,
): AsyncGenerator<Buffer> {
  const { act, signal, idleMs } = options;
  const onAbort = () => stream.destroy(reasonOf(signal));
  if (signal?.aborted) onAbort();
  else signal?.addEventListener('abort', onAbort, { once: true });
  // A destroyed stream may complain after nobody listens any more.
  stream.on('error', () => undefined);
  using idle =
    idleMs === undefined ? undefined : watchIdle(idleMs, () => stream.destroy(tooSlow(act, idleMs)));
  try {
    idle?.waiting();
    for await (const chunk of stream) {
      idle?.moved();
      yield chunk as Buffer;
      idle?.waiting();
    }
    if (signal?.aborted) throw reasonOf(signal);
  } catch (error) {
    throw connectionError(act, engine.endpoint, signal?.aborted ? reasonOf(signal) : error);
  } finally {
    signal?.removeEventListener('abort', onAbort);
    stream.destroy();
  }
}
