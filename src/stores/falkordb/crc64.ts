// CRC-64 as Redis computes it over a dump ("Jones": polynomial ad93d23594c935a9, reflected, begun with 0).
// In halves of 32 bits, because BigInt takes fifty times as long, and eight bytes per step.

const polynomial = { high: 0x95ac9329, low: 0xac4bc9b5 };
/** Eight tables of 256 behind each other: what a byte comes to that 0 to 7 bytes follow. */
const highs = new Uint32Array(8 * 256);
const lows = new Uint32Array(8 * 256);

for (let index = 0; index < highs.length; index += 1) {
  let high = index < 256 ? 0 : at(highs, index - 256);
  let low = index < 256 ? index : at(lows, index - 256);
  for (let bit = 0; bit < 8; bit += 1) {
    const carry = low & 1;
    low = (low >>> 1) | (high << 31);
    high >>>= 1;
    if (carry) {
      high ^= polynomial.high;
      low ^= polynomial.low;
    }
  }
  highs[index] = high;
  lows[index] = low;
}

export class Crc64 {
  #high = 0;
  #low = 0;

  update(bytes: Buffer): void {
    let high = this.#high;
    let low = this.#low;
    let index = 0;
    for (const end = bytes.length - 7; index < end; index += 8) {
      low ^= bytes.readInt32LE(index);
      high ^= bytes.readInt32LE(index + 4);
      const a = 1792 + (low & 255);
      const b = 1536 + ((low >>> 8) & 255);
      const c = 1280 + ((low >>> 16) & 255);
      const d = 1024 + (low >>> 24);
      const e = 768 + (high & 255);
      const f = 512 + ((high >>> 8) & 255);
      const g = 256 + ((high >>> 16) & 255);
      const h = high >>> 24;
      high = eight(highs, a, b, c, d, e, f, g, h);
      low = eight(lows, a, b, c, d, e, f, g, h);
    }
    for (; index < bytes.length; index += 1) {
      const byte = (low ^ bytes.readUInt8(index)) & 255;
      low = ((low >>> 8) | (high << 24)) ^ at(lows, byte);
      high = (high >>> 8) ^ at(highs, byte);
    }
    this.#high = high;
    this.#low = low;
  }

  /** As the file has it: eight bytes, the lowest first. */
  digest(): Buffer {
    const bytes = Buffer.alloc(8);
    bytes.writeInt32LE(this.#low | 0, 0);
    bytes.writeInt32LE(this.#high | 0, 4);
    return bytes;
  }
}

type Eight = [number, number, number, number, number, number, number, number];

function eight(table: Uint32Array, ...[a, b, c, d, e, f, g, h]: Eight): number {
  return (
    at(table, a) ^
    at(table, b) ^
    at(table, c) ^
    at(table, d) ^
    at(table, e) ^
    at(table, f) ^
    at(table, g) ^
    at(table, h)
  );
}

function at(table: Uint32Array, index: number): number {
  return table[index] ?? 0;
}
