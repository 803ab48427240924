// What people expect of their backups, and `pkbackup status` compares them with; of single stores, or at the top.
import { z } from 'zod';
import { durationMs, durationPattern } from './duration.ts';
import type { Expectations } from './types.ts';

const never = 'never';
const wanted = 'a duration such as 25h or 7d';
const age = z.string().regex(durationPattern, `expected ${wanted}`);
/** A store may be left out of what is expected at the top. */
const ageOrNever = z
  .string()
  .refine((text) => text === never || durationPattern.test(text), `expected ${wanted}, or "${never}"`);
const percent = z.int().min(1).max(100);

export const expectationShape = {
  max_age: age.optional(),
  max_verified_age: age.optional(),
  max_drilled_age: age.optional(),
  max_shrink: percent.optional(),
};

export const storeExpectationShape = {
  max_age: ageOrNever.optional(),
  max_verified_age: ageOrNever.optional(),
  max_drilled_age: ageOrNever.optional(),
  max_shrink: percent.optional(),
};

export const maxDiskUseSchema = percent;

interface Said {
  readonly max_age?: string | undefined;
  readonly max_verified_age?: string | undefined;
  readonly max_drilled_age?: string | undefined;
  readonly max_shrink?: number | undefined;
}

/** Undefined where nothing is said. */
export function expectationsOf(said: Said): Expectations | undefined {
  const { max_age, max_verified_age, max_drilled_age, max_shrink } = said;
  const expects = {
    ...(max_age !== undefined && { maxAgeMs: ageMs(max_age) }),
    ...(max_verified_age !== undefined && { maxVerifiedAgeMs: ageMs(max_verified_age) }),
    ...(max_drilled_age !== undefined && { maxDrilledAgeMs: ageMs(max_drilled_age) }),
    ...(max_shrink !== undefined && { maxShrinkPercent: max_shrink }),
  };
  return Object.keys(expects).length === 0 ? undefined : expects;
}

function ageMs(text: string): number {
  return text === never ? Number.POSITIVE_INFINITY : durationMs(text);
}
