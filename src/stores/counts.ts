// What a backup counted against what is found again.
import type { Counts } from '../words.ts';

/** One line for each count that both know and that differs. */
export function differencesOf(expected: Counts, found: Counts): string[] {
  return Object.entries(expected)
    .filter(([what, count]) => found[what] !== undefined && found[what] !== count)
    .map(([what, count]) => `${what}: expected ${count}, found ${found[what]}`);
}
