// Members compressed on threads of their own. Not on those that Node keeps for files (four, whatever the machine): while
// they compress, every read and write of the program would wait its turn behind them, that of a store that is held too.
import { availableParallelism } from 'node:os';
import { extname } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import type { Worker } from 'node:worker_threads';
import type { Compression } from '../words.ts';
import { type Codec, codecOf, putInto } from './codec.ts';
import type { Compressed, CompressorSettings, Raw } from './compress-worker.ts';
import { bytesOf, type Member } from './slabs.ts';

export interface Compressor extends AsyncDisposable {
  /** How many members are worth having under way. */
  readonly capacity: number;
  /** In place: the member that it gives lies in the same slab. */
  compress(raw: Member): Promise<Member>;
}

export interface CompressorOptions {
  readonly compression: Compression;
  readonly level?: number;
  /** Members compressed at once; the number of processors, but 8 at most, unless said otherwise. */
  readonly threads?: number;
}

/** Each takes about 40 MB. */
const mostThreads = 8;
/** So few members are over before a thread has started. */
const withoutThreads = 2;

export function openCompressor({ compression, level, threads }: CompressorOptions): Compressor {
  const codec = codecOf(compression, level);
  keepYoungHeapSmall();
  const pool = new Pool({ compression, level }, threads ?? Math.min(availableParallelism(), mostThreads));
  let members = 0;
  return {
    capacity: pool.capacity,
    compress(raw) {
      members += 1;
      return members > withoutThreads ? pool.compress(raw) : compressHere(codec, raw);
    },
    [Symbol.asyncDispose]: () => pool.end(),
  };
}

async function compressHere(codec: Codec, raw: Member): Promise<Member> {
  return { slab: raw.slab, length: putInto(raw.slab.bytes, await codec.compress(bytesOf(raw))) };
}

/**
 * V8 lets the part of its heap for short-lived objects grow to 48 MB in a long run, whatever is in it; a backup makes the same
 * small objects from its first megabyte to its last.
 */
function keepYoungHeapSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}

interface Job {
  readonly raw: Member;
  readonly resolve: (compressed: Member) => void;
  readonly reject: (error: unknown) => void;
}

/** The next one is there when a thread is done with the first: this one may be busy when it says so. */
const jobsPerThread = 2;

class Pool {
  readonly capacity: number;
  readonly #size: number;
  readonly #settings: CompressorSettings;
  /** With what each has to do, in order. */
  readonly #workers = new Map<Worker, Job[]>();
  readonly #waiting: Job[] = [];
  #failure: { readonly error: unknown } | undefined;

  constructor(settings: CompressorSettings, size: number) {
    this.#settings = settings;
    this.#size = size;
    this.capacity = jobsPerThread * size;
  }

  compress(raw: Member): Promise<Member> {
    return new Promise((resolve, reject) => {
      if (this.#failure) return reject(this.#failure.error);
      this.#waiting.push({ raw, resolve, reject });
      this.#next();
    });
  }

  async end(): Promise<void> {
    this.#fail(new Error('the compressor has ended'));
    await Promise.all([...this.#workers.keys()].map((worker) => worker.terminate()));
  }

  #next(): void {
    for (;;) {
      const worker = this.#withFewest();
      const job = worker && this.#waiting.shift();
      if (!job) return;
      this.#workers.get(worker)?.push(job);
      const message: Raw = { memory: job.raw.slab.memory, length: job.raw.length };
      worker.postMessage(message);
    }
  }

  /** Undefined where there is nothing to do, or all have enough. */
  #withFewest(): Worker | undefined {
    if (this.#waiting.length === 0) return undefined;
    const [worker, jobs = []] = [...this.#workers].toSorted((a, b) => a[1].length - b[1].length)[0] ?? [];
    if (worker && jobs.length === 0) return worker;
    if (this.#workers.size < this.#size) return this.#start();
    return jobs.length < jobsPerThread ? worker : undefined;
  }

  #start(): Worker {
    const worker = startWorker(this.#settings);
    this.#workers.set(worker, []);
    worker.on('message', (compressed: Compressed) => this.#done(worker, compressed));
    worker.on('error', (error) => this.#fail(error));
    return worker;
  }

  #done(worker: Worker, { length, error }: Compressed): void {
    const job = this.#workers.get(worker)?.shift();
    if (error === undefined) job?.resolve({ slab: job.raw.slab, length });
    else job?.reject(new Error(error));
    this.#next();
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    for (const { reject } of [...this.#workers.values(), this.#waiting].flat()) reject(error);
    for (const jobs of this.#workers.values()) jobs.length = 0;
    this.#waiting.length = 0;
  }
}

function startWorker(settings: CompressorSettings): Worker {
  // Asked for when it is used: most runs of the program compress nothing.
  const { Worker } = process.getBuiltinModule('node:worker_threads');
  const program = new URL(`./compress-worker${extname(import.meta.url)}`, import.meta.url);
  return new Worker(program, {
    workerData: settings,
    env: {},
    execArgv: [],
    // Nothing much lives there: without a limit each thread would gather 16 MB of garbage before it looks.
    resourceLimits: { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 64 },
  });
}
