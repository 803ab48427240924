// One thread of the compressor: takes members and gives them back compressed, one at a time.
import { readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { messageOf } from '../errors.ts';
import type { Compression } from '../words.ts';
import { codecOf } from './codec.ts';
import { letGoOf, letGoOfMemory } from './given-up.ts';

export interface CompressorSettings {
  readonly compression: Compression;
  readonly level: number | undefined;
}

export interface Raw {
  readonly raw: Uint8Array<ArrayBuffer>;
}

export interface Compressed {
  readonly buffers: Uint8Array<ArrayBuffer>[];
  readonly error?: string;
}

/** Behind the thread that reads: a store that is held does not wait for compression. */
const niceness = 10;

const { compression, level } = workerData as CompressorSettings;
const codec = codecOf(compression, level);
giveWay();
parentPort?.on('message', ({ raw }: Raw) => {
  const compressed = compress(Buffer.from(raw.buffer, raw.byteOffset, raw.length));
  letGoOf(raw);
  parentPort?.postMessage(compressed, [...new Set(compressed.buffers.map(({ buffer }) => buffer))]);
});

function compress(raw: Buffer): Compressed {
  try {
    return { buffers: codec.compressNow(raw).map(whole) };
  } catch (error) {
    return { buffers: [], error: messageOf(error) };
  }
}

/** What is handed over goes with all the memory that it lies in: a small part is copied out of it, and that given back. */
function whole(bytes: Buffer): Uint8Array<ArrayBuffer> {
  const { buffer, byteOffset, length } = bytes;
  if (buffer instanceof ArrayBuffer && buffer.byteLength <= 2 * length + 1024)
    return new Uint8Array(buffer, byteOffset, length);
  const copy = new Uint8Array(bytes);
  letGoOfMemory(buffer);
  return copy;
}

/** Linux has priorities of threads, by the thread's number; where there are none, all is as it was. */
function giveWay(): void {
  try {
    setPriority(Number(readlinkSync('/proc/thread-self').split('/').at(-1)), niceness);
  } catch {
    // Another system, or one without /proc.
  }
}
