// The answer of `pkbackup verify`: a verdict for each backup, every finding, and what could not be checked. Pure functions.
import type { VerifiedBackup, VerifyResult } from '../operations/verify.ts';
import { alignColumns, formatBytes, formatDuration, oneLine, plural } from './format.ts';
import type { TextLook } from './text-look.ts';

export function verifyText({ backups }: VerifyResult, { paint }: TextLook): string[] {
  const heads = alignColumns(
    backups.map(({ ok, name, level, backup, durationMs }) => [
      ok ? paint('good', 'good') : paint('bad', 'DAMAGED'),
      oneLine(name),
      level,
      backup === undefined ? '' : formatBytes(backup.metadata.size_bytes),
      formatDuration(durationMs),
    ]),
  );
  const good = backups.filter(({ ok }) => ok).length;
  const sum =
    good === backups.length
      ? `${plural(good, 'backup')} good`
      : `${good} of ${plural(backups.length, 'backup')} good`;
  return [...backups.flatMap((verified, index) => [heads[index] ?? '', ...detailsOf(verified)]), sum];
}

function detailsOf({ findings, notChecked }: VerifiedBackup): string[] {
  return [
    ...findings.map((finding) => `  - ${oneLine(finding)}`),
    ...notChecked.map((part) => `  - not checked: ${oneLine(part)}`),
  ];
}

export function verifyJson({ ok, backups }: VerifyResult): Record<string, unknown> {
  return {
    ok,
    backups: backups.map(({ name, path, backup, level, ok, findings, foundBy, notChecked, durationMs }) => ({
      name,
      path,
      ...(backup && {
        store: backup.store,
        kind: backup.metadata.kind,
        created_at: backup.metadata.created_at,
      }),
      level,
      ok,
      findings,
      found_by: foundBy,
      not_checked: notChecked,
      duration_ms: durationMs,
    })),
  };
}
