// Memory for what is read on its way to somebody who is done with it when the next is asked for. Buffers that are made for
// each file would be gathered by V8, and leave holes in the memory of the process, which grows with the size of the data.
/** Shared memory, because that is never given up by who is done with it (given-up.ts). */
export const reusedBuffer = (bytes: number): Buffer => Buffer.from(new SharedArrayBuffer(bytes));

/** Pieces of one buffer, all of them good until `reset`. */
export class Arena {
  readonly #memory: Buffer;
  #used = 0;

  constructor(bytes: number) {
    this.#memory = reusedBuffer(bytes);
  }

  take(bytes: number): Buffer {
    const end = this.#used + bytes;
    if (end > this.#memory.length) return Buffer.allocUnsafe(bytes);
    const piece = this.#memory.subarray(this.#used, end);
    this.#used = end;
    return piece;
  }

  reset(): void {
    this.#used = 0;
  }
}
