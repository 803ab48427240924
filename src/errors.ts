// The one class of expected failures, its catalogue of codes, and the table from code to exit code.
// It knows no layer of the program. docs/exit-codes.md and the help say the same; a test compares them.

/** Exit code and meaning of each error code; exit codes 0-6 are those of the scripts that pkbackup replaces. */
export const errorCatalogue = {
  failed: { exitCode: 1, meaning: 'failed' },
  docker_unreachable: { exitCode: 2, meaning: 'Docker is not reachable' },
  not_found: { exitCode: 3, meaning: 'store or volume not found, or ambiguous' },
  ambiguous: { exitCode: 3, meaning: 'store or volume not found, or ambiguous' },
  backup_failed: { exitCode: 4, meaning: 'a backup failed, or the file is not a good backup' },
  bad_backup: { exitCode: 4, meaning: 'a backup failed, or the file is not a good backup' },
  restore_failed: { exitCode: 5, meaning: 'restore failed (the message says what state the data is in)' },
  cancelled: { exitCode: 6, meaning: 'cancelled at the prompt' },
  damaged: { exitCode: 7, meaning: 'verify or drill found damage' },
  locked: { exitCode: 8, meaning: 'another run holds the lock' },
  unhealthy: { exitCode: 9, meaning: 'status is not healthy' },
  rolled_back: { exitCode: 10, meaning: 'guard: rolled back, all is as it was before the command' },
  needs_human: {
    exitCode: 11,
    meaning: 'guard: a person must decide (the message says what state things are in)',
  },
  usage: { exitCode: 64, meaning: 'wrong usage' },
  config: { exitCode: 78, meaning: 'wrong configuration' },
  interrupted: { exitCode: 130, meaning: 'interrupted (Ctrl+C, SIGINT)' },
  terminated: { exitCode: 143, meaning: 'terminated (SIGTERM)' },
} as const;

export type ErrorCode = keyof typeof errorCatalogue;

/** An expected failure: what happened (lower case, no full stop, names quoted), and what to type next. */
export class PkbackupError extends Error {
  override readonly name = 'PkbackupError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
  }
}

/** What went wrong first: a disposal that failed after it (`await using`) hides it in a SuppressedError. */
export function firstErrorOf(error: unknown): unknown {
  let first = error;
  while (first instanceof SuppressedError) first = first.suppressed;
  return first;
}

export function exitCodeOf(error: unknown): number {
  const first = firstErrorOf(error);
  return first instanceof PkbackupError ? errorCatalogue[first.code].exitCode : 1;
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  const first = firstErrorOf(error);
  return first instanceof Error ? first.message : String(first);
}

/** The code of a system error such as ENOENT, if it is one. */
export function systemCodeOf(error: unknown): string | undefined {
  const first = firstErrorOf(error);
  if (!(first instanceof Error) || !('code' in first)) return undefined;
  return typeof first.code === 'string' ? first.code : undefined;
}

/** Keeps an error that is ours already; anything else becomes one with `code`, the cause kept. */
export function asPkbackupError(error: unknown, code: ErrorCode, act: string, hint?: string): PkbackupError {
  const first = firstErrorOf(error);
  if (first instanceof PkbackupError) return first;
  return new PkbackupError(code, `${act}: ${messageOf(first)}`, { cause: error, ...(hint ? { hint } : {}) });
}
