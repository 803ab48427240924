// Names of containers or volumes that a mistyped or shortened one may have meant.
import { nearestOf } from '../near.ts';

/** Up to three: those that hold the word or are held by it, else the nearest by spelling. */
export function nearNames(wanted: string, names: readonly string[]): string[] {
  const word = wanted.toLowerCase();
  const related = names.filter(
    (name) => isPart(word, name.toLowerCase()) || isPart(name.toLowerCase(), word),
  );
  if (related.length > 0) return related.toSorted((a, b) => a.length - b.length).slice(0, 3);
  const nearest = nearestOf(wanted, names);
  return nearest === undefined ? [] : [nearest];
}

const isPart = (short: string, long: string) => short.length >= 3 && long.includes(short);
