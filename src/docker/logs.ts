// What a container has written to its log; running or not.
import type { CallOptions } from './deadline.ts';
import type { Engine } from './engine.ts';
import { splitFrames } from './frames.ts';
import { readStream } from './read-stream.ts';

export interface LogOptions extends CallOptions {
  /** So many lines from the end; all where it is missing. */
  readonly lines?: number;
}

export async function readLog(
  engine: Engine,
  id: string,
  { lines, signal }: LogOptions = {},
): Promise<{ stdout: Buffer; stderr: Buffer; all: Buffer }> {
  const act = `read the log of container "${id.slice(0, 12)}"`;
  const path = `/containers/${encodeURIComponent(id)}/logs`;
  const query = { stdout: 1, stderr: 1, tail: lines };
  const answer = await engine.open({ method: 'GET', path, query, act }, { signal });
  const parts = { stdout: [] as Buffer[], stderr: [] as Buffer[], all: [] as Buffer[] };
  const chunks = readStream(engine, answer, { act, signal, idleMs: engine.idleMs });
  for await (const { stream, bytes } of splitFrames(chunks, act)) {
    parts[stream].push(bytes);
    parts.all.push(bytes);
  }
  const { stdout, stderr, all } = parts;
  return { stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr), all: Buffer.concat(all) };
}
