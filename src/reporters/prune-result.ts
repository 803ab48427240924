// The plan and the answer of `pkbackup prune`: a reason for every backup, and the space that comes back. Pure functions.
import type { PlannedBackup, PruneResult } from '../operations/prune.ts';
import { backupFields } from './backup-json.ts';
import { alignColumns, formatBytes, formatLocalTime, oneLine, plural } from './format.ts';
import type { TextLook } from './text-look.ts';

/** `from` is where the policy was said. */
export function pruneText(result: PruneResult, from: string, look: TextLook): string[] {
  if (result.plan.length === 0) return ['there is no backup to prune'];
  const stores = Map.groupBy(result.plan, ({ store }) => store);
  const blocks = [...stores].map(([store, plan]) => {
    const rows = plan.map((planned) => rowOf(planned, result.dryRun, look));
    return [look.paint('strong', oneLine(store)), ...alignColumns(rows, [2]), ''];
  });
  return [...blocks.flat(), pruneSum(result, from)];
}

function rowOf(
  { keep, removed, reasons, backup }: PlannedBackup,
  isPlan: boolean,
  { paint }: TextLook,
): string[] {
  const verdict = keep ? 'keep' : paint('warning', isPlan || !removed ? 'remove' : 'trashed');
  const { createdAt, metadata } = backup;
  return [`  ${verdict}`, formatLocalTime(createdAt), formatBytes(metadata.size_bytes), reasons.join(', ')];
}

/** What it came to, in one line. */
export function pruneSum({ plan, dryRun, freedBytes }: PruneResult, from: string): string {
  const count = plan.filter(({ keep }) => !keep).length;
  const policy = `policy: ${from}`;
  if (count === 0) return `nothing to remove, ${plural(plan.length, 'backup')} kept · ${policy}`;
  const backups = `${count} of ${plural(plan.length, 'backup')}`;
  const freed = formatBytes(freedBytes);
  return dryRun
    ? `${backups} would be moved to the trash, ${freed} · ${policy}`
    : `${backups} moved to the trash, ${freed} (pkbackup undelete brings one back) · ${policy}`;
}

export function pruneJson({ plan, dryRun, freedBytes }: PruneResult, from: string): Record<string, unknown> {
  return {
    dry_run: dryRun,
    policy_from: from,
    freed_bytes: freedBytes,
    plan: plan.map(({ keep, removed, reasons, backup }) => ({
      keep,
      removed,
      reasons,
      ...backupFields(backup),
    })),
  };
}
