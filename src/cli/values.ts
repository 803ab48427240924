// Flags that are more than text: checked, with one clear line where they are wrong.
import { durationMs, durationPattern } from '../config/duration.ts';
import type { ConfiguredStore, Settings } from '../config/index.ts';
import { PkbackupError } from '../errors.ts';
import { didYouMean } from '../near.ts';
import { type Compression, compressionLevels, compressions } from '../words.ts';

/** The value among `allowed`; throws `usage` with the near one. */
export function oneOf<T extends string>(flag: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((candidate) => candidate === value);
  if (found !== undefined) return found;
  throw new PkbackupError(
    'usage',
    `${flag}: expected one of ${allowed.join(', ')}, got "${value}"${didYouMean(value, allowed)}`,
  );
}

export function wholeNumber(flag: string, value: string, least: number, most: number): number {
  const number = Number(value);
  if (value.trim() !== '' && Number.isInteger(number) && number >= least && number <= most) return number;
  throw new PkbackupError(
    'usage',
    `${flag}: expected a whole number from ${least} to ${most}, got "${value}"`,
  );
}

export function duration(flag: string, value: string): number {
  if (durationPattern.test(value)) return durationMs(value);
  throw new PkbackupError('usage', `${flag}: expected a duration such as 90s, 10m or 2h, got "${value}"`);
}

/** A moment in the past: how long ago, a date (its beginning, in local time), or a time as ISO 8601 has it. */
export function moment(flag: string, value: string, now: Date): Date {
  if (durationPattern.test(value)) return new Date(now.getTime() - durationMs(value));
  const isDate = /^\d{4}-\d{2}-\d{2}$/.test(value);
  const isTime = /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})?$/.test(value);
  const time = new Date(isDate ? `${value}T00:00` : value);
  if ((isDate || isTime) && !Number.isNaN(time.getTime())) return time;
  throw new PkbackupError(
    'usage',
    `${flag}: expected a duration such as 7d, or a date such as 2026-11-20, got "${value}"`,
  );
}

/**
 * The flag, then the store, then the top of the config file: the first that says how. A level goes with the compression
 * that it was said for, and with no other.
 */
export function compressionFor(
  flags: { readonly compression?: string; readonly level?: string },
  store: Pick<ConfiguredStore, 'name' | 'compression' | 'compressionLevel'>,
  settings: Pick<Settings, 'compression' | 'compressionLevel'>,
): { compression: Compression; compressionLevel?: number } {
  const flag =
    flags.compression === undefined ? undefined : oneOf('--compression', flags.compression, compressions);
  const compression = flag ?? store.compression ?? settings.compression;
  const { least, most } = compressionLevels[compression];
  if (flags.level !== undefined) {
    return { compression, compressionLevel: wholeNumber('--level', flags.level, least, most) };
  }
  const ofStore =
    (store.compression ?? settings.compression) === compression ? store.compressionLevel : undefined;
  const ofAll = settings.compression === compression ? settings.compressionLevel : undefined;
  const compressionLevel = ofStore ?? ofAll;
  if (compressionLevel === undefined) return { compression };
  if (compressionLevel >= least && compressionLevel <= most) return { compression, compressionLevel };
  throw new PkbackupError(
    'config',
    `${store.name}: compression_level: expected ${least} to ${most} for ${compression}, got ${compressionLevel}`,
  );
}
