// What the live display knows of each store: fed by events, asked by the display. Times come in as arguments.
import type { Event, Phase } from '../events.ts';

export interface StoreProgress {
  readonly store: string;
  readonly kind: string;
  phase: Phase | undefined;
  doneBytes: number;
  totalBytes: number | undefined;
  /** Bytes so far at moments of the last seconds, for the speed. */
  samples: { atMs: number; doneBytes: number }[];
  heldSinceMs: number | undefined;
  heldBy: string;
  message: string;
  ended: 'ok' | 'failed' | undefined;
}

const windowMs = 4000;

export type Progress = Map<string, StoreProgress>;

/** Takes one event in. */
export function follow(progress: Progress, event: Event, nowMs: number): void {
  if (event.type === 'started') progress.set(event.store, beginning(event.store, event.kind));
  const store = 'store' in event && event.store !== undefined ? progress.get(event.store) : undefined;
  if (store === undefined) return;
  if (event.type === 'progress') advance(store, event, nowMs);
  if (event.type === 'step') {
    store.message = event.message;
    store.phase = undefined;
  }
  if (event.type === 'held') {
    store.heldSinceMs = nowMs;
    store.heldBy = `${event.quiesce === 'pause' ? 'paused' : 'stopped'} ${event.containers.join(', ')}`;
  }
  if (event.type === 'released') store.heldSinceMs = undefined;
  if (event.type === 'ended') {
    store.ended = event.ok ? 'ok' : 'failed';
    store.message = event.message ?? '';
  }
}

function beginning(store: string, kind: string): StoreProgress {
  return {
    store,
    kind,
    phase: undefined,
    doneBytes: 0,
    totalBytes: undefined,
    samples: [],
    heldSinceMs: undefined,
    heldBy: '',
    message: '',
    ended: undefined,
  };
}

function advance(store: StoreProgress, event: Extract<Event, { type: 'progress' }>, nowMs: number): void {
  if (event.phase !== store.phase) store.samples = [];
  store.phase = event.phase;
  store.doneBytes = event.doneBytes;
  store.totalBytes = event.totalBytes;
  const last = store.samples.at(-1);
  if (last === undefined || nowMs - last.atMs >= 100)
    store.samples.push({ atMs: nowMs, doneBytes: event.doneBytes });
  store.samples = store.samples.filter(({ atMs }) => nowMs - atMs <= windowMs);
}

/** Bytes a second over the last seconds; undefined until there is something to measure. */
export function speedOf({ samples, doneBytes }: StoreProgress, nowMs: number): number | undefined {
  const [first] = samples;
  if (first === undefined || nowMs - first.atMs < 500) return undefined;
  return ((doneBytes - first.doneBytes) * 1000) / (nowMs - first.atMs);
}

/** Undefined where the whole is not known, or was guessed too small. */
export function timeLeftMs(store: StoreProgress, nowMs: number): number | undefined {
  const speed = speedOf(store, nowMs);
  if (!speed || store.totalBytes === undefined || store.totalBytes < store.doneBytes) return undefined;
  return ((store.totalBytes - store.doneBytes) * 1000) / speed;
}
