// Content whose size is not known before its end, while a tar wants it first: it waits in the scratch directory, lightly
// compressed.
import { createReadStream, createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib';
import { PkbackupError } from '../errors.ts';

const chunkSize = 1024 * 1024;

/** Writes over what lies at `path`. */
export async function writeSpooled(
  path: string,
  chunks: AsyncIterable<Buffer>,
  signal: AbortSignal,
): Promise<void> {
  const compress = createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 1 }, chunkSize });
  const file = createWriteStream(path, { mode: 0o600 });
  await pipeline(Readable.from(chunks, { objectMode: false }), compress, file, { signal });
}

/** Throws `backup_failed` where it is not as long as what was written. */
export async function* readSpooled(path: string, sizeBytes: number): AsyncGenerator<Buffer> {
  const file = createReadStream(path, { highWaterMark: chunkSize });
  const decompress = createZstdDecompress({ chunkSize });
  const ended = pipeline(file, decompress);
  ended.catch(() => undefined);
  let missing = sizeBytes;
  try {
    for await (const chunk of decompress as AsyncIterable<Buffer>) {
      missing -= chunk.length;
      yield chunk;
    }
    await ended;
  } finally {
    file.destroy();
    decompress.destroy();
  }
  if (missing !== 0) throw new PkbackupError('backup_failed', `"${path}" is not what was written to it`);
}
