// The answer of `pkbackup drill`: one line for each backup, every finding, and the time in all. Pure functions.
import type { DrilledBackup, DrillResult, DrillVerdict } from '../operations/drill.ts';
import { errorJson } from './error-text.ts';
import { alignColumns, formatCounts, formatDuration, oneLine, plural } from './format.ts';
import type { Paint } from './palette.ts';
import type { TextLook } from './text-look.ts';

export function drillText(result: DrillResult, { paint }: TextLook): string[] {
  const heads = alignColumns(result.drills.map((drilled) => headOf(drilled, paint)));
  const lines = result.drills.flatMap((drilled, index) => [heads[index] ?? '', ...detailsOf(drilled)]);
  return [...lines, ...result.drills.flatMap(answerOf), sumOf(result)];
}

/** Of a drill that could not be done, the reason is an error of its own on stderr. */
function headOf(drilled: DrilledBackup, paint: Paint): string[] {
  const name = oneLine(drilled.backup.stem);
  if (drilled.error) return [paint('warning', 'not drilled'), name];
  const { ok, recoveryMs, counts, asked, image } = drilled;
  const verdict = ok ? paint('good', 'good') : image?.isOther ? paint('bad', 'no') : paint('bad', 'DAMAGED');
  const served = recoveryMs === undefined ? 'did not come up' : `back in ${formatDuration(recoveryMs)}`;
  if (!ok) return [verdict, name, `found by ${drilled.foundBy}`];
  const answers = asked === 0 ? '' : `${plural(asked, 'answer')} as before`;
  return [verdict, name, served, [formatCounts(counts), answers].filter(Boolean).join(', ')];
}

function detailsOf(drilled: DrilledBackup): string[] {
  if (drilled.error) return [];
  return [
    ...drilled.findings.map((finding) => `  - ${oneLine(finding)}`),
    ...drilled.notChecked.map((part) => `  - not checked: ${oneLine(part)}`),
  ];
}

/** The line that `--image` is there for. */
function answerOf(drilled: DrilledBackup): string[] {
  if (drilled.error || !drilled.image?.isOther) return [];
  const { backup, image, ok, findings, recoveryMs = 0 } = drilled;
  const stem = oneLine(backup.stem);
  const name = oneLine(image.name);
  if (ok)
    return [`yes: ${stem} comes up under ${name}, with all that it had, in ${formatDuration(recoveryMs)}`];
  return [`no: ${stem} does not come back under ${name}: ${oneLine(findings[0] ?? '')}`];
}

function sumOf({ drills, durationMs }: DrillResult): string {
  const good = drills.filter(({ ok }) => ok);
  const recoveryMs = drills.reduce((sum, one) => sum + (one.error ? 0 : (one.recoveryMs ?? 0)), 0);
  const share =
    good.length === drills.length
      ? `${plural(good.length, 'backup')} drilled, all good`
      : `${good.length} of ${plural(drills.length, 'backup')} came back as good`;
  return `${share} · recovery ${formatDuration(recoveryMs)} in all · ${formatDuration(durationMs)} with all checks`;
}

export function drillJson({ ok, drills, durationMs }: DrillResult): Record<string, unknown> {
  const recoveryMs = drills.reduce((sum, one) => sum + (one.error ? 0 : (one.recoveryMs ?? 0)), 0);
  return { ok, duration_ms: durationMs, recovery_ms: recoveryMs, drills: drills.map(oneJson) };
}

function oneJson(drilled: DrilledBackup): Record<string, unknown> {
  const { backup, ok } = drilled;
  const { store, stem, metadata } = backup;
  const head = { name: stem, store, kind: metadata.kind, created_at: metadata.created_at, ok };
  return drilled.error ? { ...head, error: errorJson(drilled.error) } : { ...head, ...verdictJson(drilled) };
}

function verdictJson(verdict: DrillVerdict): Record<string, unknown> {
  const { findings, foundBy, notChecked, counts, asked, recoveryMs, durationMs, image } = verdict;
  return {
    findings,
    found_by: foundBy,
    not_checked: notChecked,
    counts,
    samples_asked: asked,
    recovery_ms: recoveryMs,
    duration_ms: durationMs,
    image: image?.name,
    is_other_image: image?.isOther,
  };
}
