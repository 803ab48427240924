// The answers of `pkbackup config`: what is wrong, and what counts. Pure functions.
import { alignColumns, oneLine, plural } from './format.ts';
import type { TextLook } from './text-look.ts';

interface Setting {
  readonly key: string;
  readonly value: string | null;
  readonly from: string;
}

export interface ShownConfig {
  readonly file: string | undefined;
  readonly settings: readonly Setting[];
  readonly stores: readonly {
    readonly store: string;
    readonly from: string;
    readonly settings: readonly Setting[];
  }[];
}

export interface CheckedConfig {
  readonly file: string;
  readonly storeCount: number;
  readonly mistakes: readonly unknown[];
}

export function checkText({ file, storeCount, mistakes }: CheckedConfig, { paint }: TextLook): string[] {
  if (mistakes.length > 0) return [paint('bad', `${file}: ${plural(mistakes.length, 'mistake')}`)];
  return [paint('good', `${file} is good: ${plural(storeCount, 'store')}`)];
}

export function showText({ settings, stores }: ShownConfig, { paint }: TextLook): string[] {
  const rowOf = ({ key, value, from }: Setting) => [
    `  ${key}`,
    value === null ? paint('dim', 'not set') : oneLine(value),
    paint('dim', oneLine(from)),
  ];
  // Aligned together, so that the eye finds a key of any store in the same place.
  const blocks = [
    { title: 'settings', settings },
    ...stores.map(({ store, settings }) => ({ title: store, settings })),
  ];
  const rows = alignColumns(blocks.flatMap(({ settings }) => settings.map(rowOf)));
  return blocks.flatMap(({ title, settings }, index) => [
    ...(index === 0 ? [] : ['']),
    paint('strong', oneLine(title)),
    ...rows.splice(0, settings.length),
  ]);
}

export function showJson({ file, settings, stores }: ShownConfig): Record<string, unknown> {
  return { file: file ?? null, settings, stores };
}
