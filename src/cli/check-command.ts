// `drill --check COMMAND...`: everything behind the flag is a command of the user's own, with flags of its own, which are
// none of ours. So it is folded into one argument before the command line is read, and unfolded where it is used.
import { PkbackupError } from '../errors.ts';

const flag = '--check';
/** No argument that comes from outside can begin so. */
const mark = '\0';

export function foldCheckCommand(argv: readonly string[]): string[] {
  const at = argv.indexOf(flag);
  const command = argv.slice(at + 1);
  if (at < 0 || command.length === 0 || !argv.slice(0, at).includes('drill')) return [...argv];
  return [...argv.slice(0, at + 1), `${mark}${JSON.stringify(command)}`];
}

/** Of the values that were read. */
export function unfoldCheckCommand(values: readonly string[]): string[] {
  const words = values.flatMap((value) =>
    value.startsWith(mark) ? (JSON.parse(value.slice(1)) as string[]) : [value],
  );
  if (words[0]) return words;
  throw new PkbackupError('usage', `${flag}: expected a command and its arguments, got nothing`);
}
