// Several stores pinned at one moment. Whoever writes to them is held from when every store is ready until the last one is
// pinned, and goes on while the bytes are read. It knows no stores and no containers.
import { PkbackupError } from '../errors.ts';

/** What one store says on its way to its point in time; `Facts` is what the writers are found by. */
export interface Pinning<Facts> {
  /** Resolves when every store is ready and the writers are held: from here to `pinned` every millisecond counts. */
  ready(facts: Facts): Promise<void>;
  pinned(): void;
  /** Resolves when the writers go on, or cannot be let go; never rejects. */
  released(): Promise<void>;
  /** It takes no part any more; the others need not wait for it. Changes nothing once it is pinned. */
  leave(): void;
}

export interface Writers<Facts> {
  /** Nobody is held any more where it throws. */
  hold(ready: readonly Facts[]): Promise<Held>;
}

export interface Held {
  /** Gives how long they were held, in milliseconds. */
  release(): Promise<number>;
}

export interface RendezvousResult {
  /** Milliseconds; undefined where nobody was held. */
  readonly heldMs: number | undefined;
  /** Every store that is pinned at all was pinned while the writers were held. */
  readonly isConsistent: boolean;
  /** Why not all of the writers go on. */
  readonly error?: unknown;
}

export class Rendezvous<Facts> {
  readonly #writers: Writers<Facts>;
  readonly #facts: Facts[] = [];
  readonly #deadlineMs: number;
  readonly #ready = Promise.withResolvers<void>();
  readonly #released = Promise.withResolvers<RendezvousResult>();
  #waiting: number;
  #unpinned: number;
  #timer: NodeJS.Timeout | undefined;
  #holding: Promise<Held> | undefined;
  #isReleasing = false;
  #wasLate = false;

  /** Writers are let go after `deadlineMs`, pinned or not. */
  constructor(stores: number, writers: Writers<Facts>, deadlineMs: number) {
    this.#waiting = stores;
    this.#unpinned = stores;
    this.#writers = writers;
    this.#deadlineMs = deadlineMs;
    // Whoever waits is told; it may be nobody.
    this.#ready.promise.catch(() => undefined);
  }

  /** One for each store. */
  join(): Pinning<Facts> {
    let isReady = false;
    let isDone = false;
    const arrive = () => {
      if (isReady) return;
      isReady = true;
      this.#waiting -= 1;
      if (this.#waiting === 0) void this.#hold();
    };
    const done = () => {
      if (isDone) return;
      isDone = true;
      this.#unpinned -= 1;
      if (this.#unpinned === 0) void this.#release();
    };
    return {
      ready: (facts) => {
        if (!isReady) this.#facts.push(facts);
        arrive();
        return this.#ready.promise;
      },
      pinned: () => {
        if (!isDone && this.#isReleasing) this.#wasLate = true;
        done();
      },
      released: async () => {
        await this.#released.promise;
      },
      leave: () => {
        // In this order: for stores that have all left nobody is held.
        done();
        arrive();
      },
    };
  }

  /** When every store is pinned or has left, and the writers go on. */
  result(): Promise<RendezvousResult> {
    return this.#released.promise;
  }

  async #hold(): Promise<void> {
    // All have left: there is nothing to hold anybody for.
    if (this.#unpinned === 0) return;
    this.#holding = this.#writers.hold(this.#facts);
    try {
      await this.#holding;
    } catch (error) {
      this.#ready.reject(error);
      await this.#release();
      return;
    }
    this.#timer = setTimeout(() => {
      this.#wasLate = true;
      void this.#release();
    }, this.#deadlineMs);
    this.#ready.resolve();
  }

  async #release(): Promise<void> {
    if (this.#isReleasing) return;
    this.#isReleasing = true;
    clearTimeout(this.#timer);
    try {
      // All may have left while it was under way.
      const held = await this.#holding?.catch(() => undefined);
      const heldMs = await held?.release();
      this.#released.resolve({ heldMs, isConsistent: heldMs !== undefined && !this.#wasLate });
    } catch (error) {
      this.#released.resolve({ heldMs: undefined, isConsistent: false, error });
    }
    this.#ready.reject(new PkbackupError('backup_failed', 'no store was left to be pinned'));
  }
}
