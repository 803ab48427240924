// What a backup will most likely take, by what the last ones took. Pure.
import type { Backup, Manifest } from '../repository/index.ts';
import type { Look } from '../stores/store.ts';
import type { Quiesce } from '../words.ts';

export interface Expected {
  /** Of the archive. */
  readonly sizeBytes: number;
  readonly durationMs: number;
  /** How long its containers are held; 0 where it is read hot. */
  readonly downtimeMs: number;
  /** How many backups that is known from. */
  readonly backups: number;
}

/** Of a whole run; what is not known of one store is missing in the sum, and `unknown` says of how many. */
export interface ExpectedRun {
  readonly sizeBytes: number;
  readonly durationMs: number;
  /** How long clients are held for one moment, where earlier runs say it. */
  readonly heldMs?: number;
  readonly unknown: number;
}

const mostOfThem = 5;

/** `ofStore` are its backups, the newest first. Undefined where none was made this way. */
export function expectedOf(
  ofStore: readonly Backup[],
  look: Pick<Look, 'storedBytes'>,
  quiesce: Quiesce,
): Expected | undefined {
  const like = ofStore
    .filter(({ isDamaged, metadata }) => !isDamaged && !metadata.safety && metadata.form === undefined)
    .filter(({ metadata }) => metadata.quiesce === quiesce && metadata.duration_ms !== undefined)
    .slice(0, mostOfThem);
  const [newest] = like;
  if (!newest) return undefined;
  const { size_bytes: size, stored_bytes: stored } = newest.metadata;
  const growth = stored && look.storedBytes !== undefined ? look.storedBytes / stored : 1;
  const downtimes = like.map(({ metadata }) => metadata.downtime_ms ?? 0);
  return {
    sizeBytes: Math.round(size * growth),
    durationMs: middleOf(like.map(({ metadata }) => metadata.duration_ms ?? 0)),
    downtimeMs: quiesce === 'none' ? 0 : middleOf(downtimes),
    backups: like.length,
  };
}

/** `parallel` at once, each as soon as one has ended. */
export function expectedRun(
  stores: readonly (Expected | undefined)[],
  parallel: number,
  manifests: readonly Manifest[],
): ExpectedRun {
  const known = stores.filter((store) => store !== undefined);
  const workersMs = Array.from({ length: Math.max(1, parallel) }, () => 0);
  for (const { durationMs } of known) {
    const next = workersMs.indexOf(Math.min(...workersMs));
    workersMs[next] = (workersMs[next] ?? 0) + durationMs;
  }
  const held = manifests
    .toSorted((a, b) => (a.started_at < b.started_at ? 1 : -1))
    .flatMap(({ held_ms: ms }) => ms ?? [])
    .slice(0, mostOfThem);
  return {
    sizeBytes: known.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    durationMs: Math.max(...workersMs),
    ...(held.length > 0 && { heldMs: middleOf(held) }),
    unknown: stores.length - known.length,
  };
}

function middleOf(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
}
