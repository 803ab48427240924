// The parts of the help that commander does not make: examples and exit codes.
import { exitCodeRows } from '../reporters/error-text.ts';
import { alignColumns } from '../reporters/format.ts';

/** Called when the help is shown, which it seldom is. */
export function examples(...lines: readonly [command: string, what: string][]): () => string {
  return () => {
    const rows = alignColumns(lines.map(([command, what]) => [`  ${command}`, what]));
    return `\nExamples:\n${rows.join('\n')}`;
  };
}

export function rootHelp(): string {
  const start = examples(
    ['pkbackup', 'what is backed up'],
    ['pkbackup backup', 'back up every store that is configured or found'],
    ['pkbackup restore vectors@latest', 'put the newest backup of "vectors" back'],
  );
  const codes = alignColumns(
    exitCodeRows().map(([code, meaning]) => [`  ${code}`, meaning]),
    [0],
  );
  return `${start()}\n\nExit codes:\n${codes.join('\n')}`;
}
