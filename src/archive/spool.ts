// Between a store that is held still and the compression behind it: takes the bytes at the speed of the source and gives
// them on at the speed of the consumer. What does not fit in memory waits in a file, which is emptied whenever the
// consumer has caught up, so that it stays small where the compression keeps up.
import { randomUUID } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { join } from 'node:path';

export interface SpoolOptions {
  /** Where the file may be made; it is private (0600) and removed at the end, whatever happens. */
  readonly directory: string;
  /** Bytes kept in memory before the file is used. */
  readonly memoryBytes?: number;
  /** Called once when every byte has left the source. */
  readonly onRead: () => void | Promise<void>;
  readonly signal: AbortSignal;
}

const defaultMemoryBytes = 16 * 1024 * 1024;
const readBytes = 1024 * 1024;

/** Gives on what `source` gives, in order. A failure of the source is thrown at once: what came before it is worth nothing. */
export async function* spool(source: AsyncIterable<Buffer>, options: SpoolOptions): AsyncGenerator<Buffer> {
  const queue = new Queue(options);
  const filling = queue.fill(source);
  // Its failure is thrown by `drain`.
  filling.catch(() => {});
  try {
    yield* queue.drain();
    await filling;
  } finally {
    queue.stop();
    await filling.catch(() => {});
    await queue.close();
  }
}

class Queue {
  readonly #options: SpoolOptions;
  readonly #memoryBytes: number;
  #memory: Buffer[] = [];
  #inMemory = 0;
  #file: FileHandle | undefined;
  #path = '';
  #written = 0;
  #read = 0;
  #ended = false;
  #failure: { readonly error: unknown } | undefined;
  #stopped = false;
  #hasNews = false;
  #listener: () => void = () => {};

  constructor(options: SpoolOptions) {
    this.#options = options;
    this.#memoryBytes = options.memoryBytes ?? defaultMemoryBytes;
  }

  async fill(source: AsyncIterable<Buffer>): Promise<void> {
    try {
      for await (const chunk of source) {
        this.#options.signal.throwIfAborted();
        if (this.#stopped) return;
        await this.#put(chunk);
        this.#wake();
      }
      await this.#options.onRead();
    } catch (error) {
      this.#failure = { error };
      throw error;
    } finally {
      this.#ended = true;
      this.#wake();
    }
  }

  async *drain(): AsyncGenerator<Buffer> {
    for (;;) {
      if (this.#failure) throw this.#failure.error;
      const chunk = await this.#take();
      if (chunk) yield chunk;
      else if (this.#ended && this.#memory.length === 0 && this.#read === this.#written) return;
      else await this.#more();
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  async close(): Promise<void> {
    if (!this.#file) return;
    await this.#file.close();
    await rm(this.#path, { force: true });
  }

  /** Once bytes wait in the file, later ones must go behind them, or the order is lost. */
  async #put(chunk: Buffer): Promise<void> {
    const fileIsEmpty = this.#read === this.#written;
    if (fileIsEmpty && this.#inMemory + chunk.length <= this.#memoryBytes) {
      this.#memory.push(chunk);
      this.#inMemory += chunk.length;
      return;
    }
    const file = await this.#openFile();
    if (fileIsEmpty && this.#written > 0) {
      await file.truncate(0);
      this.#written = 0;
      this.#read = 0;
    }
    let at = 0;
    while (at < chunk.length) {
      const { bytesWritten } = await file.write(chunk, at, chunk.length - at, this.#written + at);
      at += bytesWritten;
    }
    this.#written += chunk.length;
  }

  async #take(): Promise<Buffer | undefined> {
    const chunk = this.#memory.shift();
    if (chunk) {
      this.#inMemory -= chunk.length;
      return chunk;
    }
    if (!this.#file || this.#read === this.#written) return undefined;
    const length = Math.min(readBytes, this.#written - this.#read);
    const { bytesRead, buffer } = await this.#file.read(Buffer.allocUnsafe(length), 0, length, this.#read);
    this.#read += bytesRead;
    return buffer.subarray(0, bytesRead);
  }

  #wake(): void {
    this.#hasNews = true;
    this.#listener();
  }

  /** Resolves at the next news, also when they came while nobody listened. */
  async #more(): Promise<void> {
    if (!this.#hasNews) {
      await new Promise<void>((resolve) => {
        this.#listener = resolve;
      });
    }
    this.#hasNews = false;
  }

  async #openFile(): Promise<FileHandle> {
    if (this.#file) return this.#file;
    this.#path = join(this.#options.directory, `.spool-${randomUUID()}`);
    this.#file = await open(this.#path, 'wx+', 0o600);
    return this.#file;
  }
}
