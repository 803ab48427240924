// Whether a store has lost much since its last good backup: a wrong place, an import that went wrong, somebody's mistake. Pure.
import type { Metadata } from '../repository/index.ts';

export const defaultMaxShrinkPercent = 50;

/** How much there is of a store: of a look at it, or of a backup. */
export interface Extent {
  readonly counts: Readonly<Record<string, number>>;
  /** Of the content; only compared with the like. */
  readonly bytes?: number | undefined;
}

export interface Shrink {
  /** `bytes`, or the count that has lost the most. */
  readonly what: string;
  readonly was: number;
  readonly is: number;
  readonly percent: number;
}

/** Less than that comes and goes. */
const leastCount = 10;
const leastBytes = 64 * 1024;

/** By their sum: what comes and goes (a queue, a cache) is small beside what is kept. Undefined within `maxPercent`. */
export function shrinkOf(before: Extent, now: Extent, maxPercent: number): Shrink | undefined {
  return shrunkCounts(before.counts, now.counts, maxPercent) ?? shrunkBytes(before, now, maxPercent);
}

export function extentOf({ counts, content_bytes: bytes }: Metadata): Extent {
  return { counts, bytes };
}

function shrunkCounts(
  before: Extent['counts'],
  now: Extent['counts'],
  maxPercent: number,
): Shrink | undefined {
  // Nothing was counted at all: no more is known than that.
  if (!Object.keys(before).some((what) => what in now)) return undefined;
  const pairs = Object.entries(before).map(([what, was]) => ({ what, was, is: now[what] ?? 0 }));
  const [was, is] = [sum(pairs.map((pair) => pair.was)), sum(pairs.map((pair) => pair.is))];
  if (was < leastCount || percentLost(was, is) <= maxPercent) return undefined;
  const [most] = pairs.sort((a, b) => b.was - b.is - (a.was - a.is));
  return most && { ...most, percent: percentLost(was, is) };
}

function shrunkBytes(
  { bytes: was = 0 }: Extent,
  { bytes: is }: Extent,
  maxPercent: number,
): Shrink | undefined {
  if (is === undefined || was < leastBytes || percentLost(was, is) <= maxPercent) return undefined;
  return { what: 'bytes', was, is, percent: percentLost(was, is) };
}

function percentLost(was: number, is: number): number {
  return Math.round((100 * (was - is)) / was);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
