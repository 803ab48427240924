// The lines of the live display: one for each store, as much of it as the width has room for. Pure functions.
import { alignColumns, formatBytes, formatDuration, oneLine, truncate, visibleWidth } from './format.ts';
import type { Paint } from './palette.ts';
import { type Progress, type StoreProgress, speedOf, timeLeftMs } from './progress.ts';

const barWidth = 20;

export interface Look {
  readonly paint: Paint;
  /** Columns of the terminal. */
  readonly width: number;
}

export function progressLines(progress: Progress, nowMs: number, look: Look): string[] {
  const stores = [...progress.values()];
  const names = alignColumns(stores.map(({ store, kind }) => [`  ${oneLine(store)}`, kind]));
  const nameWidth = Math.max(0, ...names.map(visibleWidth));
  return stores.map((store, index) => lineOf((names[index] ?? '').padEnd(nameWidth), store, nowMs, look));
}

/** Details go, the least important first, until the line fits. */
function lineOf(name: string, store: StoreProgress, nowMs: number, look: Look): string {
  const held = heldText(store, nowMs);
  const details = detailsOf(store, nowMs);
  for (let count = details.length; count >= 0; count--) {
    const shown = details.slice(0, count);
    const line = [name, ...(held ? [look.paint('held', ` ${held} `)] : []), ...inReadingOrder(shown)].join(
      '  ',
    );
    if (visibleWidth(line) <= look.width) return coloured(line, store, look.paint);
  }
  return truncate(held === '' ? name : `${name.trimEnd()}  ${held}`, look.width);
}

function coloured(line: string, store: StoreProgress, paint: Paint): string {
  if (store.ended === 'failed') return paint('bad', line);
  return store.ended === 'ok' ? paint('dim', line) : line;
}

function heldText({ heldSinceMs, heldBy }: StoreProgress, nowMs: number): string {
  return heldSinceMs === undefined ? '' : `HELD ${formatDuration(nowMs - heldSinceMs)} ${oneLine(heldBy)}`;
}

interface Detail {
  readonly position: number;
  readonly text: string;
}

/** The most important first; `position` is where it stands in the line. */
function detailsOf(store: StoreProgress, nowMs: number): Detail[] {
  if (store.ended !== undefined) {
    return [{ position: 0, text: store.ended === 'ok' ? 'done' : `failed ${oneLine(store.message)}` }];
  }
  if (store.phase === undefined) return [{ position: 0, text: oneLine(store.message) || 'looking' }];
  const speed = speedOf(store, nowMs);
  const left = timeLeftMs(store, nowMs);
  const share = shareOf(store);
  return [
    { position: 2, text: bytesText(store) },
    { position: 0, text: store.phase },
    ...(left === undefined ? [] : [{ position: 4, text: `${formatDuration(left)} left` }]),
    ...(speed === undefined ? [] : [{ position: 3, text: `${formatBytes(speed)}/s` }]),
    ...(share === undefined ? [] : [{ position: 1, text: barText(share) }]),
  ];
}

function inReadingOrder(details: readonly Detail[]): string[] {
  return [...details].sort((a, b) => a.position - b.position).map(({ text }) => text);
}

function bytesText({ doneBytes, totalBytes }: StoreProgress): string {
  const done = formatBytes(doneBytes);
  return totalBytes === undefined || totalBytes < doneBytes ? done : `${done} of ${formatBytes(totalBytes)}`;
}

function shareOf({ doneBytes, totalBytes }: StoreProgress): number | undefined {
  return totalBytes === undefined || totalBytes === 0 ? undefined : Math.min(1, doneBytes / totalBytes);
}

function barText(share: number): string {
  const full = Math.round(share * barWidth);
  return `[${'#'.repeat(full)}${'.'.repeat(barWidth - full)}]`;
}
