// What the checks of a backup say of it.
import type { Check } from './metadata.ts';

export const checkLevels = ['checksum', 'archive', 'content', 'drill'] as const;
export type CheckLevel = (typeof checkLevels)[number];

const keptChecks = 20;

/**
 * Whether damage was found and not contradicted since: a later check of that level, or of a deeper one, which includes it.
 * A checksum that is right says nothing of a database that is broken.
 */
export function isKnownDamaged(checks: readonly Check[]): boolean {
  let deepestPassed = -1;
  return checks.toReversed().some(({ level, ok }) => {
    const depth = checkLevels.indexOf(level);
    if (ok) deepestPassed = Math.max(deepestPassed, depth);
    return !ok && depth > deepestPassed;
  });
}

/** The last ones, and of each level the newest that was passed and the newest that was not: retention goes by them. */
export function withNewest(checks: readonly Check[]): Check[] {
  const newest = checkLevels.flatMap((level) =>
    [true, false].map((ok) => checks.findLast((check) => check.ok === ok && check.level === level)),
  );
  return checks.filter((check, at) => at >= checks.length - keptChecks || newest.includes(check));
}
