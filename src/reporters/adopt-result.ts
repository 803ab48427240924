// The answer of `pkbackup adopt`: which files are backups now, and which are not, and why. Pure functions.
import type { AdoptedFile, AdoptResult } from '../operations/adopt.ts';
import { alignColumns, formatBytes, oneLine, plural } from './format.ts';
import type { TextLook } from './text-look.ts';

export function adoptText(result: AdoptResult, isUndo: boolean, look: TextLook): string[] {
  const taken = result.files.filter(isTaken);
  const left = result.files.filter((file) => !isTaken(file));
  const count = plural(taken.length, 'file');
  const sum = result.dryRun
    ? `dry run: ${count} would be ${isUndo ? 'let go' : 'read, checked and adopted'}; nothing was written`
    : isUndo
      ? `let go of ${count}: no prune takes them any more`
      : `adopted ${count}: pkbackup list shows them, and prune goes by the retention policy`;
  return [
    ...alignColumns(
      taken.map((file) => [...columnsOf(file), `as "${oneLine(file.store ?? '')}"`]),
      [1],
    ),
    ...alignColumns(
      left.map((file) => [...columnsOf(file), whyNot(file, look)]),
      [1],
    ),
    ...(taken.length === 0 && left.length === 0 ? ['there is nothing to adopt'] : [sum]),
  ];
}

const isTaken = ({ reason }: AdoptedFile): boolean => reason === undefined;

function columnsOf({ name, sizeBytes, what }: AdoptedFile): string[] {
  return [`  ${oneLine(name)}`, formatBytes(sizeBytes), what];
}

function whyNot({ reason = '', hint, isDamaged }: AdoptedFile, { paint }: TextLook): string {
  const state = isDamaged ? paint('bad', 'DAMAGED') : paint('warning', 'left alone');
  return `${state}: ${oneLine(reason)}${hint === undefined ? '' : ` (${oneLine(hint)})`}`;
}

export function adoptJson({ dryRun, files }: AdoptResult, isUndo: boolean): Record<string, unknown> {
  return {
    dry_run: dryRun,
    undo: isUndo,
    files: files.map(({ name, path, what, sizeBytes, store, reason, hint, isDamaged }) => ({
      name,
      path,
      what,
      size_bytes: sizeBytes,
      adopted: reason === undefined,
      store,
      reason,
      hint,
      is_damaged: isDamaged ?? false,
    })),
  };
}
