// A file from start to end through two buffers: one is read into while the other is looked at.
import { open } from 'node:fs/promises';

const chunkBytes = 1024 * 1024;

/** Each chunk is good only until the next one is asked for. Throws as `open` and `read` do, and what `signal` says. */
export async function* fileChunks(path: string, signal: AbortSignal): AsyncGenerator<Buffer> {
  const file = await open(path, 'r');
  let [ahead, current] = [Buffer.allocUnsafeSlow(chunkBytes), Buffer.allocUnsafeSlow(chunkBytes)];
  const readAhead = (position: number) => {
    const reading = file.read(ahead, 0, chunkBytes, position);
    // It is heard when its turn comes.
    reading.catch(() => undefined);
    return reading;
  };
  let reading = readAhead(0);
  try {
    for (let position = 0; ; ) {
      const { bytesRead } = await reading;
      signal.throwIfAborted();
      if (bytesRead === 0) return;
      position += bytesRead;
      [ahead, current] = [current, ahead];
      reading = readAhead(position);
      yield current.subarray(0, bytesRead);
    }
  } finally {
    await reading.catch(() => undefined);
    await file.close();
  }
}
