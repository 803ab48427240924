// The plan and the answer of `pkbackup restore`: what is replaced, how to go back. Pure functions.
import { basename } from 'node:path';
import type { ConfirmedPlan, RestoreResult } from '../operations/restore.ts';
import { backupFields } from './backup-json.ts';
import {
  alignColumns,
  formatBytes,
  formatCounts,
  formatDays,
  formatDuration,
  formatLocalTime,
  oneLine,
} from './format.ts';
import type { TextLook } from './text-look.ts';

/** `keepSafetyMs` says how long the safety backup stays; where it is missing, until somebody removes it. */
export function restorePlanText(
  plan: ConfirmedPlan,
  { paint }: TextLook,
  keepSafetyMs: number | undefined = undefined,
): string[] {
  const { backup, target, neededBytes, freeBytes } = plan;
  const { metadata } = backup;
  const rows = [
    plan.replaces ? ['replaces', presentText(plan)] : ['writes', `${oneLine(target)} (nothing is there now)`],
    ['with', [formatLocalTime(backup.createdAt), formatCounts(metadata.counts)].filter(Boolean).join(', ')],
    ...(plan.makes === undefined ? [] : [['makes', oneLine(plan.makes)]]),
    ...(plan.usedBy?.length ? [['used by', oneLine(plan.usedBy.join(', '))]] : []),
    ...stopRows(plan),
    ...(plan.replaces ? [['keeps', keptText(plan, keepSafetyMs)]] : []),
    ...(neededBytes === undefined ? [] : [['needs', spaceText(neededBytes, freeBytes)]]),
  ];
  return [
    `${paint('strong', oneLine(backup.store))} <- ${oneLine(basename(backup.path))}`,
    '',
    ...alignColumns(rows.map(([what = '', value = '']) => [`  ${what}`, value])),
    '',
  ];
}

function presentText({ target, presentBytes, presentCounts, backup }: ConfirmedPlan): string {
  const details = [
    presentBytes === undefined ? '' : formatBytes(presentBytes),
    presentCounts === undefined ? '' : formatCounts(presentCounts),
  ].filter(Boolean);
  if (details.length === 0) return oneLine(target);
  const differences = differenceText(presentCounts ?? {}, backup.metadata.counts);
  return `${oneLine(target)} (${details.join(', ')}${differences})`;
}

/** `; 11 records more and 1 collection fewer than the backup`, or nothing. */
function differenceText(
  present: Readonly<Record<string, number>>,
  saved: Readonly<Record<string, number>>,
): string {
  const differences = Object.entries(present).flatMap(([what, count]) => {
    const by = count - (saved[what] ?? count);
    return by === 0 ? [] : [`${formatCounts({ [what]: Math.abs(by) })} ${by > 0 ? 'more' : 'fewer'}`];
  });
  return differences.length === 0 ? '' : `; ${differences.join(' and ')} than the backup`;
}

function stopRows({ stops, holds, volumes, downtime }: ConfirmedPlan): string[][] {
  const about =
    downtime === undefined
      ? ''
      : `, for about ${formatDuration(downtime.ms)} (${downtime.from === 'its kind' ? 'as is usual for its kind' : 'as before'})`;
  const nobody =
    volumes.length > 0 && stops.length === 0 ? [['stops', 'nobody: no container runs on it']] : [];
  return [
    ...(stops.length > 0 ? [['stops', `${oneLine(stops.join(', '))}${about}`]] : nobody),
    ...(holds.length > 0
      ? [['holds', `${oneLine(holds.join(', '))}, until the restored data has proved itself`]]
      : []),
  ];
}

function keptText({ keepsPrevious, backup }: ConfirmedPlan, keepSafetyMs: number | undefined): string {
  const time = keepSafetyMs === undefined ? 'until it is removed' : `for ${formatDays(keepSafetyMs)}`;
  return keepsPrevious
    ? `the present data as ${oneLine(backup.store)}@pre-restore, ${time}`
    : 'nothing: the present data is gone afterwards (--no-safety-backup)';
}

function spaceText(neededBytes: number, freeBytes: number | undefined): string {
  const needed = formatBytes(neededBytes);
  return freeBytes === undefined
    ? `${needed}; how much is free there is not known`
    : `${needed}, ${formatBytes(freeBytes)} there`;
}

export function restoreText(result: RestoreResult, { paint }: TextLook): string[] {
  const { backup, target, counts, downtimeMs, durationMs, safetyBackup } = result;
  const down = downtimeMs > 0 ? `, down ${formatDuration(downtimeMs)}` : '';
  const checked = formatCounts(counts);
  const store = oneLine(backup.store);
  return [
    `${paint('good', `${store} is restored`)} to ${oneLine(target)} in ${formatDuration(durationMs)}${down}`,
    ...(checked === '' ? [] : [`  checked   ${checked}`]),
    ...clientLines(result, paint),
    ...(safetyBackup === undefined
      ? []
      : [`  previous  kept; to go back: pkbackup restore ${store} --rollback`]),
  ];
}

function clientLines({ clients, clientsDowntimeMs }: RestoreResult, paint: TextLook['paint']): string[] {
  if (clients.length === 0) return [];
  const names = clients.map(({ name, problem }) =>
    problem === undefined ? oneLine(name) : paint('bad', `${oneLine(name)} (does not serve)`),
  );
  return [`  clients   ${names.join(', ')}, down ${formatDuration(clientsDowntimeMs)}`];
}

export function restorePlanJson(plan: ConfirmedPlan): Record<string, unknown> {
  return {
    dry_run: true,
    backup: backupFields(plan.backup),
    target: plan.target,
    replaces: plan.replaces,
    beside: plan.beside,
    keeps_previous: plan.keepsPrevious,
    present_bytes: plan.presentBytes,
    present_counts: plan.presentCounts,
    needed_bytes: plan.neededBytes,
    free_bytes: plan.freeBytes,
    volumes: plan.volumes,
    makes: plan.makes ?? null,
    used_by: plan.usedBy ?? [],
    stops: plan.stops,
    holds: plan.holds,
    downtime_ms: plan.downtime?.ms ?? 0,
    downtime_from: plan.downtime?.from,
    safety_backup: plan.keepsPrevious ? `${plan.backup.store}@pre-restore` : null,
  };
}

export function restoreJson(result: RestoreResult): Record<string, unknown> {
  return {
    ok: true,
    backup: backupFields(result.backup),
    target: result.target,
    counts: result.counts,
    downtime_ms: result.downtimeMs,
    clients: result.clients.map(({ name, problem }) => ({ name, ...(problem && { problem }) })),
    clients_downtime_ms: result.clientsDowntimeMs,
    duration_ms: result.durationMs,
    safety_backup: result.safetyBackup === undefined ? null : backupFields(result.safetyBackup),
  };
}
