// One thread of the compressor: compresses members where they lie, one at a time.
import { readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { messageOf } from '../errors.ts';
import type { Compression } from '../words.ts';
import { codecOf, putInto } from './codec.ts';
import { letGoOf } from './given-up.ts';

export interface CompressorSettings {
  readonly compression: Compression;
  readonly level: number | undefined;
}

export interface Raw {
  readonly memory: SharedArrayBuffer;
  readonly length: number;
}

/** In the same memory, from its start. */
export interface Compressed {
  readonly length: number;
  readonly error?: string;
}

/** Behind the thread that reads: a store that is held does not wait for compression. */
const niceness = 10;

const { compression, level } = workerData as CompressorSettings;
const codec = codecOf(compression, level);
giveWay();
parentPort?.on('message', (raw: Raw) => parentPort?.postMessage(compress(raw)));

function compress({ memory, length }: Raw): Compressed {
  try {
    const buffers = codec.compressNow(Buffer.from(memory, 0, length));
    const written = putInto(Buffer.from(memory), buffers);
    buffers.forEach(letGoOf);
    return { length: written };
  } catch (error) {
    return { length: 0, error: messageOf(error) };
  }
}

/** Linux has priorities of threads, by the thread's number; where there are none, all is as it was. */
function giveWay(): void {
  try {
    setPriority(Number(readlinkSync('/proc/thread-self').split('/').at(-1)), niceness);
  } catch {
    // Another system, or one without /proc.
  }
}
