// Memory for members, made once and used again and again: a member is cut into a slab, compressed in place by another thread,
// written from it, and the slab is free for the next one. Buffers that are made for each member would be gathered by V8 in
// full collections, a hundred for a gigabyte, which took a quarter of the processor's time.

/** What a thread is told of: shared, so nothing is copied or handed over. */
export interface Slab {
  readonly memory: SharedArrayBuffer;
  /** All of it. */
  readonly bytes: Buffer;
}

/** The first `length` bytes of a slab: the content, or when it was compressed what came of it. */
export interface Member {
  readonly slab: Slab;
  readonly length: number;
}

/** Nearly every member fits: a full group of small files and one more that is just not large. */
const usualBytes = 1600 * 1024;

function makeSlab(bytes = usualBytes): Slab {
  const memory = new SharedArrayBuffer(bytes);
  return { memory, bytes: Buffer.from(memory) };
}

/** The slab, or a larger one in its stead where a member of `length` does not fit: such a one does not stay. */
export function slabFor(slab: Slab, length: number): Slab {
  return compressedBound(length) > slab.bytes.length ? makeSlab(2 * compressedBound(length)) : slab;
}

export const bytesOf = ({ slab, length }: Member): Buffer => slab.bytes.subarray(0, length);

/** What cannot be compressed comes out longer (zlib: 5 bytes for 32 KiB at most; zstd: 1 byte for 256), with a head of ours. */
export function compressedBound(length: number): number {
  return length + (length >> 8) + 1024;
}

interface Waiting {
  readonly resolve: (slab: Slab) => void;
  readonly reject: (error: unknown) => void;
}

/** So many slabs and no more: who takes one waits for who gives one back. */
export class SlabPool {
  readonly #most: number;
  readonly #free: Slab[] = [];
  readonly #waiting: Waiting[] = [];
  #made = 0;
  #failure: { readonly error: unknown } | undefined;

  constructor(most: number) {
    this.#most = most;
  }

  /** Undefined where all are in use. */
  takeFree(): Slab | undefined {
    const free = this.#free.pop();
    if (free !== undefined || this.#made >= this.#most) return free;
    this.#made += 1;
    return makeSlab();
  }

  /** Undefined where all are in use for longer than that. */
  async takeWithin(ms: number): Promise<Slab | undefined> {
    const free = this.takeFree();
    if (free !== undefined || this.#failure) return free;
    const waiting = Promise.withResolvers<Slab | undefined>();
    this.#waiting.push(waiting);
    const timer = setTimeout(() => {
      const index = this.#waiting.indexOf(waiting);
      if (index >= 0) this.#waiting.splice(index, 1);
      waiting.resolve(undefined);
    }, ms);
    try {
      return await waiting.promise;
    } finally {
      clearTimeout(timer);
    }
  }

  async take(): Promise<Slab> {
    if (this.#failure) throw this.#failure.error;
    const free = this.takeFree();
    if (free !== undefined) return free;
    const waiting = Promise.withResolvers<Slab>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }

  giveBack(slab: Slab): void {
    const usual = slab.bytes.length === usualBytes ? slab : makeSlab();
    const next = this.#waiting.shift();
    if (next) next.resolve(usual);
    else this.#free.push(usual);
  }

  /** Nobody waits any longer, nor later. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}
