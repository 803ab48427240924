// The answer of `pkbackup backup`: a table of stores and a line that sums it up; the same for programs. Pure functions.
import type { BackupResult, StoreResult } from '../operations/backup.ts';
import { backupFields } from './backup-json.ts';
import { errorJson } from './error-text.ts';
import { alignColumns, formatBytes, formatCounts, formatDuration, plural } from './format.ts';
import type { Paint } from './palette.ts';
import type { TextLook } from './text-look.ts';

export interface BackupSurroundings {
  readonly repository: string;
  readonly freeBytes: number | undefined;
  readonly exitCode: number;
}

/** Failed stores are one word here: what happened to each is an error of its own on stderr. */
export function backupText(result: BackupResult, around: BackupSurroundings, { paint }: TextLook): string[] {
  const free = around.freeBytes === undefined ? '' : ` (${formatBytes(around.freeBytes)} free)`;
  return [
    `${plural(result.stores.length, 'store')} · repository ${around.repository}${free}`,
    '',
    ...alignColumns(result.stores.map((store) => rowOf(store, paint))),
    '',
    sumOf(result, around.exitCode, paint),
  ];
}

function rowOf(result: StoreResult, paint: Paint): string[] {
  const { name, kind } = result.store;
  if (!result.ok) return [`  ${name}`, kind, paint('bad', 'failed')];
  if (result.backup === undefined) {
    if (result.skipped) return [`  ${name}`, kind, 'skipped'];
    const { look, quiesce, expected } = result;
    const bytes = expected?.sizeBytes ?? look.estimatedBytes;
    const size = bytes === undefined ? '' : `about ${formatBytes(bytes)}`;
    const time = expected === undefined ? '' : `about ${formatDuration(expected.durationMs)}`;
    return [`  ${name}`, kind, quiesceText(quiesce, expected), size, time, formatCounts(look.counts)];
  }
  const { metadata } = result.backup;
  const { raw_size_bytes: raw, size_bytes: size, downtime_ms: downtime = 0 } = metadata;
  const held =
    metadata.quiesce === undefined || metadata.quiesce === 'none'
      ? 'hot'
      : `held ${formatDuration(downtime)}`;
  const sizes = raw === undefined ? formatBytes(size) : `${formatBytes(raw)} -> ${formatBytes(size)}`;
  return [`  ${name}`, kind, held, sizes, formatDuration(result.durationMs), formatCounts(metadata.counts)];
}

function quiesceText(quiesce: string, expected: { downtimeMs: number } | undefined): string {
  if (quiesce === 'none') return 'hot';
  return expected === undefined
    ? `would ${quiesce}`
    : `would ${quiesce} for about ${formatDuration(expected.downtimeMs)}`;
}

/** By what the last backups took. */
function foreseenText({ expected }: BackupResult): string {
  if (!expected || expected.durationMs === 0) return '';
  const { durationMs, sizeBytes, heldMs, unknown } = expected;
  const held = heldMs === undefined ? '' : `, clients held about ${formatDuration(heldMs)}`;
  const others = unknown === 0 ? '' : ` (but for ${plural(unknown, 'store')} that nothing is known of)`;
  return ` in about ${formatDuration(durationMs)}, about ${formatBytes(sizeBytes)}${held}${others}`;
}

/** What holds for all of them together. */
function togetherOf({ skewMs, consistent }: BackupResult): string {
  if (!consistent) return '';
  const held = consistent.heldMs === undefined ? '' : `, clients held ${formatDuration(consistent.heldMs)}`;
  const apart = skewMs === undefined ? '' : ` (${formatDuration(skewMs)} apart${held})`;
  return consistent.isConsistent ? ` · of one moment${apart}` : ` · not of one moment${apart}`;
}

function sumOf(result: BackupResult, exitCode: number, paint: Paint): string {
  const { setId, stores, durationMs } = result;
  const good = stores.filter((store) => store.ok);
  const made = good.flatMap(({ backup }) => backup ?? []);
  const failed = exitCode === 0 ? '' : paint('bad', ` · exit ${exitCode}`);
  const planned = good.filter((store) => store.backup === undefined && !store.skipped);
  if (planned.length > 0) {
    return `dry run: ${planned.length} of ${plural(stores.length, 'store')} can be backed up${foreseenText(result)}; nothing was written${failed}`;
  }
  const bytes = made.reduce((sum, { metadata }) => sum + metadata.size_bytes, 0);
  const skipped = good.length - made.length;
  const share = `${made.length} of ${plural(stores.length, 'store')} backed up${skipped > 0 ? `, ${skipped} skipped` : ''}`;
  if (made.length === 0) return `${share}${failed}`;
  return `set ${setId} · ${share} · ${formatDuration(durationMs)} · ${formatBytes(bytes)}${togetherOf(result)}${failed}`;
}

export function backupJson(result: BackupResult): Record<string, unknown> {
  const { setId, durationMs, stores, skewMs, consistent, expected } = result;
  return {
    set_id: setId,
    ok: stores.every(({ ok }) => ok),
    duration_ms: durationMs,
    skew_ms: skewMs,
    consistent: consistent?.isConsistent ?? false,
    held_ms: consistent?.heldMs,
    ...(expected && {
      expected: {
        duration_ms: expected.durationMs,
        size_bytes: expected.sizeBytes,
        held_ms: expected.heldMs,
        unknown_stores: expected.unknown,
      },
    }),
    stores: stores.map(storeJson),
  };
}

function storeJson(result: StoreResult): Record<string, unknown> {
  const { name, kind } = result.store;
  const head = { store: name, kind, ok: result.ok };
  if (!result.ok) return { ...head, error: errorJson(result.error) };
  if (result.backup !== undefined) return { ...head, backup: backupFields(result.backup) };
  if (result.skipped) return { ...head, skipped: true };
  const { source, version, counts, estimatedBytes, isEmpty } = result.look;
  return {
    ...head,
    look: { source, store_version: version, counts, estimated_bytes: estimatedBytes, is_empty: isEmpty },
    quiesce: result.quiesce,
    ...(result.expected && {
      expected: {
        size_bytes: result.expected.sizeBytes,
        duration_ms: result.expected.durationMs,
        downtime_ms: result.expected.downtimeMs,
        backups: result.expected.backups,
      },
    }),
  };
}
