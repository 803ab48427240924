// Errors for people (what happened, what to do) and for programs. Pure functions.
import { release } from 'node:os';
import { errorCatalogue, exitCodeOf, messageOf, PkbackupError } from '../errors.ts';
import { redactSecrets } from '../secret.ts';
import { version } from '../version.ts';
import { oneLine } from './format.ts';
import type { Paint } from './palette.ts';

/** An expected error is a line or some, and a hint; an unexpected one is our bug, and shows all that helps to find it. */
export function errorLines(error: unknown, paint: Paint, isVerbose: boolean): string[] {
  return linesOf(error, paint, isVerbose).map(redactSecrets);
}

function linesOf(error: unknown, paint: Paint, isVerbose: boolean): string[] {
  if (!(error instanceof PkbackupError)) return bugLines(error, paint);
  const lines = error.message.split('\n').map((line) => `${paint('bad', 'error:')} ${oneLine(line)}`);
  if (error.hint !== undefined) lines.push(`${paint('strong', 'hint:')} ${oneLine(error.hint)}`);
  if (isVerbose) lines.push(...stackLines(error).map((line) => paint('dim', line)));
  return lines;
}

function bugLines(error: unknown, paint: Paint): string[] {
  return [
    `${paint('bad', 'error:')} ${oneLine(messageOf(error)) || 'something failed without a message'}`,
    ...stackLines(error),
    `pkbackup ${version}, Node ${process.versions.node}, ${process.platform} ${release()} ${process.arch}`,
    `${paint('strong', 'hint:')} this is a bug of pkbackup: please send these lines and the command that you ran to the issue tracker of the project`,
  ];
}

function stackLines(error: unknown): string[] {
  if (!(error instanceof Error)) return [];
  const own = (error.stack ?? '').split('\n').filter((line) => line.startsWith('    at '));
  if (error.cause === undefined) return own;
  return [...own, `caused by: ${oneLine(messageOf(error.cause))}`, ...stackLines(error.cause)];
}

/** What `--json` says instead of an answer. */
export function errorJson(error: unknown): Record<string, unknown> {
  const known = error instanceof PkbackupError ? error : undefined;
  return {
    code: known?.code ?? 'failed',
    exit_code: exitCodeOf(error),
    message: redactSecrets(messageOf(error)),
    ...(known?.hint !== undefined && { hint: redactSecrets(known.hint) }),
  };
}

/** One row for each exit code, in their order: the table of the help and of docs/exit-codes.md. */
export function exitCodeRows(): [code: string, meaning: string][] {
  const rows = new Map<number, string>([[0, 'done']]);
  for (const { exitCode, meaning } of Object.values(errorCatalogue)) rows.set(exitCode, meaning);
  return [...rows].sort(([a], [b]) => a - b).map(([code, meaning]) => [String(code), meaning]);
}
