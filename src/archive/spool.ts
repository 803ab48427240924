// Members on their way from the source to the compression. Usually the source waits while all slabs are in use. A store that
// is held still must not: its members go on into a file, at the speed of the source, and are read back when their turn comes.
// The file is emptied whenever the compression has caught up, so that it stays small where that is as fast.
import { randomUUID } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { bytesOf, type Member, type Slab, type SlabPool, slabFor } from './slabs.ts';

export interface SpoolOptions {
  /** Where the file may be made; it is private (0600) and removed at the end, whatever happens. */
  readonly directory: string;
  /** Called once when every byte has left the source. */
  readonly onRead: () => void | Promise<void>;
}

interface InFile {
  readonly position: number;
  readonly length: number;
}

/**
 * Milliseconds. A compression that is about as fast as the source is waited for, because a member that goes through the file is
 * written and read once more, which takes longer than that.
 */
const mostWaitMs = 10;

/** In memory first, then in the file: once members wait there, later ones go behind them. */
export class MemberQueue implements AsyncDisposable {
  readonly #slabs: SlabPool;
  readonly #directory: string | undefined;
  readonly #inMemory: Member[] = [];
  readonly #inFile: InFile[] = [];
  #file: FileHandle | undefined;
  #path = '';
  #writtenBytes = 0;
  #hasEnded = false;
  #failure: { readonly error: unknown } | undefined;
  #hasNews = false;
  #listener: () => void = () => {};

  /** `directory` is for the file; without one `put` waits. */
  constructor(slabs: SlabPool, directory?: string) {
    this.#slabs = slabs;
    this.#directory = directory;
  }

  /** Takes a member over; gives a slab for the next one. */
  async put(member: Member): Promise<Slab> {
    if (this.#failure) throw this.#failure.error;
    if (this.#directory === undefined) return await this.#keep(member, this.#slabs.take());
    const free = this.#inFile.length === 0 ? await this.#slabs.takeWithin(mostWaitMs) : undefined;
    if (free !== undefined) return await this.#keep(member, free);
    await this.#spill(this.#directory, member);
    return member.slab;
  }

  end(): void {
    this.#hasEnded = true;
    this.#wake();
  }

  /** What was put before is worth nothing any more: both ends are told at once. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#slabs.fail(error);
    this.#wake();
  }

  /** In order, until the end. Who takes one gives its slab back. */
  async *members(): AsyncGenerator<Member> {
    for (;;) {
      if (this.#failure) throw this.#failure.error;
      const member = this.#inMemory.shift() ?? (await this.#readNext());
      if (member) yield member;
      else if (this.#hasEnded) return;
      else await this.#more();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#file) return;
    await this.#file.close();
    await rm(this.#path, { force: true });
  }

  async #keep(member: Member, next: Slab | Promise<Slab>): Promise<Slab> {
    this.#inMemory.push(member);
    this.#wake();
    return await next;
  }

  async #spill(directory: string, member: Member): Promise<void> {
    const file = await this.#openFile(directory);
    if (this.#inFile.length === 0 && this.#writtenBytes > 0) {
      await file.truncate(0);
      this.#writtenBytes = 0;
    }
    const position = this.#writtenBytes;
    const bytes = bytesOf(member);
    for (let at = 0; at < bytes.length; ) {
      const { bytesWritten } = await file.write(bytes, at, bytes.length - at, position + at);
      at += bytesWritten;
    }
    this.#writtenBytes += bytes.length;
    this.#inFile.push({ position, length: bytes.length });
    this.#wake();
  }

  /** It stays in the queue until it is read, so that the file is not emptied meanwhile. */
  async #readNext(): Promise<Member | undefined> {
    const [next] = this.#inFile;
    if (!this.#file || !next) return undefined;
    const { length, position } = next;
    const slab = slabFor(await this.#slabs.take(), length);
    for (let at = 0; at < length; ) {
      const { bytesRead } = await this.#file.read(slab.bytes, at, length - at, position + at);
      if (bytesRead === 0) throw new Error(`the file "${this.#path}" has become shorter`);
      at += bytesRead;
    }
    this.#inFile.shift();
    return { slab, length };
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

  async #openFile(directory: string): Promise<FileHandle> {
    if (this.#file) return this.#file;
    this.#path = join(directory, `.spool-${randomUUID()}`);
    this.#file = await open(this.#path, 'wx+', 0o600);
    return this.#file;
  }
}
