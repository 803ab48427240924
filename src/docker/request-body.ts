// The body of a request, out of chunks that are good only until the next one is asked for. They are gathered in a few
// buffers that are used again as soon as the kernel has what is in them: several are under way, so that neither the Engine
// nor who makes the chunks waits for each piece of the other, and V8 has nothing to collect.
import { EventEmitter, once } from 'node:events';
import type { Writable } from 'node:stream';
import type { IdleWatch } from './deadline.ts';

/** What dockerode takes for a body, as a Readable is. */
export interface RequestBody {
  on(event: 'error', listener: (error: Error) => void): unknown;
  pipe(request: Writable): unknown;
}

const bufferBytes = 512 * 1024;
const mostBuffers = 8;

export class GatheredBody extends EventEmitter implements RequestBody {
  /** Whether all of the source was read. */
  hasEnded = false;
  /** Of the source. */
  error: unknown;
  readonly #source: AsyncIterable<Buffer>;
  readonly #idle: IdleWatch;
  readonly #free: Buffer[] = [];
  #made = 0;
  #current: Buffer | undefined;
  #filled = 0;
  #hasSent = false;
  #isSending = true;
  #isStopped = false;
  #ended: Promise<void> = Promise.resolve();

  constructor(source: AsyncIterable<Buffer>, idle: IdleWatch) {
    super();
    this.#source = source;
    this.#idle = idle;
    // After the request has failed nobody listens any more.
    this.on('error', () => undefined);
  }

  pipe(request: Writable): void {
    if (!this.#isStopped) this.#ended = this.#send(request);
  }

  /** The request has its answer: what is left of the source is read, and not sent. Returns when it has ended or failed. */
  async readRest(): Promise<void> {
    this.#isSending = false;
    this.emit('room');
    await this.#ended;
  }

  /** Without an error the request would hang for ever and keep the lock. */
  stop(): void {
    this.#isSending = false;
    this.#isStopped = true;
    this.emit('room');
    this.emit('error', new Error('let go'));
  }

  async #send(request: Writable): Promise<void> {
    try {
      for await (const chunk of this.#source) {
        this.#idle.waiting();
        await this.#gather(request, chunk);
        this.#idle.moved();
        if (this.#isStopped) return;
      }
      this.hasEnded = true;
      this.#idle.waiting();
      this.#flush(request);
      if (this.#isSending) request.end();
    } catch (error) {
      this.error = error;
      this.emit('error', error);
    }
  }

  async #gather(request: Writable, chunk: Buffer): Promise<void> {
    for (let at = 0; at < chunk.length && this.#isSending; ) {
      this.#current ??= await this.#take();
      if (!this.#current) return;
      const length = chunk.copy(this.#current, this.#filled, at);
      at += length;
      this.#filled += length;
      // The first at once, so that the Engine hears of the request.
      if (this.#filled === this.#current.length || !this.#hasSent) this.#flush(request);
    }
  }

  /** Undefined where nothing is sent any more. */
  async #take(): Promise<Buffer | undefined> {
    while (this.#isSending) {
      const free = this.#free.pop();
      if (free) return free;
      if (this.#made < mostBuffers) {
        this.#made += 1;
        return Buffer.allocUnsafeSlow(bufferBytes);
      }
      await once(this, 'room');
    }
    return undefined;
  }

  #flush(request: Writable): void {
    const buffer = this.#current;
    if (!buffer || !this.#isSending) return;
    const filled = buffer.subarray(0, this.#filled);
    this.#hasSent = true;
    this.#current = undefined;
    this.#filled = 0;
    request.write(filled, () => {
      this.#free.push(buffer);
      this.emit('room');
    });
  }
}
