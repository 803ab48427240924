// The frames in which the Engine sends stdout and stderr of a process over one stream: 8 bytes of header (stream, three
// zeros, length), then the bytes. docker-modem's own splitter is not used: it has no backpressure and lets a cut or bad
// frame pass.
import { PkbackupError } from '../errors.ts';

export interface Output {
  readonly stream: 'stdout' | 'stderr';
  readonly bytes: Buffer;
}

const headerLength = 8;
const names = ['stdout', 'stdout', 'stderr'] as const;
const engineError = 3;

/**
 * Splits the stream, passing bytes on as they come, however long a frame is. Pulling is the backpressure.
 * Throws on a frame that is cut or is none.
 */
export async function* splitFrames(chunks: AsyncIterable<Buffer>, act: string): AsyncGenerator<Output> {
  let header = Buffer.alloc(0);
  let stream: Output['stream'] | 'engine' = 'stdout';
  let left = 0;
  let complaint = '';
  for await (const chunk of chunks) {
    let rest = chunk;
    while (rest.length > 0) {
      if (left === 0) {
        const missing = headerLength - header.length;
        header = Buffer.concat([header, rest.subarray(0, missing)]);
        rest = rest.subarray(missing);
        if (header.length < headerLength) continue;
        stream = streamOf(header, act);
        left = header.readUInt32BE(4);
        header = Buffer.alloc(0);
        continue;
      }
      const bytes = rest.subarray(0, left);
      rest = rest.subarray(bytes.length);
      left -= bytes.length;
      if (stream === 'engine') complaint += bytes.toString('utf8');
      else yield { stream, bytes };
    }
  }
  if (left > 0 || header.length > 0) throw broken(act, 'was cut in the middle of a frame');
  if (complaint) throw broken(act, `ended with an error of Docker: ${complaint.trim()}`);
}

function streamOf(header: Buffer, act: string): Output['stream'] | 'engine' {
  const [stream = 0, ...zeros] = header.subarray(0, 4);
  if (zeros.some((byte) => byte !== 0) || stream > engineError)
    throw broken(act, 'holds a frame that is none');
  return stream === engineError ? 'engine' : (names[stream] ?? 'stdout');
}

function broken(act: string, how: string): PkbackupError {
  return new PkbackupError('failed', `${act}: the output ${how}`, {
    hint: 'nothing of it is used; try again',
  });
}
