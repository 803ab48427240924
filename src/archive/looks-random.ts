// Whether compressing something is worth the time: what is compressed or encrypted already is as good as random.
import zlib from 'node:zlib';

const pieces = 16;
const pieceBytes = 4096;
/** Of 8 bits per byte; 64 KiB of random bytes have 7.997, text 4 to 5, vectors of 32-bit floats under 7.5. */
const randomBits = 7.95;
/** A sample that cannot be made smaller than this share. */
const worthShare = 0.98;

/** By a sample of it: how often each byte comes, and where that says random, by a quick try. */
export function looksRandom(raw: Buffer): boolean {
  if (raw.length < 2 * pieces * pieceBytes) return false;
  const sample = sampleOf(raw);
  if (bitsPerByte(sample) < randomBits) return false;
  return zlib.deflateRawSync(sample, { level: 1 }).length > worthShare * sample.length;
}

/** Pieces from start to end, evenly. */
function sampleOf(raw: Buffer): Buffer {
  const sample = Buffer.allocUnsafe(pieces * pieceBytes);
  const step = (raw.length - pieceBytes) / (pieces - 1);
  for (let at = 0; at < pieces; at += 1) {
    const start = Math.floor(at * step);
    raw.copy(sample, at * pieceBytes, start, start + pieceBytes);
  }
  return sample;
}

/** Shannon's entropy of single bytes. */
function bitsPerByte(sample: Buffer): number {
  const counts = new Uint32Array(256);
  // By index: for-of asks an iterator for each byte.
  for (let at = 0; at < sample.length; at += 1) {
    const byte = sample[at] ?? 0;
    counts[byte] = (counts[byte] ?? 0) + 1;
  }
  let bits = 0;
  for (const count of counts) if (count > 0) bits -= count * Math.log2(count / sample.length);
  return bits / sample.length;
}
