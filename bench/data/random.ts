// The same data on every machine: a key stream, which is fast and can't be compressed, and words of a small language.
import { createCipheriv, createHash } from 'node:crypto';

export interface Random {
  bytes(length: number): Buffer;
  /** From 0 to below `limit`, a whole number. */
  below(limit: number): number;
}

const poolBytes = 1 << 20;

export function randomOf(seed: string): Random {
  const key = createHash('sha256').update(seed).digest();
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
  const zeros = Buffer.alloc(poolBytes);
  let pool = Buffer.alloc(0);
  let at = 0;
  const take = (length: number): Buffer => {
    if (at + length > pool.length) {
      pool = cipher.update(zeros);
      at = 0;
    }
    at += length;
    return pool.subarray(at - length, at);
  };
  return {
    bytes: (length) => cipher.update(Buffer.alloc(length)),
    below: (limit) => take(4).readUInt32LE() % limit,
  };
}

/** Sentences of 20 000 words, few of which are common: compresses about as prose does. */
export function proseOf(random: Random): (bytes: number) => string {
  const words = Array.from({ length: 20_000 }, () => wordOf(random));
  return (bytes) => {
    const parts: string[] = [];
    for (let length = 0; length < bytes; ) {
      const rank = Math.floor(words.length ** (random.below(1 << 24) / (1 << 24))) - 1;
      const word = words[rank] ?? 'and';
      parts.push(word);
      length += word.length + 1;
    }
    return parts.join(' ').slice(0, bytes);
  };
}

const syllables = [
  'ka',
  'lo',
  'mi',
  'ne',
  'ru',
  'sta',
  'ter',
  'ven',
  'dor',
  'phi',
  'an',
  'el',
  'or',
  'us',
  'ing',
];

function wordOf(random: Random): string {
  const count = 1 + random.below(4);
  return Array.from({ length: count }, () => syllables[random.below(syllables.length)]).join('');
}
