// The answer of `pkbackup guard`: what came of the command, and what state the stores are in. Pure functions.
import type { GuardOutcome, GuardResult } from '../operations/guard.ts';
import { formatCounts, formatDuration, oneLine } from './format.ts';
import type { Paint } from './palette.ts';
import type { TextLook } from './text-look.ts';

export function guardText(result: GuardResult, { paint }: TextLook): string[] {
  const { outcome, backups, command, findings, restored, durationMs } = result;
  const stores = backups.map(({ store, stem, metadata }) => {
    return `  ${oneLine(store)}  ${oneLine(stem)}  ${formatCounts(metadata.counts)}`;
  });
  const back = restored.flatMap(({ safetyBackup }) =>
    safetyBackup ? [`what the new version had is kept as ${oneLine(safetyBackup.stem)}`] : [],
  );
  return [
    `${headOf(outcome, paint)} · command: ${oneLine(command.message)} · ${formatDuration(durationMs)}`,
    ...stores,
    ...findings.map((finding) => `  - ${oneLine(finding)}`),
    ...back,
  ];
}

function headOf(outcome: GuardOutcome, paint: Paint): string {
  switch (outcome) {
    case 'fine':
      return paint('good', 'fine: all that was there is there');
    case 'not-run':
      return paint('warning', 'nothing was run: all is as it was');
    case 'rolled-back':
      return paint('warning', 'rolled back: all is as it was before');
    case 'waiting':
      return paint('bad', 'not well: waits for you');
  }
}

export function guardJson(result: GuardResult): Record<string, unknown> {
  const { id, outcome, command, backups, findings, restored, durationMs } = result;
  return {
    ok: outcome === 'fine',
    id,
    outcome: outcome.replace('-', '_'),
    command: {
      ended: command.how.replace('-', '_'),
      exit_code: command.exitCode ?? null,
      message: command.message,
    },
    findings,
    stores: backups.map(({ store, stem, metadata }) => ({
      store,
      backup: stem,
      counts: metadata.counts,
      image: metadata.source.image ?? null,
      image_digest: metadata.source.image_digest ?? null,
      safety_backup: restored.find(({ backup }) => backup.store === store)?.safetyBackup?.stem ?? null,
    })),
    duration_ms: durationMs,
  };
}
