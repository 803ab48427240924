// Durations as people write them: 90s, 5m, 12h, 30d, 6w, 1y.

export const hourMs = 3_600_000;
const unitsMs: Record<string, number> = {
  s: 1000,
  m: 60_000,
  h: hourMs,
  d: 24 * hourMs,
  w: 168 * hourMs,
  y: 365 * 24 * hourMs,
};

export const durationPattern = /^([1-9]\d*)([smhdwy])$/;

/** The text MUST match `durationPattern`. */
export function durationMs(text: string): number {
  const [, number = '0', unit = ''] = durationPattern.exec(text) ?? [];
  return Number(number) * (unitsMs[unit] ?? 0);
}
