// "Did you mean ...?": the candidate that a mistyped word most likely stands for. It knows no layer of the program.

/** The nearest candidate, or undefined where none is near enough to be meant. */
export function nearestOf(word: string, candidates: Iterable<string>): string | undefined {
  const typed = word.toLowerCase();
  const allowed = typed.length < 2 ? 0 : Math.max(1, Math.floor(typed.length / 3));
  let best: { candidate: string; distance: number } | undefined;
  for (const candidate of candidates) {
    const distance = distanceBetween(typed, candidate.toLowerCase());
    if (distance <= allowed && (best === undefined || distance < best.distance))
      best = { candidate, distance };
  }
  return best?.candidate ?? startingWith(typed, candidates);
}

/** `, did you mean "x"?`, or nothing. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const near = nearestOf(word, candidates);
  return near === undefined ? '' : `, did you mean "${near}"?`;
}

function startingWith(typed: string, candidates: Iterable<string>): string | undefined {
  if (typed.length < 3) return undefined;
  const longer = [...candidates].filter((candidate) => candidate.toLowerCase().startsWith(typed));
  return longer.length === 1 ? longer[0] : undefined;
}

/** Insertions, deletions, changes and swaps of neighbours (optimal string alignment). */
function distanceBetween(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const change = at(last, column - 1) + (a[row - 1] === b[column - 1] ? 0 : 1);
      const steps = [at(last, column) + 1, at(current, column - 1) + 1, change];
      const isSwap = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      if (isSwap) steps.push(at(beforeLast, column - 2) + 1);
      current.push(Math.min(...steps));
    }
    [beforeLast, last] = [last, current];
  }
  return at(last, b.length);
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Number.POSITIVE_INFINITY;
}
