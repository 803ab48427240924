// Sizes as people write them: 50GB, 1.5 TB, 500MiB. Decimal, as pkbackup shows them, unless the unit says binary.

const unitsBytes: Record<string, number> = {
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
  tib: 1024 ** 4,
};

export const sizePattern = /^(\d+(?:\.\d+)?) ?([kmgt]i?b)$/i;

/** The text MUST match `sizePattern`. */
export function sizeBytes(text: string): number {
  const [, number = '0', unit = ''] = sizePattern.exec(text) ?? [];
  return Math.round(Number(number) * (unitsBytes[unit.toLowerCase()] ?? 0));
}
